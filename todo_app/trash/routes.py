"""`/trash`."""

from __future__ import annotations

from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.pagination import Page, page_schema
from todo_app.trash import schemas, service

trash = Blueprint(
    "trash", __name__, url_prefix="/trash", description="What was deleted and can be brought back"
)

CAN_READ = SignedIn("tasks:read")

TrashPage = page_schema(schemas.TrashItemSchema)


@trash.route("/", guard=CAN_READ)
@trash.arguments(schemas.TrashQuerySchema, location="query")
@trash.response(200, TrashPage)
def list_trash(query: dict[str, Any]) -> Page:
    """List what is in the trash

    Lists and tasks that were deleted; `POST /lists/{uuid}/restore` and
    `POST /tasks/{uuid}/restore` bring them back. What was deleted together with a list or task
    around it comes back with that one, and is not shown. `search` looks into the title.
    """
    return service.page_of_trash(current_user(), query["page"], query["filters"])
