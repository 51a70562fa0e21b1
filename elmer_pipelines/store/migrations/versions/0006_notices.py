"""The project a cluster is suggested for, and the notices that were given of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clusters", sa.Column("suggested_project_id", sa.Text(), nullable=True), schema="elmer")
    op.create_table(
        "notices",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id", "cluster_id"],
            ["elmer.clusters.workspace_id", "elmer.clusters.id"],
            name=op.f("fk_notices_clusters"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "cluster_id", "week", name=op.f("pk_notices")),
        schema="elmer",
    )
    op.create_index(
        "ix_notices_untold", "notices", ["workspace_id"], schema="elmer", postgresql_where=sa.text("told_at IS NULL")
    )


def downgrade() -> None:
    op.drop_table("notices", schema="elmer")
    op.drop_column("clusters", "suggested_project_id", schema="elmer")
