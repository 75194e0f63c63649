"""Rules of our own: what replaying a revision for thousands of schemas relies on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from migrations.lint.revision import Finding, Revision
from todo_app.histories import TENANT

READING = {"get_bind", "is_offline_mode", "as_sql", "bind", "connection"}
"""Names by which a revision could look at the database, or find out that there is none."""

BESIDE_READING = {"get_bind", "get_context", "execute"}
"""What of `op` a revision with `reads_data` may use."""

_CONCURRENTLY = re.compile(r"(CREATE( UNIQUE)?|DROP) INDEX CONCURRENTLY (?!IF\b)")
_CHANGES_ROWS = re.compile(r"(UPDATE|DELETE|MERGE|WITH)\b|INSERT\b.*\bSELECT\b", re.DOTALL)
_TEXT = re.compile(r"'[^']*'")
_NAMES_SCHEMA = re.compile(
    r"\bpublic\."
    r"|\bsearch_path\b"
    r"|\b(TABLE|INTO|UPDATE|REFERENCES|JOIN|ONLY|EXISTS|INDEX|CONCURRENTLY|INDEX\b[^;(]*?\bON)"
    r'\s+"?\w+"?\."?\w',
    re.IGNORECASE,
)
_SMALL_KEY = re.compile(
    r'(?:^|\bCOLUMN|[,(])\s*"?(?:id|\w+_id)"?\s+(?:SMALLINT|INTEGER|INT)\b',
    re.IGNORECASE | re.MULTILINE,
)


def check(revision: Revision) -> Iterator[Finding]:
    """The rules that no revision may except itself from: the runner relies on them."""
    if revision.error:
        yield revision.find("offline", f"It cannot be rendered as SQL: {revision.error}")
    yield from _check_reading(revision)
    yield from _check_concurrent(revision)
    yield from _check_downgrade(revision)
    for sql in revision.upgrade:
        if "squawk-" in sql:
            message = "Write `lint_exceptions` with a reason, no comment for squawk."
            yield revision.find("lint_exceptions", message, sql)
    if revision.history == TENANT:
        for sql in (*revision.upgrade, *revision.downgrade):
            if _NAMES_SCHEMA.search(_TEXT.sub("''", sql)):
                yield revision.find(
                    "no-schema",
                    "A revision of the tenant history names no schema: the search_path is the"
                    " tenant's alone.",
                    sql,
                )


def advise(revision: Revision) -> Iterator[Finding]:
    """The rules that a revision may except itself from, with a reason."""
    is_altering = any(sql.startswith("ALTER TABLE") for sql in revision.upgrade)
    for sql in revision.upgrade:
        if is_altering and _CHANGES_ROWS.match(sql):
            yield revision.find(
                "rows-apart",
                "The lock of ALTER TABLE is held until the rows are changed. Change them in a"
                " revision of their own.",
                sql,
            )
        if _SMALL_KEY.search(sql):
            yield revision.find("bigint-keys", "Keys, and what refers to them, are BIGINT.", sql)


def _check_reading(revision: Revision) -> Iterator[Finding]:
    nodes = list(ast.walk(revision.source))
    if not revision.reads_data:
        names = {_name(node) for node in nodes} & READING
        if names:
            yield revision.find(
                "reads-data",
                f"{', '.join(sorted(names))}: only SQL can be replayed. Say `reads_data = True`"
                " where the revision has to run as Python for each tenant.",
            )
        return
    used = {
        node.attr for node in nodes if isinstance(node, ast.Attribute) and _name(node.value) == "op"
    } - BESIDE_READING
    if used:
        yield revision.find(
            "reads-data",
            f"op.{', op.'.join(sorted(used))}: new tenants are made without running this. Change"
            " the schema in a revision of its own.",
        )


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _check_concurrent(revision: Revision) -> Iterator[Finding]:
    for statements in (revision.upgrade, revision.downgrade):
        outside, inside = _split(statements)
        if outside and inside:
            yield revision.find(
                "concurrent-alone",
                "This stands beside an autocommit_block. When that fails, one is done and the"
                " other is not: write a revision of its own.",
                inside[0],
            )
        for sql in outside:
            if not _CONCURRENTLY.match(sql):
                yield revision.find(
                    "concurrent-alone",
                    "An autocommit_block holds CREATE or DROP INDEX CONCURRENTLY and nothing else,"
                    " without IF EXISTS: that is what can be repaired.",
                    sql,
                )


def _split(statements: list[str]) -> tuple[list[str], list[str]]:
    """Apart: what is outside of all transactions, and what is inside of one."""
    outside: list[str] = []
    inside: list[str] = []
    is_inside = False
    for sql in statements:
        if sql in ("BEGIN;", "COMMIT;"):
            is_inside = sql == "BEGIN;"
        else:
            (inside if is_inside else outside).append(sql)
    return outside, inside


def _check_downgrade(revision: Revision) -> Iterator[Finding]:
    for node in revision.source.body:
        if isinstance(node, ast.FunctionDef) and node.name == "downgrade":
            body = "\n".join(map(ast.unparse, node.body))
            if body in ("pass", "..."):
                yield revision.find(
                    "downgrade",
                    "downgrade() takes back what upgrade() did, or says in its docstring why there"
                    " is nothing to take back.",
                )
