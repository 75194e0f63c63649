"""The databases of the server."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from todo_app.database import db

_DATABASES = sa.text(
    "SELECT d.datname AS name, pg_get_userbyid(d.datdba) AS owner,"
    " CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END AS bytes,"
    " pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collation,"
    " d.datallowconn AS allows_connections,"
    " coalesce(ARRAY(SELECT a::text FROM unnest(d.datacl) AS a), '{}') AS access,"
    " d.datname = current_database() AS is_this"
    " FROM pg_database AS d WHERE NOT d.datistemplate ORDER BY d.datname"
)


def databases() -> list[dict[str, Any]]:
    """Each with its owner, its size in bytes, its encoding, and who may do what in it.

    A size is None where this role may not connect; an access list is PostgreSQL's own notation, and
    empty where nothing but the default was ever granted.
    """
    return [dict(row) for row in db.session.execute(_DATABASES).mappings()]
