"""Shapes of invitations."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from todo_app.accounts.models import LANGUAGES
from todo_app.accounts.schemas import RoleSchema
from todo_app.invitations.models import STATES
from todo_app.pagination import PageRequest, page_query
from todo_app.registration.checks import is_lasting_address
from todo_app.registration.schemas import SOME_TIME, TOKEN_EXAMPLE, NewPersonSchema
from todo_app.schemas import Email, Schema, String, Time


class InviterSchema(Schema):
    uuid = ma.fields.UUID(required=True)
    first_name = ma.fields.String(required=True, metadata={"example": "Ada"})
    last_name = ma.fields.String(required=True, metadata={"example": "Lovelace"})


class InvitationSchema(Schema):
    uuid = ma.fields.UUID(required=True)
    email = ma.fields.String(required=True, metadata={"example": "grace@acme.com"})
    role = ma.fields.Nested(RoleSchema, required=True)
    language = ma.fields.String(required=True, metadata={"example": "en-US"})
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    invited_by = ma.fields.Nested(InviterSchema, required=True)
    sent_at = Time(required=True, metadata={"example": SOME_TIME})
    expires_at = Time(required=True, metadata={"example": SOME_TIME})
    accepted_at = Time(required=True, allow_none=True)
    revoked_at = Time(required=True, allow_none=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)


class InvitationCreateSchema(Schema):
    email = Email(
        required=True, validate=is_lasting_address, metadata={"example": "grace@acme.com"}
    )
    role_uuid = ma.fields.UUID(required=True)
    language = ma.fields.String(
        validate=ma.validate.OneOf(LANGUAGES),
        metadata={"description": "Of the mail; the company's where it is left out."},
    )


class InvitationAcceptSchema(NewPersonSchema):
    token = String(required=True, min_length=1, metadata={"example": TOKEN_EXAMPLE})


def invitation_query(fields: tuple[str, ...], default: str) -> type[Schema]:
    """The page parameters of invitations: those of every page, and a filter."""

    class InvitationQuerySchema(page_query(fields, default)):  # type: ignore[misc]
        state = ma.fields.String(
            load_default=None,
            validate=ma.validate.OneOf(STATES),
            metadata={"description": "Only invitations in this state."},
        )

        @ma.post_load
        def _as_request(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
            state = data.pop("state")
            return {"page": PageRequest(**data), "state": state}

    return InvitationQuerySchema
