"""Languages of signals and documents, indexes for the search's filters, and duplicates that people merge.

Rows stay: the language of every text there is is read, and its words are indexed again by it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

_LANGUAGES = (
    "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian", "portuguese",
    "russian", "spanish", "swedish", "turkish",
)  # fmt: skip

# The languages PostgreSQL has stop words for; a text is in the language it has most stop words of. Two at least, and
# two more than the usual language (its document's) has: quotes are short, and languages share words.
_LANGUAGE_OF = f"""
CREATE FUNCTION elmer.language_of(words text, usual text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    WITH tokens AS MATERIALIZED (
        SELECT unnest(tsvector_to_array(to_tsvector('simple'::regconfig, left(words, 3000)))) AS token
    ), heard AS MATERIALIZED (
        SELECT l.name, count(*) AS number
        FROM tokens t CROSS JOIN (VALUES {", ".join(f"('{one}', '{one}_stem'::regdictionary)" for one in _LANGUAGES)})
            AS l (name, stems)
        WHERE length(t.token) < 16 AND ts_lexize(l.stems, t.token) = '{{}}'
        GROUP BY 1
    )
    SELECT coalesce((
        SELECT name FROM heard
        WHERE number >= 2 + coalesce((SELECT u.number FROM heard u WHERE u.name = usual), 0)
        ORDER BY number DESC, name LIMIT 1
    ), usual)
$$
"""  # noqa: S608 - constants of this file

# As they stand, for those who look for the beginnings of words, and stemmed by the language. A name, not a regconfig,
# is stored: that type would keep pg_upgrade from working. The workspace is a word too (no text yields one with spaces),
# so that the index finds a workspace's signals without passing over those of all others.
_WORDS_OF = f"""
CREATE FUNCTION elmer.words_of(workspace text, language text, words text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT array_to_tsvector(ARRAY['in workspace ' || workspace]) || to_tsvector('simple'::regconfig, words)
        || CASE language
        {" ".join(f"WHEN '{one}' THEN to_tsvector('{one}'::regconfig, words)" for one in _LANGUAGES)}
        ELSE ''::tsvector END
$$
"""

_SET_LANGUAGE = """
CREATE FUNCTION elmer.set_language() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.language := elmer.language_of(NEW.verbatim, coalesce((
        SELECT v.language FROM elmer.document_versions v WHERE v.workspace_id = NEW.workspace_id
        AND v.document_id = NEW.document_id AND v.content_hash = NEW.content_hash), 'simple'));
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    for statement in (_LANGUAGE_OF, _WORDS_OF, _SET_LANGUAGE):
        op.execute(statement)
    op.add_column(
        "document_versions",
        sa.Column("language", sa.Text(), sa.Computed("elmer.language_of(text, 'simple'::text)", persisted=True)),
        schema="elmer",
    )
    op.create_index(
        "ix_document_versions_occurred", "document_versions", ["workspace_id", "occurred_at"], schema="elmer"
    )
    op.drop_index("ix_signals_words", table_name="signals", schema="elmer")
    op.drop_column("signals", "words", schema="elmer")
    op.add_column("signals", sa.Column("language", sa.Text(), server_default="simple", nullable=False), schema="elmer")
    op.add_column("signals", sa.Column("merged_into", sa.Text()), schema="elmer")
    op.execute(
        "UPDATE elmer.signals s SET language = elmer.language_of(s.verbatim, coalesce(v.language, 'simple')) "
        "FROM elmer.document_versions v WHERE v.workspace_id = s.workspace_id AND v.document_id = s.document_id "
        "AND v.content_hash = s.content_hash"
    )
    op.add_column(
        "signals",
        sa.Column(
            "words",
            postgresql.TSVECTOR(),
            sa.Computed("elmer.words_of(workspace_id, language, verbatim)", persisted=True),
        ),
        schema="elmer",
    )
    op.execute(
        "CREATE TRIGGER set_language BEFORE INSERT OR UPDATE OF verbatim, content_hash ON elmer.signals "
        "FOR EACH ROW EXECUTE FUNCTION elmer.set_language()"
    )
    _index_signals()
    op.create_index("ix_duplicate_signals_group", "duplicate_signals", ["workspace_id", "group_id"], schema="elmer")
    op.create_table(
        "duplicate_merges",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("kept_id", sa.Text(), nullable=False),
        sa.Column("signals", postgresql.JSONB(), nullable=False),
        sa.Column("merged_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_duplicate_merges_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_duplicate_merges")),
        schema="elmer",
    )


def _index_signals() -> None:
    op.create_index("ix_signals_words", "signals", ["words"], schema="elmer", postgresql_using="gin")
    op.create_index("ix_signals_language", "signals", ["workspace_id", "language"], schema="elmer")
    op.create_index(
        "ix_signals_merged",
        "signals",
        ["workspace_id", "merged_into"],
        schema="elmer",
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_index("ix_signals_status", "signals", ["workspace_id", "status"], schema="elmer")
    op.create_index("ix_signals_occurred", "signals", ["workspace_id", "occurred_at"], schema="elmer")
    for name, expression in (
        ("severity", "COALESCE(edits ->> 'severity'::text, severity)"),
        ("segment", "lower(COALESCE(edits ->> 'segment'::text, segment))"),
    ):
        op.create_index(f"ix_signals_{name}", "signals", ["workspace_id", sa.text(expression)], schema="elmer")


def downgrade() -> None:
    op.drop_table("duplicate_merges", schema="elmer")
    op.drop_index("ix_duplicate_signals_group", table_name="duplicate_signals", schema="elmer")
    for name in ("segment", "severity", "occurred", "status", "merged", "language", "words"):
        op.drop_index(f"ix_signals_{name}", table_name="signals", schema="elmer")
    op.execute("DROP TRIGGER set_language ON elmer.signals")
    for name in ("words", "language", "merged_into"):
        op.drop_column("signals", name, schema="elmer")
    op.add_column(
        "signals",
        sa.Column(
            "words",
            postgresql.TSVECTOR(),
            sa.Computed("to_tsvector('simple'::regconfig, verbatim)", persisted=True),
        ),
        schema="elmer",
    )
    op.create_index("ix_signals_words", "signals", ["words"], schema="elmer", postgresql_using="gin")
    op.drop_index("ix_document_versions_occurred", table_name="document_versions", schema="elmer")
    op.drop_column("document_versions", "language", schema="elmer")
    for signature in ("set_language()", "words_of(text, text, text)", "language_of(text, text)"):
        op.execute(f"DROP FUNCTION elmer.{signature}")
