"""Shapes of sessions and API tokens."""

from __future__ import annotations

import marshmallow as ma

from todo_app.accounts.passwords import MAX_LENGTH
from todo_app.accounts.schemas import UserDetailSchema, password_field
from todo_app.auth import SCOPES
from todo_app.schemas import Boolean, Email, Schema, String, Time
from todo_app.two_factor.schemas import code_field

LONGEST_OVERLAP = 7 * 24 * 3600


def known_password_field() -> ma.fields.String:
    """The password that somebody has."""
    return ma.fields.String(
        required=True,
        load_only=True,
        validate=ma.validate.Length(1, MAX_LENGTH),
        metadata={"example": "correct horse battery", "format": "password"},
    )


class LoginSchema(Schema):
    email = Email(required=True, metadata={"example": "ada@acme.com"})
    password = known_password_field()
    permanent = Boolean(
        load_default=False,
        metadata={"description": "Stay signed in for 30 days without use instead of one."},
    )
    code = code_field()


class SessionSchema(Schema):
    token = ma.fields.String(required=True, metadata={"example": "t_acme_1a2b3c4d.<43 characters>"})
    expires_at = Time(required=True)
    user = ma.fields.Nested(UserDetailSchema, required=True)


class SessionCheckSchema(Schema):
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(("session", "api_token")))
    scopes = ma.fields.List(
        ma.fields.String(metadata={"example": "tasks:read"}),
        required=True,
        allow_none=True,
        metadata={"description": "Of an API token; a session has none."},
    )
    expires_at = Time(required=True)
    user = ma.fields.Nested(UserDetailSchema, required=True)


class SessionInfoSchema(Schema):
    uuid = ma.fields.UUID(required=True)
    device = ma.fields.String(
        required=True, allow_none=True, metadata={"example": "Mozilla/5.0 (X11; Linux x86_64)"}
    )
    place = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Address of the last use.", "example": "203.0.113.7"},
    )
    created_at = Time(required=True)
    last_used_at = Time(required=True, allow_none=True)
    expires_at = Time(required=True)
    is_permanent = ma.fields.Boolean(required=True)
    is_current = ma.fields.Boolean(required=True)


class SessionListSchema(Schema):
    items = ma.fields.List(ma.fields.Nested(SessionInfoSchema), required=True)


class EndSessionsSchema(Schema):
    including_this = ma.fields.Boolean(
        load_default=False,
        metadata={"description": "Whether the session of this request ends, too."},
    )


class StepUpSchema(Schema):
    password = known_password_field()
    code = code_field()


class PasswordChangeSchema(Schema):
    current_password = known_password_field()
    password = password_field(required=True)


class TokenInfoSchema(Schema):
    uuid = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True, metadata={"example": "Nightly export"})
    scopes = ma.fields.List(ma.fields.String(metadata={"example": "tasks:read"}), required=True)
    created_at = Time(required=True)
    expires_at = Time(required=True)
    last_used_at = Time(required=True, allow_none=True)
    place = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Address of the last use.", "example": "203.0.113.7"},
    )


class TokenListSchema(Schema):
    items = ma.fields.List(ma.fields.Nested(TokenInfoSchema), required=True)


class NewTokenSchema(TokenInfoSchema):
    token = ma.fields.String(
        required=True, metadata={"example": "t_acme_1a2b3c4d.api_<43 characters>"}
    )


class TokenCreateSchema(Schema):
    name = String(
        required=True, min_length=1, max_length=100, metadata={"example": "Nightly export"}
    )
    scopes = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(SCOPES), metadata={"example": "tasks:read"}),
        required=True,
        validate=ma.validate.Length(1, len(SCOPES)),
    )
    expires_at = Time(
        required=True,
        metadata={
            "description": "At most 366 days from now.",
            "example": "2030-01-31T12:00:00+00:00",
        },
    )


class TokenRotateSchema(Schema):
    overlap_seconds = ma.fields.Integer(
        strict=True,
        load_default=0,
        validate=ma.validate.Range(0, LONGEST_OVERLAP),
        metadata={"description": "For how long the old token is good, too.", "example": 3600},
    )
