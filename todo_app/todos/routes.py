"""`/tasks`."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.filters.service import found_by
from todo_app.pagination import page_schema
from todo_app.todos import deletion, moves, repeats, schemas, service, shown, times

tasks = Blueprint("tasks", __name__, url_prefix="/tasks", description="Things to do")

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

TaskPage = page_schema(schemas.TaskSchema)
TaskQuery = schemas.task_query(tuple(shown.ORDER_BY), "created_at")


@tasks.route("/", guard=CAN_READ)
@tasks.arguments(TaskQuery, location="query")
@tasks.response(200, TaskPage)
def list_tasks(query: dict[str, Any]) -> Response:
    """List tasks

    Of all lists that the caller may see. `search` looks into title and description. A task must
    meet all filters that are sent; `filter` is a condition over all fields, such as
    `status = new and not due < today`.
    """
    filters = query["filters"]
    where = found_by(current_user(), filters.pop("filter", None), filters.pop("filter_uuid", None))
    found = shown.page(current_user(), query["page"], filters, where)
    return Response(shown.as_json(found), mimetype="application/json")


@tasks.route("/", methods=["POST"], guard=CAN_WRITE)
@tasks.arguments(schemas.TaskCreateSchema)
@tasks.response(201, schemas.TaskDetailSchema)
def create_task(data: dict[str, Any]) -> Any:
    """Add a task

    It is the last of its list.
    """
    with transaction():
        return service.add_task(current_user(), data)


@tasks.route("/<uuid:task_uuid>", guard=CAN_READ)
@tasks.response(200, schemas.TaskDetailSchema)
def get_task(task_uuid: uuid.UUID) -> Any:
    """Get one task"""
    return shown.get_task(current_user(), task_uuid)


@tasks.route("/<uuid:task_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@tasks.arguments(schemas.TaskChangeSchema)
@tasks.response(200, schemas.TaskDetailSchema)
def change_task(data: dict[str, Any], task_uuid: uuid.UUID) -> Any:
    """Change a task

    Only what is sent changes. `completed_at` follows the status. In another list the task has
    neither section nor parent, unless they are sent, and a new number; its subtasks go with it, and
    assignees who cannot see that list are none any more.
    """
    with transaction():
        return service.change_task(current_user(), task_uuid, data, expected_versions())


@tasks.route("/<uuid:task_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@tasks.response(204)
def delete_task(task_uuid: uuid.UUID) -> None:
    """Put a task into the trash

    Its subtasks go with it.
    """
    with transaction():
        deletion.delete(current_user(), task_uuid, expected_versions())


@tasks.route("/<uuid:task_uuid>/restore", methods=["POST"], guard=CAN_WRITE, versioned=True)
@tasks.response(200, schemas.TaskDetailSchema)
def restore_task(task_uuid: uuid.UUID) -> Any:
    """Bring a task back from the trash

    With the subtasks that were deleted together with it. One that is not in the trash stays as it
    is.
    """
    with transaction():
        deletion.restore(current_user(), task_uuid, expected_versions())
        return shown.get_task(current_user(), task_uuid)


@tasks.route("/<uuid:task_uuid>/complete", methods=["POST"], guard=CAN_WRITE, versioned=True)
@tasks.response(200, schemas.TaskDetailSchema)
def complete_task(task_uuid: uuid.UUID) -> Any:
    """Complete a task

    The status becomes done. A task that is done already stays as it is. One that recurs is followed
    by the next, which takes its rule and its open subtasks; of those that are done it gets copies.
    Other subtasks stay as they are.
    """
    with transaction():
        return service.complete_task(current_user(), task_uuid, expected_versions())


@tasks.route("/<uuid:task_uuid>/reopen", methods=["POST"], guard=CAN_WRITE, versioned=True)
@tasks.response(200, schemas.TaskDetailSchema)
def reopen_task(task_uuid: uuid.UUID) -> Any:
    """Reopen a task

    A task that is done becomes new again. Any other stays as it is.
    """
    with transaction():
        return service.reopen_task(current_user(), task_uuid, expected_versions())


@tasks.route("/<uuid:task_uuid>/skip", methods=["POST"], guard=CAN_WRITE, versioned=True)
@tasks.response(200, schemas.TaskDetailSchema)
def skip_task(task_uuid: uuid.UUID) -> Any:
    """Skip to the next date

    Of a task that recurs; it is new again, and so are its subtasks. 409 where it does not recur or
    is the last of its series.
    """
    with transaction():
        repeats.skip_task(current_user(), task_uuid, expected_versions())
        return shown.get_task(current_user(), task_uuid)


@tasks.route("/<uuid:task_uuid>/move", methods=["POST"], guard=CAN_WRITE, versioned=True)
@tasks.arguments(schemas.TaskMoveSchema)
@tasks.response(200, schemas.TaskDetailSchema)
def move_task(data: dict[str, Any], task_uuid: uuid.UUID) -> Any:
    """Move a task

    After or before another of the list, or to its end, and into a list, section or task. All tasks
    of a list are in one order, of which sections and subtasks show parts. Subtasks move with it.
    """
    with transaction():
        moves.move_task(
            current_user(), task_uuid, data["target"], data["place"], expected_versions()
        )
        return shown.get_task(current_user(), task_uuid)


@tasks.route("/<uuid:task_uuid>/times", guard=CAN_READ)
@tasks.response(200, schemas.TimesSchema)
def get_times(task_uuid: uuid.UUID) -> Any:
    """Get the times in each status

    How long the task has had each of its statuses, and when it got them.
    """
    return times.times_of(current_user(), task_uuid)
