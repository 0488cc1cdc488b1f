"""The tables of rollouts: their journal, and what their ticks have seen."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "rollouts",
        sa.Column("rollout_id", sa.String(160), primary_key=True),
        sa.Column("release", sa.String(160), nullable=False),
        sa.Column("subject", sa.String(160), nullable=False),
        sa.Column("plan_digest", sa.String(64), nullable=False),
        sa.Column("started_at", sa.String(40), nullable=False),
        sa.Column("notified", sa.Integer, nullable=False),
        sa.Column("observation", sa.JSON, nullable=False),
    )
    op.create_index("rollouts_by_release", "rollouts", ["release", "started_at"])
    op.create_table(
        "rollout_journal",
        sa.Column("rollout_id", sa.String(160), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("stage", sa.String(160), nullable=False),
        sa.Column("canary_slots", sa.Integer, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_table(
        "rollout_requests",
        sa.Column("rollout_id", sa.String(160), primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "rollout_users",
        sa.Column("rollout_id", sa.String(160), primary_key=True),
        sa.Column("user_hash", sa.String(64), primary_key=True),
    )
