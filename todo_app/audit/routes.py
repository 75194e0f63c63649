"""`/audit`."""

from __future__ import annotations

from todo_app.audit import schemas, service
from todo_app.auth import SignedIn
from todo_app.blueprint import Blueprint
from todo_app.pagination import Page, page_schema

audit = Blueprint("audit", __name__, url_prefix="/audit", description="Who did what")

AuditPage = page_schema(schemas.AuditEntrySchema)


@audit.route("/", guard=SignedIn("audit:read"))
@audit.arguments(schemas.AuditQuerySchema, location="query")
@audit.response(200, AuditPage)
def list_entries(query: schemas.AuditQuery) -> Page:
    """See who did what, when, and from where

    The newest first. `search` looks into the name of who did it, the action, and the address that
    the request came from. Nobody can change the record; how long it lasts is a setting.
    """
    return service.page_of_entries(query.page, **query.filters)
