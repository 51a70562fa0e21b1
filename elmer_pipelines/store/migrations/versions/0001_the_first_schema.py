"""the first schema."""

from __future__ import annotations

import pgvector.sqlalchemy
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate_limits",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("per_minute", sa.Float(), nullable=True),
        sa.Column("available", sa.Float(), nullable=True),
        sa.Column("counted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('requests', 'input_tokens', 'output_tokens', 'tokens')", name=op.f("ck_rate_limits_kind")
        ),
        sa.PrimaryKeyConstraint("account", "model", "kind", name=op.f("pk_rate_limits")),
        schema="elmer",
    )
    op.create_table(
        "workspaces",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'", name=op.f("ck_workspaces_id_is_a_slug")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
        schema="elmer",
    )
    op.create_table(
        "answer_records",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_answer_records_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "fingerprint", "record_id", name=op.f("pk_answer_records")),
        schema="elmer",
    )
    op.create_index(
        "ix_answer_records_record", "answer_records", ["workspace_id", "record_id"], unique=False, schema="elmer"
    )
    op.create_table(
        "cluster_events",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_cluster_events_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_cluster_events")),
        schema="elmer",
    )
    op.create_table(
        "clusters",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("frequency", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("suggested_action", sa.Text(), nullable=True),
        sa.Column("theme", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("central_signal_ids", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("named_by", sa.Text(), nullable=True),
        sa.Column("human_theme", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_clusters_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_clusters")),
        schema="elmer",
    )
    op.create_table(
        "documents",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("source_path", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_documents_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_documents")),
        schema="elmer",
    )
    op.create_index("ix_documents_content", "documents", ["workspace_id", "content_hash"], unique=False, schema="elmer")
    op.create_index("ix_documents_source", "documents", ["workspace_id", "source_path"], unique=False, schema="elmer")
    op.create_index(
        "uq_documents_live_address",
        "documents",
        ["workspace_id", "address"],
        unique=True,
        schema="elmer",
        postgresql_where="retired_at IS NULL",
    )
    op.create_table(
        "embeddings",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.Text(), nullable=False),
        sa.Column("embedding", pgvector.sqlalchemy.halfvec.HALFVEC(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_embeddings_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "model", "text_hash", name=op.f("pk_embeddings")),
        schema="elmer",
    )
    op.create_table(
        "knowledge",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_knowledge_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "path", name=op.f("pk_knowledge")),
        schema="elmer",
    )
    op.create_table(
        "model_answers",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_model_answers_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "fingerprint", name=op.f("pk_model_answers")),
        schema="elmer",
    )
    op.create_table(
        "model_batches",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("service_id", sa.Text(), nullable=True),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="submitting", nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('submitting', 'submitted', 'collected', 'failed', 'expired')",
            name=op.f("ck_model_batches_state"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_model_batches_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_model_batches")),
        schema="elmer",
    )
    op.create_index("ix_model_batches_open", "model_batches", ["workspace_id", "state"], unique=False, schema="elmer")
    op.create_table(
        "model_calls",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("inputs", sa.Integer(), server_default="1", nullable=False),
        sa.Column("input_tokens", sa.Integer(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cache_read_tokens", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cache_write_tokens", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cost_usd", sa.Numeric(precision=16, scale=10), nullable=True),
        sa.Column("latency_s", sa.Float(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_model_calls_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_model_calls")),
        schema="elmer",
    )
    op.create_index("ix_model_calls_at", "model_calls", ["workspace_id", "at"], unique=False, schema="elmer")
    op.create_table(
        "outcomes",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("next_step", sa.Text(), nullable=True),
        sa.Column("retryable", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'done', 'failed')", name=op.f("ck_outcomes_state")),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_outcomes_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "step", "record_id", name=op.f("pk_outcomes")),
        schema="elmer",
    )
    op.create_index(
        "ix_outcomes_open",
        "outcomes",
        ["workspace_id", "step", "record_id"],
        unique=False,
        schema="elmer",
        postgresql_where="state <> 'done'",
    )
    op.create_table(
        "projects",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("stage", sa.Text(), server_default="inbox", nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("origin IN ('named', 'initiative')", name=op.f("ck_projects_origin")),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_projects_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_projects")),
        schema="elmer",
    )
    op.create_table(
        "source_files",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("options_fingerprint", sa.Text(), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_source_files_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "path", name=op.f("pk_source_files")),
        schema="elmer",
    )
    op.create_table(
        "spend_reservations",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("amount_usd", sa.Numeric(precision=16, scale=10), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_spend_reservations_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_spend_reservations")),
        schema="elmer",
    )
    op.create_index(
        "ix_spend_reservations_expires",
        "spend_reservations",
        ["workspace_id", "expires_at"],
        unique=False,
        schema="elmer",
    )
    op.create_table(
        "artifacts",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('draft', 'final')", name=op.f("ck_artifacts_status")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["elmer.projects.workspace_id", "elmer.projects.id"],
            name=op.f("fk_artifacts_projects"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_artifacts")),
        schema="elmer",
    )
    op.create_index(
        "uq_artifacts_version",
        "artifacts",
        ["workspace_id", "project_id", "kind", "version"],
        unique=True,
        schema="elmer",
    )
    op.create_table(
        "cluster_trends",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("weeks", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("arithmetic", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "cluster_id"],
            ["elmer.clusters.workspace_id", "elmer.clusters.id"],
            name=op.f("fk_cluster_trends_clusters"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "cluster_id", name=op.f("pk_cluster_trends")),
        schema="elmer",
    )
    op.create_table(
        "document_versions",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("text_fingerprint", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("segments", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("people", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "document_id"],
            ["elmer.documents.workspace_id", "elmer.documents.id"],
            name=op.f("fk_document_versions_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "document_id", "content_hash", name=op.f("pk_document_versions")),
        schema="elmer",
    )
    op.create_table(
        "initiatives",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "cluster_id"],
            ["elmer.clusters.workspace_id", "elmer.clusters.id"],
            name=op.f("fk_initiatives_clusters"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "cluster_id", name=op.f("pk_initiatives")),
        schema="elmer",
    )
    op.create_table(
        "model_batch_items",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'answered', 'failed', 'expired')", name=op.f("ck_model_batch_items_state")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "batch_id"],
            ["elmer.model_batches.workspace_id", "elmer.model_batches.id"],
            name=op.f("fk_model_batch_items_model_batches"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "batch_id", "fingerprint", name=op.f("pk_model_batch_items")),
        schema="elmer",
    )
    op.create_index(
        "ix_model_batch_items_fingerprint",
        "model_batch_items",
        ["workspace_id", "fingerprint"],
        unique=False,
        schema="elmer",
    )
    op.create_table(
        "rejected_quotes",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("extractor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "document_id"],
            ["elmer.documents.workspace_id", "elmer.documents.id"],
            name=op.f("fk_rejected_quotes_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "document_id", "position", name=op.f("pk_rejected_quotes")),
        schema="elmer",
    )
    op.create_table(
        "signals",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("verbatim", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.Text(), nullable=False),
        sa.Column("match", sa.Text(), nullable=False),
        sa.Column("interpretation", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("frequency", sa.Text(), nullable=True),
        sa.Column("segment", sa.Text(), nullable=True),
        sa.Column("speaker", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("extractor", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="new", nullable=False),
        sa.Column("edits", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "words",
            postgresql.TSVECTOR(),
            sa.Computed("to_tsvector('simple'::regconfig, verbatim)", persisted=True),
            nullable=True,
        ),
        sa.CheckConstraint("frequency IN ('common', 'occasional', 'rare')", name=op.f("ck_signals_frequency")),
        sa.CheckConstraint("severity IN ('critical', 'high', 'medium', 'low')", name=op.f("ck_signals_severity")),
        sa.CheckConstraint("status IN ('new', 'reviewed', 'linked', 'archived')", name=op.f("ck_signals_status")),
        sa.CheckConstraint('"start" >= 0 AND "end" > "start"', name=op.f("ck_signals_span")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "document_id"],
            ["elmer.documents.workspace_id", "elmer.documents.id"],
            name=op.f("fk_signals_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_signals")),
        schema="elmer",
    )
    op.create_index("ix_signals_document", "signals", ["workspace_id", "document_id"], unique=False, schema="elmer")
    op.create_index("ix_signals_text_hash", "signals", ["workspace_id", "text_hash"], unique=False, schema="elmer")
    op.create_index("ix_signals_words", "signals", ["words"], unique=False, schema="elmer", postgresql_using="gin")
    op.create_table(
        "citations",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("artifact_id", sa.Text(), nullable=False),
        sa.Column("start", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("resolved", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "artifact_id"],
            ["elmer.artifacts.workspace_id", "elmer.artifacts.id"],
            name=op.f("fk_citations_artifacts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "artifact_id", "start", name=op.f("pk_citations")),
        schema="elmer",
    )
    op.create_table(
        "cluster_members",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=True),
        sa.Column("nearest_id", sa.Text(), nullable=True),
        sa.Column("similarity", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id", "signal_id"],
            ["elmer.signals.workspace_id", "elmer.signals.id"],
            name=op.f("fk_cluster_members_signals"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "signal_id", name=op.f("pk_cluster_members")),
        schema="elmer",
    )
    op.create_index(
        "ix_cluster_members_cluster", "cluster_members", ["workspace_id", "cluster_id"], unique=False, schema="elmer"
    )
    op.create_table(
        "duplicate_signals",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("similarity", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "signal_id"],
            ["elmer.signals.workspace_id", "elmer.signals.id"],
            name=op.f("fk_duplicate_signals_signals"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "signal_id", name=op.f("pk_duplicate_signals")),
        schema="elmer",
    )
    op.create_table(
        "signal_classifications",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("similarity", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('linked', 'new_initiative', 'too_short', 'unsure')",
            name=op.f("ck_signal_classifications_verdict"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "signal_id"],
            ["elmer.signals.workspace_id", "elmer.signals.id"],
            name=op.f("fk_signal_classifications_signals"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "signal_id", name=op.f("pk_signal_classifications")),
        schema="elmer",
    )
    op.create_table(
        "signal_links",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("similarity", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "method IN ('similarity', 'verified', 'cluster', 'human')", name=op.f("ck_signal_links_method")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["elmer.projects.workspace_id", "elmer.projects.id"],
            name=op.f("fk_signal_links_projects"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "signal_id"],
            ["elmer.signals.workspace_id", "elmer.signals.id"],
            name=op.f("fk_signal_links_signals"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "signal_id", "project_id", name=op.f("pk_signal_links")),
        schema="elmer",
    )
    op.create_index(
        "ix_signal_links_project", "signal_links", ["workspace_id", "project_id"], unique=False, schema="elmer"
    )


def downgrade() -> None:
    op.drop_index("ix_signal_links_project", table_name="signal_links", schema="elmer")
    op.drop_table("signal_links", schema="elmer")
    op.drop_table("signal_classifications", schema="elmer")
    op.drop_table("duplicate_signals", schema="elmer")
    op.drop_index("ix_cluster_members_cluster", table_name="cluster_members", schema="elmer")
    op.drop_table("cluster_members", schema="elmer")
    op.drop_table("citations", schema="elmer")
    op.drop_index("ix_signals_words", table_name="signals", schema="elmer", postgresql_using="gin")
    op.drop_index("ix_signals_text_hash", table_name="signals", schema="elmer")
    op.drop_index("ix_signals_document", table_name="signals", schema="elmer")
    op.drop_table("signals", schema="elmer")
    op.drop_table("rejected_quotes", schema="elmer")
    op.drop_index("ix_model_batch_items_fingerprint", table_name="model_batch_items", schema="elmer")
    op.drop_table("model_batch_items", schema="elmer")
    op.drop_table("initiatives", schema="elmer")
    op.drop_table("document_versions", schema="elmer")
    op.drop_table("cluster_trends", schema="elmer")
    op.drop_index("uq_artifacts_version", table_name="artifacts", schema="elmer")
    op.drop_table("artifacts", schema="elmer")
    op.drop_index("ix_spend_reservations_expires", table_name="spend_reservations", schema="elmer")
    op.drop_table("spend_reservations", schema="elmer")
    op.drop_table("source_files", schema="elmer")
    op.drop_table("projects", schema="elmer")
    op.drop_index("ix_outcomes_open", table_name="outcomes", schema="elmer", postgresql_where="state <> 'done'")
    op.drop_table("outcomes", schema="elmer")
    op.drop_index("ix_model_calls_at", table_name="model_calls", schema="elmer")
    op.drop_table("model_calls", schema="elmer")
    op.drop_index("ix_model_batches_open", table_name="model_batches", schema="elmer")
    op.drop_table("model_batches", schema="elmer")
    op.drop_table("model_answers", schema="elmer")
    op.drop_table("knowledge", schema="elmer")
    op.drop_table("embeddings", schema="elmer")
    op.drop_index(
        "uq_documents_live_address", table_name="documents", schema="elmer", postgresql_where="retired_at IS NULL"
    )
    op.drop_index("ix_documents_source", table_name="documents", schema="elmer")
    op.drop_index("ix_documents_content", table_name="documents", schema="elmer")
    op.drop_table("documents", schema="elmer")
    op.drop_table("clusters", schema="elmer")
    op.drop_table("cluster_events", schema="elmer")
    op.drop_index("ix_answer_records_record", table_name="answer_records", schema="elmer")
    op.drop_table("answer_records", schema="elmer")
    op.drop_table("workspaces", schema="elmer")
    op.drop_table("rate_limits", schema="elmer")
