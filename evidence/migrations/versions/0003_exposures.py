"""Who was seen in a stage with an A/B test, and in which arm: the request log's epochs forget it, a test may not."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "rollout_exposures",
        sa.Column("rollout_id", sa.String(160), primary_key=True),
        sa.Column("stage", sa.String(160), primary_key=True),
        sa.Column("user_hash", sa.String(64), primary_key=True),
        sa.Column("assigned", sa.String(16), primary_key=True),
    )
