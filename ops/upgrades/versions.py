"""What the tenants' own version tables say."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from todo_app.database import quote_identifier

_WITH_VERSION_TABLE = sa.text(
    "SELECT n.nspname FROM pg_namespace AS n JOIN pg_attribute AS a"
    " ON a.attrelid = to_regclass(quote_ident(n.nspname) || '.alembic_version')"
    " WHERE n.nspname = ANY (CAST(:schemas AS text[])) AND a.attname = 'version_num'"
)


def read_versions(connection: sa.Connection, schemas: Sequence[str]) -> dict[str, str]:
    """The revisions of some schemas, of those that have a version table.

    Args:
        connection: as the owner of the schemas.
        schemas: their names; one statement locks the version tables of all until it ends.

    Returns:
        By name, the revision; empty where the table is empty, and with commas where it holds more
        than one, as none should.
    """
    names = list(connection.scalars(_WITH_VERSION_TABLE, {"schemas": list(schemas)}))
    if not names:
        return {}
    selects = (
        f"SELECT {number} AS number, string_agg(version_num::text, ', ' ORDER BY version_num)"  # noqa: S608
        f" AS revision FROM {quote_identifier(name)}.alembic_version"
        for number, name in enumerate(names)
    )
    rows = connection.exec_driver_sql(
        " UNION ALL ".join(selects), execution_options={"no_parameters": True}
    )
    return {names[row.number]: row.revision or "" for row in rows}
