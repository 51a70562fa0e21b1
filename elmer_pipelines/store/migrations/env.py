"""Alembic's entry: runs the migrations on the connection that `Database.migrate` opened and locked."""

from alembic import context

from elmer_pipelines.store.schema import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
    include_name=lambda name, kind, _parents: kind != "schema" or name == SCHEMA,
    transaction_per_migration=False,
)
context.run_migrations()
