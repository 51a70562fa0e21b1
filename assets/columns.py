"""Column schemas of the tables for the UI: names and types from the store's schema, meanings from here."""

import dagster as dg

from elmer_pipelines.store import schema

# What a column means wherever it occurs; a table's own meaning below wins.
_EVERYWHERE = {
    "workspace_id": "The workspace the row belongs to.",
    "id": "What the thing is, the same in every run.",
    "created_at": "When the row was first written (UTC).",
    "updated_at": "When the row last changed (UTC).",
    "retired_at": "When its source went away; empty while it is live.",
    "ended_at": "When it ended; empty while it lives.",
    "document_id": "The document.",
    "signal_id": "The signal.",
    "cluster_id": "The cluster.",
    "project_id": "The project.",
    "content_hash": "SHA-256 of the document as read: its version.",
    "text_hash": "SHA-256 of the words, which the vector hangs on.",
    "similarity": "Cosine similarity, 0 to 1.",
    "reason": "Why, in words.",
    "occurred_at": "When the customer said it (UTC), where the source tells.",
    "title": "Its title.",
    "text": "The text itself.",
    "name": "The name people see.",
    "kind": "What sort it is.",
    "model": "The model that made the vector.",
    "severity": "critical, high, medium or low; empty when unclear.",
    "frequency": "common, occasional or rare; empty when unclear.",
}
_HERE = {
    "documents": {
        "address": "Where it came from: the path, and a row or message in it.",
        "source_path": "The file.",
        "version": "Counts the changes of its content.",
        "first_seen_at": "When it was first read (UTC).",
    },
    "knowledge": {"path": "The file under `knowledge/`."},
    "signals": {
        "start": "First character of the quote in the document's text.",
        "end": "Character after the last.",
        "verbatim": "The customer's own words: the text from start to end.",
        "match": "How the quote was placed: exact, normalised or fuzzy.",
        "interpretation": "The need behind the words, in one or two sentences.",
        "segment": "Which users speak, e.g. enterprise admin.",
        "speaker": "Who said it, as the source names them.",
        "extractor": "The model that found it.",
        "status": "new, reviewed, linked or archived.",
        "edits": "What people corrected; it wins over the machine's.",
        "words": "Search index of the quote.",
        "language": "The language of the words, else of the document; simple where it is not known.",
        "merged_into": "The signal that speaks for this one since a person merged them; empty while it counts itself.",
    },
    "embeddings": {"embedding": "The vector, length 1, half precision."},
    "duplicate_signals": {"group_id": "Signals with the same group say the same."},
    "cluster_members": {
        "cluster_id": "The cluster; empty where the signal fits none.",
        "nearest_id": "The closest cluster of a signal that fits none.",
    },
    "clusters": {
        "parent_id": "The wider cluster it is part of.",
        "size": "How many signals.",
        "confidence": "Mean similarity of its members, 0 to 1.",
        "suggested_action": "new project, link to existing, or review.",
        "theme": "Its name, by a model or its terms.",
        "summary": "What its signals say together.",
        "terms": "Words that set it apart.",
        "central_signal_ids": "The signals closest to its centre.",
        "named_by": "What gave the name.",
        "human_theme": "A name given by a person; it wins.",
    },
    "cluster_trends": {
        "verdict": "Rising, steady, falling and so on.",
        "weeks": "Signals by week in which customers spoke.",
        "arithmetic": "The figures behind the verdict.",
    },
    "projects": {
        "description": "What the project is about.",
        "stage": "Where it stands, inbox to ga.",
        "origin": "named by the team, or an initiative from a cluster.",
        "cluster_id": "The cluster it came from.",
    },
    "signal_classifications": {
        "verdict": "linked, new_initiative, too_short or unsure.",
        "project_id": "The project it is linked to.",
        "decided_by": "The similarity, or the model that decided.",
        "decided_at": "When (UTC).",
    },
    "initiatives": {
        "action": "What became of the cluster.",
        "project_id": "The project it became or was linked to.",
        "decided_at": "When (UTC).",
    },
    "artifacts": {
        "kind": "research_brief or prd.",
        "version": "Counts up with each new text.",
        "status": "draft, or final where every citation resolves.",
        "text": "The Markdown.",
        "written_by": "The model, or the template.",
        "fingerprint": "Stands for the evidence and the recipe it was made of.",
        "file": "Where the file lies.",
    },
}


def column_schema(table: str) -> dg.TableSchema:
    """The columns of a table of the store. Raises KeyError where a column has no meaning written down."""
    columns = schema.metadata.tables[f"{schema.SCHEMA}.{table}"].columns
    meanings = _EVERYWHERE | _HERE[table]
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                type=str(column.type).lower(),
                description=meanings[column.name],
                constraints=dg.TableColumnConstraints(nullable=bool(column.nullable), unique=False),
            )
            for column in columns
        ]
    )
