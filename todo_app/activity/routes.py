"""`/activity`, and `/tasks/{task_uuid}/activity`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.activity import schemas, timeline
from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.pagination import Page, page_schema

activity = Blueprint("activity", __name__, url_prefix="/activity", description="Who did what")
task_activity = Blueprint(
    "task_activity",
    __name__,
    url_prefix="/tasks/<uuid:task_uuid>/activity",
    description="Who did what to a task",
)

CAN_READ = SignedIn("tasks:read")

ActivityPage = page_schema(schemas.ActivitySchema)


@activity.route("/", guard=CAN_READ)
@activity.arguments(schemas.ActivityQuerySchema, location="query")
@activity.response(200, ActivityPage)
def list_activity(query: dict[str, Any]) -> Page:
    """List what was done

    In all lists that the caller may see, and to their tasks: who, when, and of each field what it
    was and what it became. The last comes first.
    """
    return timeline.page_of_activity(current_user(), query["page"], query["filters"])


@task_activity.route("", guard=CAN_READ)
@task_activity.arguments(schemas.TaskActivityQuerySchema, location="query")
@task_activity.response(200, ActivityPage)
def list_task_activity(query: dict[str, Any], task_uuid: uuid.UUID) -> Page:
    """List what was done to a task

    The last comes first. Of the time that it was in another list only those know who see that.
    """
    return timeline.page_of_task(current_user(), task_uuid, query["page"], query["filters"])
