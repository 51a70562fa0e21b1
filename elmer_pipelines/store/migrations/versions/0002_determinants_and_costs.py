"""What outcomes are determined by, what calls really cost, and records that a person wants asked anew."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _columns() -> list[tuple[str, sa.Column[Any]]]:
    return [
        ("model_calls", sa.Column("thinking_tokens", sa.Integer(), server_default="0", nullable=False)),
        ("model_calls", sa.Column("estimated", sa.Boolean(), server_default="false", nullable=False)),
        ("outcomes", sa.Column("ask_anew", sa.Boolean(), server_default="false", nullable=False)),
        ("outcomes", sa.Column("determined_by", postgresql.JSONB(), nullable=True)),
    ]


def upgrade() -> None:
    for table, column in _columns():
        op.add_column(table, column, schema="elmer")
    op.drop_index("ix_documents_content", table_name="documents", schema="elmer")
    op.create_index(
        "ix_document_versions_text", "document_versions", ["workspace_id", "text_fingerprint"], schema="elmer"
    )


def downgrade() -> None:
    op.drop_index("ix_document_versions_text", table_name="document_versions", schema="elmer")
    op.create_index("ix_documents_content", "documents", ["workspace_id", "content_hash"], schema="elmer")
    for table, column in _columns():
        op.drop_column(table, column.name, schema="elmer")
