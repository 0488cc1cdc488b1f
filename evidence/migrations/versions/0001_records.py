"""The table of records: a chain over record ids, envelopes that retention can remove."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "records",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("record_id", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(160), nullable=False),
        sa.Column("collector", sa.String(160), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=True),
        sa.UniqueConstraint("record_id", name="records_record_id_key"),
        sa.UniqueConstraint("previous", name="records_previous_key"),
    )
    op.create_index("records_by_subject", "records", ["subject", "kind", "sequence"])
    op.create_index("records_by_kind", "records", ["kind", "sequence"])
