"""The floor: what `GET /users/` costs at least, in WSGI and psycopg2 with nothing in between.

One statement finds the tenant, checks the token and lets PostgreSQL build the whole answer. The
tenant's schema is fixed (`FLOOR_SCHEMA`), which is what saves the statement that enters it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import psycopg2
import psycopg2.extensions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

STATEMENT = """
SELECT json_build_object(
         'items', json_agg(person), 'total', count(*), 'page', 1, 'size', 50, 'pages', 1
       )::text
  FROM (
    SELECT u.uuid, u.first_name, u.last_name, u.email, u.phone, u.is_active, u.is_verified,
           json_build_object('uuid', r.uuid, 'name', r.name, 'title', r.title) AS role
      FROM users AS u
      JOIN roles AS r ON r.id = u.role_id
     WHERE u.deleted_at IS NULL
       AND EXISTS (
             SELECT FROM public.tenants AS t
              WHERE t.slug = %(tenant)s AND t.state = 'active'
                AND t.schema_name = %(schema_name)s AND t.schema_name = current_schema())
       AND EXISTS (
             SELECT FROM access_tokens AS k
               JOIN users AS caller ON caller.id = k.user_id
               JOIN roles AS callers ON callers.id = caller.role_id
              WHERE k.digest = %(digest)s AND k.expires_at > now()
                AND caller.is_active AND caller.deleted_at IS NULL
                AND 'users:read' = ANY (callers.permissions))
     ORDER BY u.last_name, u.id
     LIMIT 50
  ) AS person
HAVING count(*) > 0
"""

_thread = threading.local()


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer every request as `GET /users/` answers the caller; 401 where there is no such one."""
    schema_name, _, secret = environ.get("HTTP_AUTHORIZATION", "")[len("Bearer ") :].partition(".")
    values = {
        "tenant": environ.get("HTTP_TENANT", ""),
        "schema_name": schema_name,
        "digest": hashlib.sha256(secret.encode()).digest(),
    }
    with connection().cursor() as cursor:
        cursor.execute(STATEMENT, values)
        row = cursor.fetchone()
    body = row[0].encode() if row else b"{}"
    start_response(
        "200 OK" if row else "401 Unauthorized",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]


def connection() -> psycopg2.extensions.connection:
    """This thread's own connection, made at its first request."""
    if not hasattr(_thread, "connection"):
        _thread.connection = psycopg2.connect(
            os.environ["OPS_DATABASE_URL"], options=f"-c search_path={os.environ['FLOOR_SCHEMA']}"
        )
        _thread.connection.autocommit = True
    own: psycopg2.extensions.connection = _thread.connection
    return own
