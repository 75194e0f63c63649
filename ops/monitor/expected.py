"""What a tenant's schema must look like at a revision: built, described, and rolled back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy as sa

from ops.monitor import catalogue
from ops.tenants.job import epilogue, prelude
from ops.upgrades.script import for_schema, revisions, steps
from todo_app.config import Settings
from todo_app.database import OPS_BIND, db
from todo_app.errors import AppError, InvalidInputError
from todo_app.histories import SCHEMA_PLACEHOLDER
from todo_app.tenancy import SCHEMA_PREFIX, operations


class Expected(NamedTuple):
    """A schema as its revision makes it."""

    digest: str
    objects: list[catalogue.Object]


class Expectations:
    """What schemas must look like, each revision built once.

    Kept for one check of the fleet and not longer: the server may get a new version meanwhile, and
    would describe the same schema in other words.

    Args:
        settings: which roles there are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: dict[str, Expected | AppError | sa.exc.DBAPIError] = {}

    def at(self, revision: str) -> Expected:
        """The schema of a revision; empty for that of a tenant that was taken back to none.

        Raises:
            InvalidInputError: the tenant history has no such revision, or cannot be replayed.
            sqlalchemy.exc.DBAPIError: the database cannot build it.
        """
        if revision not in self._kept:
            try:
                self._kept[revision] = _build(revision, self._settings)
            except (AppError, sa.exc.DBAPIError) as error:
                if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
                    raise
                # Building it again for each of its tenants would fail as often.
                self._kept[revision] = error
        kept = self._kept[revision]
        if isinstance(kept, Exception):
            raise kept
        return kept

    def digest(self, revision: str) -> str | None:
        """The digest of the schema of a revision; None where it cannot be known."""
        try:
            return self.at(revision).digest
        except (AppError, sa.exc.DBAPIError):
            return None


def _build(revision: str, settings: Settings) -> Expected:
    """Make a schema with its role, look at it, and leave nothing of it behind."""
    if revision and revision not in revisions():
        raise InvalidInputError(f"This code does not have revision {revision}.")
    name = f"{SCHEMA_PREFIX}check_{secrets.token_hex(6)}"
    with operations():
        script = "\n".join(_statements(revision, settings))
    with db.engines[OPS_BIND].connect() as connection:
        try:
            connection.exec_driver_sql(
                for_schema(script, name), execution_options={"no_parameters": True}
            )
            catalogue.prepare(connection)
            return Expected(
                catalogue.digests(connection, [name])[name], catalogue.describe(connection, name)
            )
        finally:
            connection.rollback()


def _statements(revision: str, settings: Settings) -> Iterator[str]:
    # A schema that was taken back to no revision has kept its version table.
    way = steps("", revision) or [*steps("", revisions()[0]), *steps(revisions()[0], "")]
    # Whoever makes a tenant at the moment holds the role that all tenants' roles are members of.
    yield "SET LOCAL lock_timeout TO '5s';"
    yield prelude(settings)
    yield f"SET LOCAL search_path TO {SCHEMA_PLACEHOLDER};"
    for step in way:
        # Indexes of the same kind result, and all happens in one transaction here.
        yield from (sql.replace(" CONCURRENTLY ", " ", 1) for sql in step.outside)
        yield from step.inside
    yield epilogue(settings)
