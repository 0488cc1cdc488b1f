"""Alembic's environment: migrations run on the connection, and in the transaction, of whoever opens the ledger."""

from alembic import context

from evidence.database import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
