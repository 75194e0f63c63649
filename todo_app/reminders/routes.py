"""`/reminders`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.database import transaction
from todo_app.pagination import Page, page_schema
from todo_app.reminders import schemas, service

reminders = Blueprint(
    "reminders", __name__, url_prefix="/reminders", description="The caller's reminders of tasks"
)

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

ReminderPage = page_schema(schemas.ReminderSchema)


@reminders.route("/", guard=CAN_READ)
@reminders.arguments(schemas.ReminderQuerySchema, location="query")
@reminders.response(200, ReminderPage)
def list_reminders(query: dict[str, Any]) -> Page:
    """List the caller's reminders

    The next one comes first, those that were sent last. Nobody sees those of others.
    """
    return service.page_of_reminders(current_user(), query["page"], query["task_uuid"])


@reminders.route("/", methods=["POST"], guard=CAN_WRITE)
@reminders.arguments(schemas.ReminderCreateSchema)
@reminders.response(201, schemas.ReminderSchema)
def create_reminder(data: dict[str, Any]) -> Any:
    """Remind the caller of a task

    By mail: at a moment, or some time before the task is due, which follows the due date. None is
    sent of a task that is done, rejected or deleted by then.
    """
    with transaction():
        return service.add_reminder(current_user(), **data)


@reminders.route("/<uuid:reminder_uuid>", guard=CAN_READ)
@reminders.response(200, schemas.ReminderSchema)
def get_reminder(reminder_uuid: uuid.UUID) -> Any:
    """Get one reminder"""
    return service.get_reminder(current_user(), reminder_uuid)


@reminders.route("/<uuid:reminder_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@reminders.response(204)
def delete_reminder(reminder_uuid: uuid.UUID) -> None:
    """Take a reminder away"""
    with transaction():
        service.delete_reminder(current_user(), reminder_uuid)
