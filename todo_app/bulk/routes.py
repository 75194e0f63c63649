"""`/tasks/bulk`."""

from __future__ import annotations

from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.bulk import schemas, service
from todo_app.database import transaction
from todo_app.errors import as_problem

bulk = Blueprint("bulk", __name__, url_prefix="/tasks/bulk", description="Many changes at once")

CAN_WRITE = SignedIn("tasks:write")


@bulk.route("", methods=["POST"], guard=CAN_WRITE, max_body_bytes=schemas.MAX_BODY_BYTES)
@bulk.arguments(schemas.BulkSchema)
@bulk.response(200, schemas.ResultsSchema)
def change_many(data: dict[str, Any]) -> Any:
    """Change many tasks

    Up to 500 operations: `create`, `update`, `complete`, `move` and `delete`. With `atomic` all or
    none are done; the error says which one was not possible. Without, each is done for itself, and
    has its own status and error. At most 50 of them set a recurrence.
    """
    with transaction():
        results = service.run(current_user(), data["operations"], is_atomic=data["atomic"])
    return {"results": [_shown(result) for result in results]}


def _shown(result: service.Result) -> dict[str, Any]:
    error, task = result.error, result.task
    return {
        "status": result.status,
        "task": task,
        "version": task.version if task else None,
        "error": as_problem(error),
    }
