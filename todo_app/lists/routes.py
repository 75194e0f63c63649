"""`/lists`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.lists import favourites, moves, schemas, service, shown
from todo_app.pagination import Page, page_schema
from todo_app.todos.placing import Place

lists = Blueprint("lists", __name__, url_prefix="/lists", description="Lists of tasks")

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

ListPage = page_schema(schemas.TodoListSchema)
ListQuery = schemas.list_query(shown.ORDER_BY, "position")


@lists.route("/", guard=CAN_READ)
@lists.arguments(ListQuery, location="query")
@lists.response(200, ListPage)
def list_lists(query: dict[str, Any]) -> Page:
    """List the lists

    Those that the caller may see: the company's, their own, and those shared with them or a group
    of theirs. `search` looks into title and description. Archived ones come only where asked for.
    """
    return shown.page_of_lists(current_user(), query["page"], query["filters"])


@lists.route("/", methods=["POST"], guard=CAN_WRITE)
@lists.arguments(schemas.TodoListCreateSchema)
@lists.response(201, schemas.TodoListSchema)
def create_list(data: dict[str, Any]) -> Any:
    """Add a list

    It is the last of those around it. Lists are nested up to 10 deep.
    """
    with transaction():
        return service.add_list(current_user(), data)


@lists.route("/<uuid:list_uuid>", guard=CAN_READ)
@lists.response(200, schemas.TodoListSchema)
def get_list(list_uuid: uuid.UUID) -> Any:
    """Get one list"""
    return shown.get_list(current_user(), list_uuid)


@lists.route("/<uuid:list_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@lists.arguments(schemas.TodoListChangeSchema)
@lists.response(200, schemas.TodoListSchema)
def change_list(data: dict[str, Any], list_uuid: uuid.UUID) -> Any:
    """Change a list

    Only what is sent changes. `visibility` is for an admin of the list; whoever makes a list
    private that somebody else has made becomes a member of it, with `admin`.
    """
    with transaction():
        return service.change_list(current_user(), list_uuid, data, expected_versions())


@lists.route("/<uuid:list_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@lists.response(204)
def delete_list(list_uuid: uuid.UUID) -> None:
    """Put a list into the trash

    Its tasks go with it, and the lists inside it; of those, the ones that the caller may not
    delete are moved out. For an admin of the list.
    """
    with transaction():
        service.delete_list(current_user(), list_uuid, expected_versions())


@lists.route("/<uuid:list_uuid>/restore", methods=["POST"], guard=CAN_WRITE, versioned=True)
@lists.response(200, schemas.TodoListSchema)
def restore_list(list_uuid: uuid.UUID) -> Any:
    """Bring a list back from the trash

    With its tasks, and the lists that were deleted together with it. One that is not in the trash
    stays as it is.
    """
    with transaction():
        return service.restore_list(current_user(), list_uuid, expected_versions())


@lists.route("/<uuid:list_uuid>/archive", methods=["POST"], guard=CAN_WRITE, versioned=True)
@lists.response(200, schemas.TodoListSchema)
def archive_list(list_uuid: uuid.UUID) -> Any:
    """Archive a list

    With the lists inside it. Its tasks can be read, and not changed. For an admin of the list.
    """
    with transaction():
        return service.archive_list(
            current_user(), list_uuid, expected_versions(), is_archived=True
        )


@lists.route("/<uuid:list_uuid>/unarchive", methods=["POST"], guard=CAN_WRITE, versioned=True)
@lists.response(200, schemas.TodoListSchema)
def unarchive_list(list_uuid: uuid.UUID) -> Any:
    """Take a list out of the archive

    With the lists inside it that were archived at the same time.
    """
    with transaction():
        return service.archive_list(
            current_user(), list_uuid, expected_versions(), is_archived=False
        )


@lists.route("/<uuid:list_uuid>/move", methods=["POST"], guard=CAN_WRITE, versioned=True)
@lists.arguments(schemas.TodoListMoveSchema)
@lists.response(200, schemas.TodoListSchema)
def move_list(data: dict[str, Any], list_uuid: uuid.UUID) -> Any:
    """Move a list

    After or before another, or to the end, where it is or in another list. The order is the same
    for all who see it.
    """
    with transaction():
        return moves.move_list(
            current_user(), list_uuid, data.pop("place"), expected_versions(), **data
        )


@lists.route("/<uuid:list_uuid>/favourite", methods=["PUT"], guard=CAN_WRITE)
@lists.arguments(schemas.PlaceSchema)
@lists.response(200, schemas.TodoListSchema)
def put_favourite(place: Place, list_uuid: uuid.UUID) -> Any:
    """Make a list a favourite

    Of the caller alone, after or before another favourite, or behind all others. One that is a
    favourite already stays where it is, unless a neighbour is named.
    """
    with transaction():
        return favourites.put_favourite(current_user(), list_uuid, place)


@lists.route("/<uuid:list_uuid>/favourite", methods=["DELETE"], guard=CAN_WRITE, versioned=False)
@lists.response(204)
def delete_favourite(list_uuid: uuid.UUID) -> None:
    """Make a list no favourite any more"""
    with transaction():
        favourites.delete_favourite(current_user(), list_uuid)
