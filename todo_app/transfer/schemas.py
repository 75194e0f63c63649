"""Shapes of what comes in and goes out in bulk."""

from __future__ import annotations

import marshmallow as ma

from todo_app.accounts.schemas import UserCreateSchema
from todo_app.schemas import Schema, String

_OF_USERS = UserCreateSchema().fields


class UserLineSchema(Schema):
    """A line of a file of users: what it takes is what `POST /users/` takes."""

    first_name = _OF_USERS["first_name"]
    last_name = _OF_USERS["last_name"]
    email = _OF_USERS["email"]
    role = String(required=True, min_length=1)
    phone = _OF_USERS["phone"]
    language = _OF_USERS["language"]
    timezone = _OF_USERS["timezone"]


def flag(description: str) -> ma.fields.Boolean:
    """A switch in a query, off when left out."""
    return ma.fields.Boolean(
        load_default=False,
        truthy={"true"},
        falsy={"false"},
        metadata={"description": description},
    )


class UserImportQuerySchema(Schema):
    dry_run = flag("Only say what is wrong; nothing is imported.")
    notify = flag("Mail everybody that there is an account now.")


class ImportedSchema(Schema):
    imported = ma.fields.Integer(required=True, metadata={"example": 2})
    lines = ma.fields.Integer(required=True, metadata={"example": 2})
