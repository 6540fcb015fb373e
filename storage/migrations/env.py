"""Alembic's entry: runs migrations on the connection that `Database.migrate` hands over."""

from alembic import context
from sqlmodel import SQLModel

import storage.tables

assert storage.tables  # imported for its tables


def run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=True,  # SQLite can't alter most things in place
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
