"""`/statistics`."""

from __future__ import annotations

from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.statistics import schemas, service

statistics = Blueprint(
    "statistics", __name__, url_prefix="/statistics", description="Numbers about tasks"
)

CAN_READ = SignedIn("tasks:read")


@statistics.route("/counters", guard=CAN_READ)
@statistics.response(200, schemas.CountersSchema)
def get_counters() -> dict[str, int]:
    """Count tasks for a start page

    Of all lists that the caller may see; days are those of the caller's time zone.
    """
    return service.counters(current_user())


@statistics.route("/tasks", guard=CAN_READ)
@statistics.arguments(schemas.TaskGroupQuerySchema, location="query")
@statistics.response(200, schemas.TaskGroupsSchema)
def count_tasks_by_kind(query: dict[str, Any]) -> dict[str, Any]:
    """Count tasks by kind

    By status, priority, list or user; those with the most come first, at most 1,000. A task of
    several users counts for each.
    """
    return {"items": service.groups(current_user(), **query)}


@statistics.route("/times", guard=CAN_READ)
@statistics.arguments(schemas.PeriodsQuerySchema, location="query")
@statistics.response(200, schemas.PeriodsSchema)
def count_tasks_by_time(query: dict[str, Any]) -> dict[str, Any]:
    """Count tasks by day or hour

    How many were created, and how many were done, by day or by hour of the day, on the caller's
    clock. Without a time, of the last 30 days.
    """
    return {"items": service.times(current_user(), **query)}


@statistics.route("/flow", guard=CAN_READ)
@statistics.arguments(schemas.SpanSchema, location="query")
@statistics.response(200, schemas.FlowSchema)
def get_flow(query: dict[str, Any]) -> dict[str, Any]:
    """Get throughput, lead and cycle time

    Of tasks that were done in a time; without one, in the last 30 days.
    """
    return service.flow(current_user(), **query)


@statistics.route("/first_steps", guard=CAN_READ)
@statistics.response(200, schemas.FirstStepsSchema)
def get_first_steps() -> dict[str, bool]:
    """Get the caller's first steps

    What somebody who has just begun has done already.
    """
    return service.first_steps(current_user())
