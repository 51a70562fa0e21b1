"""message batches: what they may cost, how their items ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATE = "ck_model_batch_items_state"


def upgrade() -> None:
    money = sa.Numeric(16, 10)
    op.add_column("model_batches", sa.Column("owed_usd", money, server_default="0", nullable=False), schema="elmer")
    for column in (
        sa.Column("prompt", sa.Text(), nullable=True),
        sa.Column("keep_as", sa.Text(), nullable=True),
        sa.Column("worst_usd", money, server_default="0", nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("retryable", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("told", sa.Boolean(), server_default="false", nullable=False),
    ):
        op.add_column("model_batch_items", column, schema="elmer")
    op.drop_constraint(op.f(_STATE), "model_batch_items", schema="elmer", type_="check")
    op.create_check_constraint(
        op.f(_STATE),
        "model_batch_items",
        "state IN ('waiting', 'purged', 'answered', 'failed', 'expired')",
        schema="elmer",
    )


def downgrade() -> None:
    op.execute("DELETE FROM elmer.model_batch_items WHERE state = 'purged'")
    op.drop_constraint(op.f(_STATE), "model_batch_items", schema="elmer", type_="check")
    op.create_check_constraint(
        op.f(_STATE), "model_batch_items", "state IN ('waiting', 'answered', 'failed', 'expired')", schema="elmer"
    )
    for column in ("told", "retryable", "message", "worst_usd", "keep_as", "prompt"):
        op.drop_column("model_batch_items", column, schema="elmer")
    op.drop_column("model_batches", "owed_usd", schema="elmer")
