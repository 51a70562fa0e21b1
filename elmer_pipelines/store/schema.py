"""The tables, as SQLAlchemy sees them. The database is made from migrations; a test holds the two equal.

Every row belongs to one workspace, whose id leads every key. Vectors are half precision (pgvector `halfvec`).
"""

from __future__ import annotations

from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

SCHEMA = "elmer"
metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _at(name: str, *, default: bool = False, nullable: bool = True) -> Column[Any]:
    if default:
        return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _to(table: str, *columns: str) -> ForeignKeyConstraint:
    local = ["workspace_id", *columns]
    remote = [f"{SCHEMA}.{table}.workspace_id", f"{SCHEMA}.{table}.id"]
    return ForeignKeyConstraint(local, remote, ondelete="CASCADE")


workspaces = Table(
    "workspaces",
    metadata,
    _key("id"),
    Column("name", Text, nullable=False),
    Column("root", Text, nullable=False),
    _at("created_at", default=True),
    CheckConstraint("id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'", name="id_is_a_slug"),
)

source_files = Table(
    "source_files",
    metadata,
    _key("workspace_id"),
    _key("path"),
    Column("size", BigInteger, nullable=False),
    _at("modified_at", nullable=False),
    Column("sha256", Text),
    Column("options_fingerprint", Text),
    _at("read_at"),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
)

documents = Table(
    "documents",
    metadata,
    _key("workspace_id"),
    _key("id"),
    Column("address", Text, nullable=False),
    Column("source_path", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    _at("first_seen_at", default=True),
    _at("updated_at", default=True),
    _at("retired_at"),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
    Index("uq_documents_live_address", "workspace_id", "address", unique=True, postgresql_where="retired_at IS NULL"),
    Index("ix_documents_source", "workspace_id", "source_path"),
)

document_versions = Table(
    "document_versions",
    metadata,
    _key("workspace_id"),
    _key("document_id"),
    _key("content_hash"),
    Column("text_fingerprint", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("segments", JSONB, nullable=False),
    Column("people", JSONB, nullable=False),
    Column("metadata", JSONB, nullable=False),
    _at("occurred_at"),
    _at("read_at", default=True),
    Column("language", Text, Computed("elmer.language_of(text, 'simple'::text)", persisted=True)),
    _to("documents", "document_id"),
    Index("ix_document_versions_text", "workspace_id", "text_fingerprint"),
    Index("ix_document_versions_occurred", "workspace_id", "occurred_at"),
)

knowledge = Table(
    "knowledge",
    metadata,
    _key("workspace_id"),
    _key("path"),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    _at("updated_at", default=True),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
)

signals = Table(
    "signals",
    metadata,
    _key("workspace_id"),
    _key("id"),
    Column("document_id", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("verbatim", Text, nullable=False),
    Column("text_hash", Text, nullable=False),
    Column("match", Text, nullable=False),
    Column("interpretation", Text),
    Column("severity", Text),
    Column("frequency", Text),
    Column("segment", Text),
    Column("speaker", Text),
    _at("occurred_at"),
    Column("extractor", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="new"),
    # Written by people only (I4): severity, frequency, segment, interpretation that override the machine's.
    Column("edits", JSONB, nullable=False, server_default="{}"),
    _at("created_at", default=True),
    _at("updated_at", default=True),
    _at("retired_at"),
    # Of the words, else of the document; set by a trigger, and what `words` is stemmed by.
    Column("language", Text, nullable=False, server_default="simple"),
    Column("words", TSVECTOR, Computed("elmer.words_of(workspace_id, language, verbatim)", persisted=True)),
    # The signal that speaks for this one since a person merged them as duplicates; empty while it speaks for itself.
    Column("merged_into", Text),
    _to("documents", "document_id"),
    CheckConstraint('"start" >= 0 AND "end" > "start"', name="span"),
    CheckConstraint("status IN ('new', 'reviewed', 'linked', 'archived')", name="status"),
    CheckConstraint("severity IN ('critical', 'high', 'medium', 'low')", name="severity"),
    CheckConstraint("frequency IN ('common', 'occasional', 'rare')", name="frequency"),
    Index("ix_signals_document", "workspace_id", "document_id"),
    Index("ix_signals_text_hash", "workspace_id", "text_hash"),
    Index("ix_signals_words", "words", postgresql_using="gin"),
    Index("ix_signals_language", "workspace_id", "language"),
    Index("ix_signals_merged", "workspace_id", "merged_into", postgresql_where="merged_into IS NOT NULL"),
    Index("ix_signals_status", "workspace_id", "status"),
    Index("ix_signals_occurred", "workspace_id", "occurred_at"),
    Index("ix_signals_severity", "workspace_id", text("COALESCE(edits ->> 'severity'::text, severity)")),
    Index("ix_signals_segment", "workspace_id", text("lower(COALESCE(edits ->> 'segment'::text, segment))")),
)

rejected_quotes = Table(
    "rejected_quotes",
    metadata,
    _key("workspace_id"),
    _key("document_id"),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("words", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("extractor", Text, nullable=False),
    _at("created_at", default=True),
    _to("documents", "document_id"),
)

embeddings = Table(
    "embeddings",
    metadata,
    _key("workspace_id"),
    _key("model"),
    _key("text_hash"),
    Column("embedding", HALFVEC(), nullable=False),
    _at("created_at", default=True),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
)

duplicate_signals = Table(
    "duplicate_signals",
    metadata,
    _key("workspace_id"),
    _key("signal_id"),
    Column("group_id", Text, nullable=False),
    Column("similarity", Float, nullable=False),
    _to("signals", "signal_id"),
    Index("ix_duplicate_signals_group", "workspace_id", "group_id"),
)

# What a person merged, with all that an undo has to put back.
duplicate_merges = Table(
    "duplicate_merges",
    metadata,
    _key("workspace_id"),
    _key("id"),
    Column("number", BigInteger, Identity(), nullable=False),
    Column("group_id", Text, nullable=False),
    Column("kept_id", Text, nullable=False),
    Column("signals", JSONB, nullable=False),
    _at("merged_at", default=True),
    _at("undone_at"),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
)

clusters = Table(
    "clusters",
    metadata,
    _key("workspace_id"),
    _key("id"),
    # Areas hold themes, themes hold needs; the themes are the clusters that everything else works with.
    Column("level", Text, nullable=False, server_default="theme"),
    Column("parent_id", Text),
    Column("size", Integer, nullable=False),
    Column("severity", Text),
    Column("frequency", Text),
    Column("confidence", Float),
    Column("suggested_action", Text),
    # The project that `link_to_existing` is about.
    Column("suggested_project_id", Text),
    Column("theme", Text),
    Column("summary", Text),
    # What sets it apart from its siblings.
    Column("distinction", Text),
    Column("terms", JSONB, nullable=False, server_default="[]"),
    Column("central_signal_ids", JSONB, nullable=False, server_default="[]"),
    Column("named_by", Text),
    # The members it was named for: it is named again when these have changed materially.
    Column("named_for", JSONB, nullable=False, server_default="[]"),
    # Written by people only (I5).
    Column("human_theme", Text),
    # The mean direction of its members at the last clustering, in that clustering's model.
    Column("centre", HALFVEC()),
    # Who was in it when it ended: should they come together again, it comes back under its id.
    Column("last_members", JSONB, nullable=False, server_default="[]"),
    _at("created_at", default=True),
    _at("updated_at", default=True),
    _at("ended_at"),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
    CheckConstraint("level IN ('area', 'theme', 'need')", name="level"),
)

cluster_members = Table(
    "cluster_members",
    metadata,
    _key("workspace_id"),
    _key("signal_id"),
    # NULL is the visible state "unclustered"; `nearest_id` says which cluster was closest.
    Column("cluster_id", Text),
    # The leaf inside that theme; NULL where the theme is not split into needs.
    Column("need_id", Text),
    Column("nearest_id", Text),
    Column("similarity", Float),
    # The words it was placed for; NULL while they have no vector.
    Column("text_hash", Text),
    # How it came there: by a clustering, by its neighbours since then, or by a person's pin.
    Column("placed_by", Text, nullable=False, server_default="clustering"),
    _to("signals", "signal_id"),
    CheckConstraint("placed_by IN ('clustering', 'neighbours', 'pin')", name="placed_by"),
    Index("ix_cluster_members_cluster", "workspace_id", "cluster_id"),
    Index("ix_cluster_members_need", "workspace_id", "need_id"),
)

# One row per full clustering; what was placed since then is in cluster_members.
clusterings = Table(
    "clusterings",
    metadata,
    _key("workspace_id"),
    Column("id", BigInteger, Identity(), primary_key=True),
    _at("at", default=True),
    Column("run_id", Text),
    Column("reason", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("signals", Integer, nullable=False),
    Column("unclustered", Integer, nullable=False),
    Column("clusters", Integer, nullable=False),
    # The bound for placing, calibrated on this clustering, and what else placing and drift need (JSON values).
    Column("figures", JSONB, nullable=False, server_default="{}"),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
    CheckConstraint("reason IN ('first', 'drift', 'schedule', 'hand', 'settings', 'small')", name="reason"),
)

# Somebody wants a full clustering, whatever has changed; the next run makes it.
clustering_requests = Table(
    "clustering_requests",
    metadata,
    _key("workspace_id"),
    Column("id", BigInteger, Identity(), primary_key=True),
    _at("at", default=True),
    Column("reason", Text, nullable=False),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
    CheckConstraint("reason IN ('schedule', 'hand')", name="reason"),
)

# A person's word on who belongs where; no machine writes here (I5).
cluster_pins = Table(
    "cluster_pins",
    metadata,
    _key("workspace_id"),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("signal_id", Text, nullable=False),
    Column("other_signal_id", Text),
    Column("cluster_id", Text),
    _at("created_at", default=True),
    _to("signals", "signal_id"),
    ForeignKeyConstraint(
        ["workspace_id", "other_signal_id"],
        [f"{SCHEMA}.signals.workspace_id", f"{SCHEMA}.signals.id"],
        name="fk_cluster_pins_other_signals",
        ondelete="CASCADE",
    ),
    CheckConstraint("kind IN ('together', 'apart', 'belongs')", name="kind"),
    CheckConstraint("(kind = 'belongs') = (cluster_id IS NOT NULL)", name="cluster"),
    CheckConstraint("(kind = 'belongs') = (other_signal_id IS NULL)", name="other"),
    Index("ix_cluster_pins_signal", "workspace_id", "signal_id"),
)

cluster_events = Table(
    "cluster_events",
    metadata,
    _key("workspace_id"),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("cluster_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    # The clustering it happened in; NULL where signals only came or went since the last one.
    Column("clustering_id", BigInteger),
    _at("at", default=True),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
)

cluster_trends = Table(
    "cluster_trends",
    metadata,
    _key("workspace_id"),
    _key("cluster_id"),
    _at("updated_at", default=True),
    Column("verdict", Text, nullable=False),
    Column("weeks", JSONB, nullable=False),
    Column("arithmetic", JSONB, nullable=False),
    _to("clusters", "cluster_id"),
)

# What people are to be told once: a cluster's spike, by the week (its Monday) it was found in.
notices = Table(
    "notices",
    metadata,
    _key("workspace_id"),
    _key("cluster_id"),
    Column("week", Date, primary_key=True),
    Column("kind", Text, primary_key=True, server_default="cluster_spike"),
    Column("message", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    _at("created_at", default=True),
    _at("told_at"),
    _to("clusters", "cluster_id"),
    Index("ix_notices_untold", "workspace_id", postgresql_where="told_at IS NULL"),
)

projects = Table(
    "projects",
    metadata,
    _key("workspace_id"),
    _key("id"),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("stage", Text, nullable=False, server_default="inbox"),
    Column("origin", Text, nullable=False),
    Column("cluster_id", Text),
    _at("created_at", default=True),
    _at("updated_at", default=True),
    _at("retired_at"),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
    CheckConstraint("origin IN ('named', 'initiative')", name="origin"),
)

signal_links = Table(
    "signal_links",
    metadata,
    _key("workspace_id"),
    _key("signal_id"),
    _key("project_id"),
    Column("method", Text, nullable=False),
    Column("similarity", Float),
    Column("reason", Text),
    _at("created_at", default=True),
    _to("signals", "signal_id"),
    _to("projects", "project_id"),
    CheckConstraint("method IN ('similarity', 'verified', 'cluster', 'human')", name="method"),
    Index("ix_signal_links_project", "workspace_id", "project_id"),
)

signal_classifications = Table(
    "signal_classifications",
    metadata,
    _key("workspace_id"),
    _key("signal_id"),
    Column("verdict", Text, nullable=False),
    Column("project_id", Text),
    Column("similarity", Float),
    Column("reason", Text),
    Column("decided_by", Text, nullable=False),
    _at("decided_at", default=True),
    _to("signals", "signal_id"),
    CheckConstraint("verdict IN ('linked', 'new_initiative', 'too_short', 'unsure')", name="verdict"),
)

initiatives = Table(
    "initiatives",
    metadata,
    _key("workspace_id"),
    _key("cluster_id"),
    Column("project_id", Text),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _at("decided_at", default=True),
    _to("clusters", "cluster_id"),
)

artifacts = Table(
    "artifacts",
    metadata,
    _key("workspace_id"),
    _key("id"),
    Column("project_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("written_by", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("file", Text),
    _at("created_at", default=True),
    _to("projects", "project_id"),
    CheckConstraint("status IN ('draft', 'final')", name="status"),
    Index("uq_artifacts_version", "workspace_id", "project_id", "kind", "version", unique=True),
)

citations = Table(
    "citations",
    metadata,
    _key("workspace_id"),
    _key("artifact_id"),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("end", Integer, nullable=False),
    Column("signal_id", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("resolved", Boolean, nullable=False),
    _to("artifacts", "artifact_id"),
)

outcomes = Table(
    "outcomes",
    metadata,
    _key("workspace_id"),
    _key("step"),
    _key("record_id"),
    Column("fingerprint", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("error_kind", Text),
    Column("message", Text),
    Column("next_step", Text),
    Column("retryable", Boolean, nullable=False, server_default="false"),
    # A person wants it tried again: a stored answer that is a fault is then asked for anew.
    Column("ask_anew", Boolean, nullable=False, server_default="false"),
    Column("run_id", Text),
    # What determined the result when it was last done (`Determinants.as_json`); NULL: never done.
    Column("determined_by", JSONB),
    Column("claimed_by", Text),
    _at("claimed_until"),
    _at("updated_at", default=True),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
    CheckConstraint("state IN ('pending', 'done', 'failed')", name="state"),
    Index("ix_outcomes_open", "workspace_id", "step", "record_id", postgresql_where="state <> 'done'"),
)

model_answers = Table(
    "model_answers",
    metadata,
    _key("workspace_id"),
    _key("fingerprint"),
    Column("answer", JSONB, nullable=False),
    _at("created_at", default=True),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
)

# The documents an answer's material came from: what `elmer purge` deletes with a document.
answer_records = Table(
    "answer_records",
    metadata,
    _key("workspace_id"),
    _key("fingerprint"),
    _key("record_id"),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
    Index("ix_answer_records_record", "workspace_id", "record_id"),
)

model_calls = Table(
    "model_calls",
    metadata,
    _key("workspace_id"),
    Column("id", BigInteger, Identity(), primary_key=True),
    _at("at", default=True),
    Column("run_id", Text),
    Column("step", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt", Text),
    Column("fingerprint", Text),
    Column("inputs", Integer, nullable=False, server_default="1"),
    Column("input_tokens", Integer, nullable=False, server_default="0"),
    Column("output_tokens", Integer, nullable=False, server_default="0"),
    Column("cache_read_tokens", Integer, nullable=False, server_default="0"),
    Column("cache_write_tokens", Integer, nullable=False, server_default="0"),
    # Part of the output, and billed as such.
    Column("thinking_tokens", Integer, nullable=False, server_default="0"),
    Column("cost_usd", Numeric(16, 10)),
    # The answer was lost: tokens and cost are the most it may have come to.
    Column("estimated", Boolean, nullable=False, server_default="false"),
    Column("latency_s", Float),
    Column("outcome", Text, nullable=False),
    Column("request_id", Text),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
    Index("ix_model_calls_at", "workspace_id", "at"),
)

spend_reservations = Table(
    "spend_reservations",
    metadata,
    _key("workspace_id"),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("run_id", Text),
    Column("step", Text, nullable=False),
    Column("amount_usd", Numeric(16, 10), nullable=False),
    _at("at", default=True),
    # A process that dies leaves its reservation; it counts until this moment.
    _at("expires_at", nullable=False),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
    Index("ix_spend_reservations_expires", "workspace_id", "expires_at"),
)

# An allowance belongs to a key at a service, whichever workspace uses it: this table alone has no workspace.
rate_limits = Table(
    "rate_limits",
    metadata,
    _key("account"),
    _key("model"),
    _key("kind"),
    Column("per_minute", Float),
    Column("available", Float),
    _at("counted_at", default=True),
    _at("blocked_until"),
    _at("updated_at", default=True),
    CheckConstraint("kind IN ('requests', 'input_tokens', 'output_tokens', 'tokens')", name="kind"),
)

model_batches = Table(
    "model_batches",
    metadata,
    _key("workspace_id"),
    _key("id"),
    Column("provider", Text, nullable=False),
    Column("service_id", Text),
    Column("step", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("run_id", Text),
    Column("state", Text, nullable=False, server_default="submitting"),
    Column("items", Integer, nullable=False),
    # The worst its waiting items may cost: owed, as far as budgets are concerned.
    Column("owed_usd", Numeric(16, 10), nullable=False, server_default="0"),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    _at("created_at", default=True),
    _at("submitted_at"),
    _at("ended_at"),
    ForeignKeyConstraint(["workspace_id"], [f"{SCHEMA}.workspaces.id"], ondelete="CASCADE"),
    CheckConstraint("state IN ('submitting', 'submitted', 'collected', 'failed', 'expired')", name="state"),
    Index("ix_model_batches_open", "workspace_id", "state"),
)

model_batch_items = Table(
    "model_batch_items",
    metadata,
    _key("workspace_id"),
    _key("batch_id"),
    _key("fingerprint"),
    Column("state", Text, nullable=False, server_default="waiting"),
    # What is to be sent; emptied once the service has it.
    Column("request", JSONB, nullable=False),
    Column("prompt", Text),
    # Of a text to embed: the hash its vector is kept under. NULL: the answer is kept under the fingerprint.
    Column("keep_as", Text),
    Column("worst_usd", Numeric(16, 10), nullable=False, server_default="0"),
    Column("error_kind", Text),
    Column("message", Text),
    Column("retryable", Boolean, nullable=False, server_default="false"),
    # How it ended has become an outcome: it is counted no more.
    Column("told", Boolean, nullable=False, server_default="false"),
    _to("model_batches", "batch_id"),
    CheckConstraint("state IN ('waiting', 'purged', 'answered', 'failed', 'expired')", name="state"),
    Index("ix_model_batch_items_fingerprint", "workspace_id", "fingerprint"),
)
