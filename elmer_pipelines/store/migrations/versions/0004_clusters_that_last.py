"""Levels of clusters, the clusterings made, and people's pins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clusters", sa.Column("level", sa.Text(), server_default="theme", nullable=False), schema="elmer")
    op.add_column("clusters", sa.Column("distinction", sa.Text(), nullable=True), schema="elmer")
    op.add_column(
        "clusters",
        sa.Column("named_for", postgresql.JSONB(), server_default="[]", nullable=False),
        schema="elmer",
    )
    op.create_check_constraint(
        op.f("ck_clusters_level"), "clusters", "level IN ('area', 'theme', 'need')", schema="elmer"
    )
    op.add_column("cluster_members", sa.Column("need_id", sa.Text(), nullable=True), schema="elmer")
    op.add_column(
        "cluster_members",
        sa.Column("placed_by", sa.Text(), server_default="clustering", nullable=False),
        schema="elmer",
    )
    op.create_check_constraint(
        op.f("ck_cluster_members_placed_by"),
        "cluster_members",
        "placed_by IN ('clustering', 'neighbours', 'pin')",
        schema="elmer",
    )
    op.create_index("ix_cluster_members_need", "cluster_members", ["workspace_id", "need_id"], schema="elmer")
    _clusterings()
    _requests()
    _pins()
    _memory()


def _clusterings() -> None:
    op.create_table(
        "clusterings",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("signals", sa.Integer(), nullable=False),
        sa.Column("unclustered", sa.Integer(), nullable=False),
        sa.Column("clusters", sa.Integer(), nullable=False),
        sa.Column("figures", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.CheckConstraint(
            "reason IN ('first', 'drift', 'schedule', 'hand', 'settings', 'small')", name=op.f("ck_clusterings_reason")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["elmer.workspaces.id"], name=op.f("fk_clusterings_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_clusterings")),
        schema="elmer",
    )


def _pins() -> None:
    op.create_table(
        "cluster_pins",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("other_signal_id", sa.Text(), nullable=True),
        sa.Column("cluster_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('together', 'apart', 'belongs')", name=op.f("ck_cluster_pins_kind")),
        sa.CheckConstraint("(kind = 'belongs') = (cluster_id IS NOT NULL)", name=op.f("ck_cluster_pins_cluster")),
        sa.CheckConstraint("(kind = 'belongs') = (other_signal_id IS NULL)", name=op.f("ck_cluster_pins_other")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "signal_id"],
            ["elmer.signals.workspace_id", "elmer.signals.id"],
            name=op.f("fk_cluster_pins_signals"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "other_signal_id"],
            ["elmer.signals.workspace_id", "elmer.signals.id"],
            name=op.f("fk_cluster_pins_other_signals"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_cluster_pins")),
        schema="elmer",
    )
    op.create_index("ix_cluster_pins_signal", "cluster_pins", ["workspace_id", "signal_id"], schema="elmer")


def _requests() -> None:
    op.create_table(
        "clustering_requests",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("reason IN ('schedule', 'hand')", name=op.f("ck_clustering_requests_reason")),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["elmer.workspaces.id"],
            name=op.f("fk_clustering_requests_workspaces"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_clustering_requests")),
        schema="elmer",
    )


def _memory() -> None:
    op.add_column("clusters", sa.Column("centre", HALFVEC(), nullable=True), schema="elmer")
    op.add_column(
        "clusters",
        sa.Column("last_members", postgresql.JSONB(), server_default="[]", nullable=False),
        schema="elmer",
    )
    op.add_column("cluster_members", sa.Column("text_hash", sa.Text(), nullable=True), schema="elmer")
    op.add_column("cluster_events", sa.Column("clustering_id", sa.BigInteger(), nullable=True), schema="elmer")


def downgrade() -> None:
    op.drop_column("cluster_events", "clustering_id", schema="elmer")
    op.drop_index("ix_cluster_members_need", table_name="cluster_members", schema="elmer")
    for column in ("text_hash", "placed_by", "need_id"):
        op.drop_column("cluster_members", column, schema="elmer")
    for column in ("last_members", "centre", "named_for", "distinction", "level"):
        op.drop_column("clusters", column, schema="elmer")
    for table in ("cluster_pins", "clustering_requests", "clusterings"):
        op.drop_table(table, schema="elmer")
