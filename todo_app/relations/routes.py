"""`/tasks/{task_uuid}/relations`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.database import transaction
from todo_app.relations import schemas, service

relations = Blueprint(
    "relations",
    __name__,
    url_prefix="/tasks/<uuid:task_uuid>/relations",
    description="How tasks have to do with each other",
)

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")


@relations.route("", guard=CAN_READ)
@relations.response(200, schemas.RelationsSchema)
def list_relations(task_uuid: uuid.UUID) -> Any:
    """List the relations of a task

    From either side: where A blocks B, B shows that it is blocked by A. Those with tasks that the
    caller cannot see are left out.
    """
    return service.relations_of(current_user(), task_uuid)


@relations.route("", methods=["POST"], guard=CAN_WRITE)
@relations.arguments(schemas.RelationCreateSchema)
@relations.response(201, schemas.RelationSchema)
def create_relation(data: dict[str, Any], task_uuid: uuid.UUID) -> Any:
    """Relate a task to another

    They may be in different lists. Nothing blocks, or duplicates, itself by way of others.
    """
    with transaction():
        return service.add_relation(current_user(), task_uuid, **data)


@relations.route("/<uuid:relation_uuid>", methods=["DELETE"], guard=CAN_WRITE, versioned=False)
@relations.response(204)
def delete_relation(task_uuid: uuid.UUID, relation_uuid: uuid.UUID) -> None:
    """Take a relation away

    From either of its tasks.
    """
    with transaction():
        service.delete_relation(current_user(), task_uuid, relation_uuid)
