"""`/users/import` and `/users/export`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Response, current_app, jsonify, request, stream_with_context
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from todo_app.accounts.service import WRITE
from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.database import transaction
from todo_app.errors import PROBLEM_TYPE
from todo_app.schemas import ProblemSchema
from todo_app.tenancy import current_tenant, tenant_scope
from todo_app.transfer import csv_files, schemas, service

users = Blueprint("transfer", __name__, url_prefix="/users", description="Users in bulk, as CSV")

CAN_WRITE = SignedIn(WRITE)
"""Not who may just read users: this is everybody's data at once."""

USER_LINE = schemas.UserLineSchema()

EXAMPLE = (
    "first_name,last_name,email,phone,role,language,timezone\r\n"
    "Ada,Lovelace,ada@acme.com,,user,pl,Europe/Warsaw\r\n"
)
CSV = {csv_files.MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}}


@users.route("/import", methods=["POST"], guard=CAN_WRITE, max_body_bytes=service.MAX_BYTES + 1)
@users.arguments(schemas.UserImportQuerySchema, location="query")
@users.doc(requestBody={"required": True, "content": CSV})
@users.response(201, schemas.ImportedSchema)
@users.alt_response(200, schema=schemas.ImportedSchema, description="A dry run found no error.")
@users.alt_response(
    415, schema=ProblemSchema, content_type=PROBLEM_TYPE, description="The body is not text/csv."
)
def import_users(query: dict[str, Any]) -> Any:
    """Import users

    From CSV in UTF-8 with a header, commas or semicolons between the cells, at most 10,000 lines
    and 5 MiB. `phone`, `language` and `timezone` may be left out; the company's settings stand for
    the last two. All are added or nobody: 422 tells in `errors.csv`, by line and column, what is
    wrong (of at most 100 lines). They have no password yet, and ask for a mail to set one.
    """
    charset = request.mimetype_params.get("charset", csv_files.CHARSET)
    if request.mimetype != csv_files.MEDIA_TYPE or charset.lower() != csv_files.CHARSET:
        raise UnsupportedMediaType("The body must be text/csv, in UTF-8.")
    data = request.get_data()
    # What comes in chunks, and does not say how long it is, is cut at the largest size.
    if len(data) > service.MAX_BYTES:
        raise RequestEntityTooLarge
    lines, report = csv_files.read(data, USER_LINE, service.MAX_LINES)
    public_url = current_app.config["SETTINGS"].public_url
    with transaction():
        imported = service.import_users(
            current_user(),
            lines,
            report,
            dry_run=query["dry_run"],
            notify_at=public_url if query["notify"] else None,
        )
    result = {"imported": imported, "lines": report.lines}
    return jsonify(result) if query["dry_run"] else result


@users.route("/export", guard=CAN_WRITE)
@users.doc(responses={"200": {"description": "All users who are not deleted.", "content": CSV}})
def export_users() -> Response:
    """Export users

    As CSV, with the columns that the import takes. A cell that a spreadsheet would take for a
    formula begins with an apostrophe; the import takes it away again.
    """
    with transaction():
        service.begin_export(current_user())
        tenant = current_tenant()
    lines = stream_with_context(_lines(tenant.schema_name))
    answer = Response(lines, mimetype=csv_files.MEDIA_TYPE)
    answer.headers.set("Content-Disposition", "attachment", filename=f"{tenant.slug}-users.csv")
    return answer


def _lines(schema_name: str) -> Iterator[bytes]:
    """The file, piece by piece.

    Each piece is read in a transaction of its own: whoever reads slowly holds no connection.
    """
    columns = service.USER_COLUMNS
    yield csv_files.write(columns, [dict(zip(columns, columns, strict=True))])
    after: int | None = 0
    while after is not None:
        with tenant_scope(schema_name, "schema_name"), transaction():
            rows = service.next_users(after)
        yield csv_files.write(columns, (row._mapping for row in rows))
        after = rows[-1].id if len(rows) == service.ROWS_AT_ONCE else None
