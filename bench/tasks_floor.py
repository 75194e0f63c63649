"""The floor of tasks: what a page or a new task costs at least, in WSGI and psycopg2 alone.

One statement finds the tenant, checks the token, says which lists its user sees, and lets
PostgreSQL build the whole answer. The tenant's schema is fixed (`FLOOR_SCHEMA`), which saves the
statement that enters it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bench.floor import connection

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CALLER = """
caller AS (
  SELECT u.id
    FROM access_tokens AS k
    JOIN users AS u ON u.id = k.user_id
    JOIN roles AS r ON r.id = u.role_id
   WHERE k.digest = %(digest)s AND k.expires_at > now()
     AND u.is_active AND u.deleted_at IS NULL
     AND 'tasks:read' = ANY (r.permissions)
     AND EXISTS (SELECT FROM public.tenants AS t
                  WHERE t.slug = %(tenant)s AND t.state = 'active'
                    AND t.schema_name = %(schema_name)s AND t.schema_name = current_schema())
), seen AS (
  SELECT l.id, l.uuid, l.title, l.symbol
    FROM lists AS l, caller
   WHERE l.deleted_at IS NULL
     AND (l.visibility = 'company' OR l.created_by_id = caller.id
          OR EXISTS (SELECT FROM list_members AS m
                      WHERE m.list_id = l.id
                        AND (m.user_id = caller.id OR m.group_id IN (
                             SELECT g.group_id FROM group_members AS g
                              WHERE g.user_id = caller.id))))
)
"""

PERSON = "json_build_object('uuid', uuid, 'first_name', first_name, 'last_name', last_name)"

SHAPE = f"""
SELECT t.uuid, t.title, t.description, t.status, t.priority, t.start_at, t.due_at, t.is_all_day,
       t.timezone, t.estimate_seconds, t.recurrence, t.recurs_from, t.completed_at, t.position,
       t.created_at, t.updated_at,
       CASE WHEN t.number > 0 THEN (SELECT symbol || '-' || t.number FROM seen
                                     WHERE seen.id = t.list_id) END AS symbol,
       (SELECT json_build_object('uuid', uuid, 'title', title) FROM seen
         WHERE seen.id = t.list_id) AS list,
       (SELECT uuid FROM tasks WHERE tasks.id = t.parent_id) AS parent_uuid,
       (SELECT uuid FROM sections WHERE sections.id = t.section_id) AS section_uuid,
       (SELECT coalesce(json_agg({PERSON} ORDER BY a.created_at, users.id), '[]')
          FROM task_assignees AS a JOIN users ON users.id = a.user_id
         WHERE a.task_id = t.id) AS assignees,
       (SELECT coalesce(json_agg(json_build_object('uuid', uuid, 'name', name, 'color', color)
                                 ORDER BY lower(name)), '[]')
          FROM task_tags AS g JOIN tags ON tags.id = g.tag_id
         WHERE g.task_id = t.id) AS tags,
       (SELECT coalesce(json_object_agg(f.name, v.value), '{{}}')
          FROM field_values AS v JOIN list_fields AS f ON f.id = v.field_id
         WHERE v.task_id = t.id) AS fields,
       (SELECT json_build_object('total', count(*), 'done', count(*) FILTER (WHERE status = 'done'))
          FROM tasks WHERE parent_id = t.id AND deleted_at IS NULL) AS subtasks,
       (SELECT coalesce(sum(extract(epoch FROM ended_at - started_at)), 0)::bigint
          FROM time_entries WHERE task_id = t.id) AS tracked_seconds,
       (SELECT {PERSON} FROM users WHERE users.id = t.created_by_id) AS created_by
"""

_PAGE = f"""
WITH {CALLER}, page AS (
  SELECT tasks.* FROM tasks
   WHERE tasks.deleted_at IS NULL AND tasks.list_id IN (SELECT id FROM seen) AND __WHERE__
   ORDER BY tasks.created_at, tasks.id
   LIMIT 50
), total AS (
  SELECT count(*) AS n FROM tasks
   WHERE tasks.deleted_at IS NULL AND tasks.list_id IN (SELECT id FROM seen) AND __WHERE__
)
SELECT json_build_object(
         'items', coalesce((SELECT json_agg(row_to_json(item) ORDER BY item.created_at)
                              FROM ({SHAPE} FROM page AS t) AS item), '[]'),
         'total', total.n, 'page', 1, 'size', 50, 'pages', (total.n + 49) / 50)::text
  FROM total, caller
"""

ADD = f"""
WITH {CALLER}, t AS (
  INSERT INTO tasks (list_id, title, description, priority, due_at, created_by_id)
  SELECT seen.id, %(title)s, %(description)s, %(priority)s, %(due_at)s, caller.id
    FROM seen, caller WHERE seen.uuid = %(list_uuid)s::uuid
  RETURNING *
)
SELECT row_to_json(item)::text FROM ({SHAPE} FROM t) AS item
"""


def page(where: str = "true") -> str:
    """The statement of the first page of the tasks for which a condition on `tasks` holds."""
    return _PAGE.replace("__WHERE__", where)


def credentials(tenant: str, token: str) -> dict[str, Any]:
    """Whom a statement is for: the parameters of `CALLER`."""
    schema_name, _, secret = token.partition(".")
    digest = hashlib.sha256(secret.encode()).digest()
    return {"tenant": tenant, "schema_name": schema_name, "digest": digest}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer GET as the first page of `/tasks/`, and POST as its new task; else 401."""
    token = environ.get("HTTP_AUTHORIZATION", "")[len("Bearer ") :]
    values = credentials(environ.get("HTTP_TENANT", ""), token)
    statement, status = PAGE, "200 OK"
    if environ["REQUEST_METHOD"] == "POST":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        values |= json.loads(environ["wsgi.input"].read(length))
        statement, status = ADD, "201 Created"
    with connection().cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    body = row[0].encode() if row else b"{}"
    start_response(
        status if row else "401 Unauthorized",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]


PAGE = page()
