"""`/tasks/{task_uuid}/time-entries`, and `/time-entries/running`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.time_entries import schemas, service

time_entries = Blueprint(
    "time_entries",
    __name__,
    url_prefix="/tasks/<uuid:task_uuid>/time-entries",
    description="Time that people spend on a task",
)
own_time = Blueprint(
    "own_time", __name__, url_prefix="/time-entries", description="Time of the caller"
)

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

TimeEntryPage = page_schema(schemas.TimeEntrySchema)
TimeEntryQuery = page_query(tuple(service.ORDER_BY), "started_at")


@own_time.route("/running", guard=CAN_READ)
@own_time.response(200, schemas.TimeEntrySchema)
def get_running_entry() -> Any:
    """Get what is running

    The caller's running entry, whatever the task; 404 where none is.
    """
    return service.get_running(current_user())


@time_entries.route("", guard=CAN_READ)
@time_entries.arguments(TimeEntryQuery, location="query")
@time_entries.response(200, TimeEntryPage)
def list_time_entries(query: PageRequest, task_uuid: uuid.UUID) -> Page:
    """List the time entries of a task

    Of all users. `search` looks into the note.
    """
    return service.page_of_entries(current_user(), task_uuid, query)


@time_entries.route("", methods=["POST"], guard=CAN_WRITE)
@time_entries.arguments(schemas.TimeEntryCreateSchema)
@time_entries.response(201, schemas.TimeEntrySchema)
def create_time_entry(data: dict[str, Any], task_uuid: uuid.UUID) -> Any:
    """Add time that was spent

    By the caller, and not in the future.
    """
    with transaction():
        return service.add_entry(current_user(), task_uuid, data)


@time_entries.route("/start", methods=["POST"], guard=CAN_WRITE)
@time_entries.arguments(schemas.TimeEntryStartSchema)
@time_entries.response(200, schemas.TimeEntrySchema)
def start_time_entry(data: dict[str, Any], task_uuid: uuid.UUID) -> Any:
    """Start the clock

    One entry of a user runs at a time: what ran on another task is stopped. Where the clock runs on
    this task already, that entry is the answer.
    """
    with transaction():
        return service.start(current_user(), task_uuid, data.get("note"))


@time_entries.route("/stop", methods=["POST"], guard=CAN_WRITE)
@time_entries.response(200, schemas.TimeEntrySchema)
def stop_time_entry(task_uuid: uuid.UUID) -> Any:
    """Stop the clock

    Ends the caller's running entry of this task; 409 where none is running.
    """
    with transaction():
        return service.stop(current_user(), task_uuid)


@time_entries.route("/<uuid:entry_uuid>", guard=CAN_READ)
@time_entries.response(200, schemas.TimeEntrySchema)
def get_time_entry(task_uuid: uuid.UUID, entry_uuid: uuid.UUID) -> Any:
    """Get one time entry"""
    return service.get_entry(current_user(), task_uuid, entry_uuid)


@time_entries.route("/<uuid:entry_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@time_entries.arguments(schemas.TimeEntryChangeSchema)
@time_entries.response(200, schemas.TimeEntrySchema)
def change_time_entry(data: dict[str, Any], task_uuid: uuid.UUID, entry_uuid: uuid.UUID) -> Any:
    """Change a time entry

    One of the caller's own. Only what is sent changes. A running one is ended by `stop` only.
    """
    with transaction():
        return service.change_entry(
            current_user(), task_uuid, entry_uuid, data, expected_versions()
        )


@time_entries.route("/<uuid:entry_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@time_entries.response(204)
def delete_time_entry(task_uuid: uuid.UUID, entry_uuid: uuid.UUID) -> None:
    """Delete a time entry

    One of the caller's own.
    """
    with transaction():
        service.delete_entry(current_user(), task_uuid, entry_uuid, expected_versions())
