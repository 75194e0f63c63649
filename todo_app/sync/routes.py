"""`/sync`."""

from __future__ import annotations

from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.bulk.schemas import MAX_BODY_BYTES
from todo_app.database import transaction
from todo_app.errors import PROBLEM_TYPE, as_problem
from todo_app.schemas import ProblemSchema
from todo_app.sync import push, schemas, service

sync = Blueprint("sync", __name__, url_prefix="/sync", description="For clients that work offline")

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")


@sync.route("", guard=CAN_READ)
@sync.arguments(schemas.SyncQuerySchema, location="query")
@sync.response(200, schemas.DeltaSchema)
@sync.alt_response(
    410,
    schema=ProblemSchema,
    content_type=PROBLEM_TYPE,
    description="The token is older than 90 days, or the data were restored: begin without one.",
)
def get_changes(query: dict[str, Any]) -> dict[str, Any]:
    """Get what has changed

    Since the token of the answer before; without one, all there is. Things come as they are now, in
    any order, and maybe more than once. No change is ever missed. While `has_more`, ask again.
    """
    delta = service.changes_since(current_user(), query.get("since"), query["size"])
    return {
        "token": delta.token,
        "has_more": delta.has_more,
        "list_uuids": delta.list_uuids,
        "deleted": delta.deleted,
        **delta.things,
    }


@sync.route("", methods=["POST"], guard=CAN_WRITE, max_body_bytes=MAX_BODY_BYTES)
@sync.arguments(schemas.PushSchema)
@sync.response(200, schemas.PushResultsSchema)
def push_changes(data: dict[str, Any]) -> dict[str, Any]:
    """Send what was changed offline

    Up to 500 operations: those of `POST /tasks/bulk`, and `create_list`, `create_section` and
    `create_tag`, which are done first. What is created may have a temporary id, which stands for it
    in all other operations of the request. Send an Idempotency-Key: then a request of which no
    answer came can be sent again.
    """
    with transaction():
        results = push.push(current_user(), data["operations"], is_atomic=data["atomic"])
    return {
        "results": [{**result._asdict(), "error": as_problem(result.error)} for result in results]
    }
