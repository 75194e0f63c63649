"""`/lists` and `/tasks`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.todos import schemas, service

lists = Blueprint("lists", __name__, url_prefix="/lists", description="Lists of tasks")
tasks = Blueprint("tasks", __name__, url_prefix="/tasks", description="Things to do")

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

ListPage = page_schema(schemas.TodoListSchema)
ListQuery = page_query(tuple(service.LISTS_ORDER_BY), "title")
TaskPage = page_schema(schemas.TaskSchema)
TaskQuery = schemas.task_query(tuple(service.TASKS_ORDER_BY), "created_at")


@lists.route("/", guard=CAN_READ)
@lists.arguments(ListQuery, location="query")
@lists.response(200, ListPage)
def list_lists(query: PageRequest) -> Page:
    """List the lists

    `search` looks into title and description.
    """
    return service.page_of_lists(query)


@lists.route("/", methods=["POST"], guard=CAN_WRITE)
@lists.arguments(schemas.TodoListCreateSchema)
@lists.response(201, schemas.TodoListSchema)
def create_list(data: dict[str, Any]) -> Any:
    """Add a list"""
    with transaction():
        return service.add_list(current_user(), data)


@lists.route("/<uuid:list_uuid>", guard=CAN_READ)
@lists.response(200, schemas.TodoListSchema)
def get_list(list_uuid: uuid.UUID) -> Any:
    """Get one list"""
    return service.get_list(list_uuid)


@lists.route("/<uuid:list_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@lists.arguments(schemas.TodoListChangeSchema)
@lists.response(200, schemas.TodoListSchema)
def change_list(data: dict[str, Any], list_uuid: uuid.UUID) -> Any:
    """Change a list

    Only what is sent changes.
    """
    with transaction():
        return service.change_list(list_uuid, data, expected_versions())


@lists.route("/<uuid:list_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@lists.response(204)
def delete_list(list_uuid: uuid.UUID) -> None:
    """Delete a list

    All its tasks are deleted with it.
    """
    with transaction():
        service.delete_list(list_uuid, expected_versions())


@tasks.route("/", guard=CAN_READ)
@tasks.arguments(TaskQuery, location="query")
@tasks.response(200, TaskPage)
def list_tasks(query: dict[str, Any]) -> Page:
    """List tasks

    `search` looks into title and description. A task must meet all filters that are sent; `filter`
    is a condition over all fields, such as `status = new and not due < today`.
    """
    return service.page_of_tasks(current_user(), query["page"], query["filters"])


@tasks.route("/", methods=["POST"], guard=CAN_WRITE)
@tasks.arguments(schemas.TaskCreateSchema)
@tasks.response(201, schemas.TaskSchema)
def create_task(data: dict[str, Any]) -> Any:
    """Add a task"""
    with transaction():
        return service.add_task(current_user(), data)


@tasks.route("/<uuid:task_uuid>", guard=CAN_READ)
@tasks.response(200, schemas.TaskSchema)
def get_task(task_uuid: uuid.UUID) -> Any:
    """Get one task"""
    return service.get_task(task_uuid)


@tasks.route("/<uuid:task_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@tasks.arguments(schemas.TaskChangeSchema)
@tasks.response(200, schemas.TaskSchema)
def change_task(data: dict[str, Any], task_uuid: uuid.UUID) -> Any:
    """Change a task

    Only what is sent changes. `completed_at` follows the status.
    """
    with transaction():
        return service.change_task(task_uuid, data, expected_versions())


@tasks.route("/<uuid:task_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@tasks.response(204)
def delete_task(task_uuid: uuid.UUID) -> None:
    """Delete a task"""
    with transaction():
        service.delete_task(task_uuid, expected_versions())


@tasks.route("/<uuid:task_uuid>/complete", methods=["POST"], guard=CAN_WRITE, versioned=True)
@tasks.response(200, schemas.TaskSchema)
def complete_task(task_uuid: uuid.UUID) -> Any:
    """Complete a task

    The status becomes done. A task that is done already stays as it is.
    """
    with transaction():
        return service.complete_task(task_uuid, expected_versions())


@tasks.route("/<uuid:task_uuid>/reopen", methods=["POST"], guard=CAN_WRITE, versioned=True)
@tasks.response(200, schemas.TaskSchema)
def reopen_task(task_uuid: uuid.UUID) -> Any:
    """Reopen a task

    A task that is done becomes new again. Any other stays as it is.
    """
    with transaction():
        return service.reopen_task(task_uuid, expected_versions())
