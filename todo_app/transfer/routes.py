"""`/users/import` and `/users/export`, and the same of lists and tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import marshmallow as ma
from flask import Response, current_app, jsonify, request, stream_with_context
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from todo_app.accounts.service import WRITE
from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.database import transaction
from todo_app.errors import PROBLEM_TYPE
from todo_app.filters.service import found_by
from todo_app.schemas import ProblemSchema
from todo_app.tenancy import current_tenant, tenant_scope
from todo_app.transfer import (
    csv_files,
    list_import,
    schemas,
    service,
    task_export,
    task_import,
)

users = Blueprint("transfer", __name__, url_prefix="/users", description="Users in bulk, as CSV")
tasks = Blueprint(
    "task_transfer", __name__, url_prefix="/tasks", description="Tasks in bulk, as CSV"
)
lists = Blueprint(
    "list_transfer", __name__, url_prefix="/lists", description="Lists in bulk, as CSV"
)

CAN_WRITE = SignedIn(WRITE)
"""Not who may just read users: this is everybody's data at once."""

CAN_READ_TASKS = SignedIn("tasks:read")
CAN_WRITE_TASKS = SignedIn("tasks:write")

USER_LINE = schemas.UserLineSchema()
TASK_LINE = schemas.TaskLineSchema()
LIST_LINE = schemas.ListLineSchema()

EXAMPLE = (
    "first_name,last_name,email,phone,role,language,timezone\r\n"
    "Ada,Lovelace,ada@acme.com,,user,pl,Europe/Warsaw\r\n"
)
TASKS_EXAMPLE = (
    "id,parent,list,title,due,assignees,tags\r\n"
    '1,,Groceries,Buy milk,2026-12-31,ada@acme.com,"urgent,home"\r\n'
    "2,1,Groceries,Find the shop,,,\r\n"
)
LISTS_EXAMPLE = "id,parent,title,kind\r\n1,,Home,folder\r\n2,1,Groceries,list\r\n"

Batch = tuple[Sequence[Mapping[str, Any]], int | None]
"""Rows of a file, and the key of the last one where there may be more."""
Batches = Callable[[int], Batch]
"""What gives the rows behind the one with a key."""


def _csv(example: str) -> dict[str, Any]:
    return {csv_files.MEDIA_TYPE: {"schema": {"type": "string"}, "example": example}}


CSV = _csv(EXAMPLE)
TASKS_CSV = _csv(TASKS_EXAMPLE)
LISTS_CSV = _csv(LISTS_EXAMPLE)

NO_CSV = {
    "schema": ProblemSchema,
    "content_type": PROBLEM_TYPE,
    "description": "The body is not text/csv.",
}
DRY_RUN = {"schema": schemas.ImportedSchema, "description": "A dry run found no error."}


@users.route("/import", methods=["POST"], guard=CAN_WRITE, max_body_bytes=service.MAX_BYTES + 1)
@users.arguments(schemas.UserImportQuerySchema, location="query")
@users.doc(requestBody={"required": True, "content": CSV})
@users.response(201, schemas.ImportedSchema)
@users.alt_response(200, **DRY_RUN)
@users.alt_response(415, **NO_CSV)
def import_users(query: dict[str, Any]) -> Any:
    """Import users

    From CSV in UTF-8 with a header, commas or semicolons between the cells, at most 10,000 lines
    and 5 MiB. `phone`, `language` and `timezone` may be left out; the company's settings stand for
    the last two. All are added or nobody: 422 tells in `errors.csv`, by line and column, what is
    wrong (of at most 100 lines). They have no password yet, and ask for a mail to set one.
    """
    lines, report = _read_body(USER_LINE, service.MAX_BYTES, service.MAX_LINES)
    public_url = current_app.config["SETTINGS"].public_url
    with transaction():
        imported = service.import_users(
            current_user(),
            lines,
            report,
            dry_run=query["dry_run"],
            notify_at=public_url if query["notify"] else None,
        )
    return _imported(imported, report, query)


@users.route("/export", guard=CAN_WRITE)
@users.doc(responses={"200": {"description": "All users who are not deleted.", "content": CSV}})
def export_users() -> Response:
    """Export users

    As CSV, with the columns that the import takes. A cell that a spreadsheet would take for a
    formula begins with an apostrophe; the import takes it away again.
    """
    with transaction():
        service.begin_export(current_user())
        schema_name = current_tenant().schema_name
    return _file("users", _pieces(schema_name, service.USER_COLUMNS, _next_users))


def _next_users(after: int) -> Batch:
    rows = service.next_users(after)
    is_more = len(rows) == service.ROWS_AT_ONCE
    return [row._mapping for row in rows], rows[-1].id if is_more else None


@tasks.route(
    "/import", methods=["POST"], guard=CAN_WRITE_TASKS, max_body_bytes=task_import.MAX_BYTES + 1
)
@tasks.arguments(schemas.TaskImportQuerySchema, location="query")
@tasks.doc(requestBody={"required": True, "content": TASKS_CSV})
@tasks.response(201, schemas.ImportedSchema)
@tasks.alt_response(200, **DRY_RUN)
@tasks.alt_response(415, **NO_CSV)
def import_tasks(query: dict[str, Any]) -> Any:
    """Import tasks

    From CSV in UTF-8 with a header, at most 10,000 lines and 20 MiB. `title` is required, and a
    list, by name or id, in each line or as `list_uuid`; the columns that there may be are those of
    the export. All are added or none: 422 tells in `errors.csv`, by line and column, what is wrong
    (of at most 100 lines). Tags that are not there are made.
    """
    lines, report = _read_body(TASK_LINE, task_import.MAX_BYTES, task_import.MAX_LINES)
    with transaction():
        imported = task_import.import_tasks(
            current_user(), lines, report, into=query.get("list_uuid"), dry_run=query["dry_run"]
        )
    return _imported(imported, report, query)


@tasks.route("/export", guard=CAN_READ_TASKS)
@tasks.arguments(schemas.TaskExportQuerySchema, location="query")
@tasks.doc(responses={"200": {"description": "The tasks.", "content": TASKS_CSV}})
def export_tasks(query: dict[str, Any]) -> Response:
    """Export tasks

    As CSV, all that the caller may see, or those that a filter finds. The import takes its columns.
    People are told by their addresses where the caller may read users, else by their ids.
    """
    actor = current_user()
    with transaction():
        where = found_by(actor, query.get("filter"), query.get("filter_uuid"))
        schema_name = current_tenant().schema_name

    def read(after: int) -> Batch:
        return task_export.next_tasks(actor, after, where)

    return _file("tasks", _pieces(schema_name, task_import.COLUMNS, read))


@lists.route(
    "/import", methods=["POST"], guard=CAN_WRITE_TASKS, max_body_bytes=list_import.MAX_BYTES + 1
)
@lists.arguments(schemas.ListImportQuerySchema, location="query")
@lists.doc(requestBody={"required": True, "content": LISTS_CSV})
@lists.response(201, schemas.ImportedSchema)
@lists.alt_response(200, **DRY_RUN)
@lists.alt_response(415, **NO_CSV)
def import_lists(query: dict[str, Any]) -> Any:
    """Import lists

    From CSV in UTF-8 with a header, at most 10,000 lines and 10 MiB. `title` is required; the
    columns that there may be are those of the export. `parent` is the `id` of another line, or the
    name or id of a list that is there. All are added or none: 422 tells in `errors.csv`, by line
    and column, what is wrong (of at most 100 lines).
    """
    lines, report = _read_body(LIST_LINE, list_import.MAX_BYTES, list_import.MAX_LINES)
    with transaction():
        imported = list_import.import_lists(current_user(), lines, report, dry_run=query["dry_run"])
    return _imported(imported, report, query)


@lists.route("/export", guard=CAN_READ_TASKS)
@lists.doc(responses={"200": {"description": "The lists.", "content": LISTS_CSV}})
def export_lists() -> Response:
    """Export lists

    As CSV, with folders and archived ones, all that the caller may see. The import takes its
    columns.
    """
    actor = current_user()
    schema_name = current_tenant().schema_name

    def read(after: int) -> Batch:
        return list_import.next_lists(actor, after)

    return _file("lists", _pieces(schema_name, list_import.COLUMNS, read))


def _read_body(
    schema: ma.Schema, max_bytes: int, max_lines: int
) -> tuple[list[csv_files.Line], csv_files.Report]:
    """The lines that are sent, and what is wrong with them."""
    charset = request.mimetype_params.get("charset", csv_files.CHARSET)
    if request.mimetype != csv_files.MEDIA_TYPE or charset.lower() != csv_files.CHARSET:
        raise UnsupportedMediaType("The body must be text/csv, in UTF-8.")
    data = request.get_data()
    # What comes in chunks, and does not say how long it is, is cut at the largest size.
    if len(data) > max_bytes:
        raise RequestEntityTooLarge
    return csv_files.read(data, schema, max_lines)


def _imported(imported: int, report: csv_files.Report, query: dict[str, Any]) -> Any:
    result = {"imported": imported, "lines": report.lines}
    return jsonify(result) if query["dry_run"] else result


def _file(name: str, pieces: Iterable[bytes]) -> Response:
    answer = Response(stream_with_context(iter(pieces)), mimetype=csv_files.MEDIA_TYPE)
    filename = f"{current_tenant().slug}-{name}.csv"
    answer.headers.set("Content-Disposition", "attachment", filename=filename)
    return answer


def _pieces(schema_name: str, columns: Sequence[str], read: Batches) -> Iterator[bytes]:
    """The file, piece by piece.

    Each piece is read in a transaction of its own: whoever reads slowly holds no connection.
    """
    yield csv_files.write(columns, [dict(zip(columns, columns, strict=True))])
    after: int | None = 0
    while after is not None:
        with tenant_scope(schema_name, "schema_name"), transaction():
            rows, after = read(after)
        yield csv_files.write(columns, rows)
