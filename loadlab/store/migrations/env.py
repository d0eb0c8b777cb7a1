"""Run by Alembic: migrates over the connection that loadlab.store.migration (or a test) hands in."""

from alembic import context

from loadlab.store import schema

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=schema.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
