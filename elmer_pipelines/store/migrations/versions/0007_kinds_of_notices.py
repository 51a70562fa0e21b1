"""What a notice is about, so that a cluster can have several of one day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kind = sa.Column("kind", sa.Text(), server_default="cluster_spike", nullable=False)
    op.add_column("notices", kind, schema="elmer")
    op.drop_constraint(op.f("pk_notices"), "notices", schema="elmer")
    op.create_primary_key(op.f("pk_notices"), "notices", ["workspace_id", "cluster_id", "week", "kind"], schema="elmer")


def downgrade() -> None:
    op.execute("DELETE FROM elmer.notices WHERE kind <> 'cluster_spike'")
    op.drop_constraint(op.f("pk_notices"), "notices", schema="elmer")
    op.create_primary_key(op.f("pk_notices"), "notices", ["workspace_id", "cluster_id", "week"], schema="elmer")
    op.drop_column("notices", "kind", schema="elmer")
