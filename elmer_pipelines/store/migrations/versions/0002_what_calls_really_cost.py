"""thinking tokens and lost answers in the ledger; records that a person wants asked anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (
        ("model_calls", sa.Column("thinking_tokens", sa.Integer(), server_default="0", nullable=False)),
        ("model_calls", sa.Column("estimated", sa.Boolean(), server_default="false", nullable=False)),
        ("outcomes", sa.Column("ask_anew", sa.Boolean(), server_default="false", nullable=False)),
    ):
        op.add_column(table, column, schema="elmer")


def downgrade() -> None:
    for table, column in (("outcomes", "ask_anew"), ("model_calls", "estimated"), ("model_calls", "thinking_tokens")):
        op.drop_column(table, column, schema="elmer")
