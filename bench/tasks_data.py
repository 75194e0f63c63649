"""A tenant with many tasks, each with tags and assignees, the same in every run."""

from __future__ import annotations

from contextlib import closing

import psycopg2
from psycopg2 import sql

from bench.installation import Installation

PEOPLE = 20
LISTS = 20
TAGS = 20

FILL = """
INSERT INTO users (first_name, last_name, email, password_hash, role_id)
SELECT 'Grace', 'Hopper', 'grace' || n || '@tasks.example', 'none: nobody signs in',
       (SELECT id FROM roles WHERE name = 'user')
  FROM generate_series(2, %(people)s) AS n;

INSERT INTO lists (title, created_by_id)
SELECT 'Tasks ' || n, (SELECT min(id) FROM users) FROM generate_series(1, %(lists)s) AS n;

INSERT INTO tags (name, color)
SELECT 'tag' || n, '#1e90ff' FROM generate_series(1, %(tags)s) AS n;

CREATE TEMPORARY TABLE people ON COMMIT DROP AS
SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM users;

CREATE TEMPORARY TABLE words ON COMMIT DROP AS
SELECT n, 'word' || n AS word FROM generate_series(0, 1999) AS n;

INSERT INTO tasks (list_id, title, description, status, priority, due_at, completed_at,
                   created_by_id, created_at, updated_at)
SELECT l.id, 'Task ' || s.n || ' ' || a.word, repeat(b.word || ' ', 5) || c.word,
       CASE WHEN s.n %% 3 = 0 THEN 'done' ELSE 'new' END, s.n %% 6,
       timestamptz '2026-01-01 00:00+00' + s.n %% 8760 * interval '1 hour',
       CASE WHEN s.n %% 3 = 0 THEN timestamptz '2026-06-01 00:00+00' END,
       p.id, moment.at, moment.at
  FROM generate_series(1, %(tasks)s) AS s (n)
  JOIN lists AS l ON l.title = 'Tasks ' || 1 + s.n %% %(lists)s
  JOIN people AS p ON p.n = s.n %% %(people)s
  JOIN words AS a ON a.n = s.n %% 1999
  JOIN words AS b ON b.n = s.n %% 1000
  JOIN words AS c ON c.n = s.n * 7 %% 2000
  JOIN LATERAL (SELECT timestamptz '2026-01-01 00:00+00' + s.n * interval '1 minute' AS at)
       AS moment ON true
 ORDER BY s.n;

INSERT INTO task_tags (task_id, tag_id)
SELECT k.id, g.id FROM tasks AS k JOIN tags AS g ON g.id %% %(tags)s IN (
       k.id %% %(tags)s, (k.id + 7) %% %(tags)s);

INSERT INTO task_assignees (task_id, user_id)
SELECT k.id, p.id FROM tasks AS k
  JOIN people AS p ON p.n IN (k.id %% %(people)s, (k.id * 3 + 1) %% %(people)s);

INSERT INTO changes (kind, uuid, list_id) SELECT 'task', uuid, list_id FROM tasks
"""


def fill(installation: Installation, schema_name: str, tasks: int) -> list[str]:
    """Give a tenant that has one user so many tasks; the UUIDs of their lists."""
    with closing(psycopg2.connect(installation.env["OPS_DATABASE_URL"])) as connection:
        with connection, connection.cursor() as cursor:
            path = sql.SQL("SET search_path TO {}").format(sql.Identifier(schema_name))
            cursor.execute(path)
            numbers = {"people": PEOPLE, "lists": LISTS, "tags": TAGS, "tasks": tasks}
            cursor.execute(FILL, numbers)
            cursor.execute("SELECT uuid::text FROM lists WHERE title LIKE 'Tasks %' ORDER BY id")
            lists = [row[0] for row in cursor.fetchall()]
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    return lists
