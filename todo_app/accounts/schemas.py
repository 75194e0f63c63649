"""Shapes of registration, sessions and users."""

from __future__ import annotations

import functools
import zoneinfo

import marshmallow as ma

from todo_app.accounts.passwords import MAX_LENGTH, MIN_LENGTH
from todo_app.schemas import Boolean, Email, Schema, String, Time

LANGUAGES = ("de", "en-US", "fr", "pl")


def _password(**kwargs: object) -> ma.fields.String:
    return ma.fields.String(
        load_only=True,
        validate=ma.validate.Length(MIN_LENGTH, MAX_LENGTH),
        metadata={"example": "correct horse battery", "format": "password"},
        **kwargs,  # type: ignore[arg-type]
    )


@functools.cache
def _time_zones() -> set[str]:
    return zoneinfo.available_timezones()


def _is_time_zone(name: str) -> None:
    if name not in _time_zones():
        raise ma.ValidationError("Not a time zone of the IANA database.")


class RoleSchema(Schema):
    uuid = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True, metadata={"example": "user"})
    title = ma.fields.String(required=True, metadata={"example": "User"})


class RoleListSchema(Schema):
    items = ma.fields.List(ma.fields.Nested(RoleSchema), required=True)


class UserSchema(Schema):
    uuid = ma.fields.UUID(required=True)
    first_name = ma.fields.String(required=True, metadata={"example": "Ada"})
    last_name = ma.fields.String(required=True, metadata={"example": "Lovelace"})
    email = ma.fields.String(required=True, metadata={"example": "ada@acme.com"})
    phone = ma.fields.String(required=True, allow_none=True, metadata={"example": "+48 22 100"})
    is_active = ma.fields.Boolean(required=True)
    is_verified = ma.fields.Boolean(required=True)
    role = ma.fields.Nested(RoleSchema, required=True)


class UserDetailSchema(UserSchema):
    language = ma.fields.String(required=True, metadata={"example": "en-US"})
    timezone = ma.fields.String(required=True, metadata={"example": "Europe/Warsaw"})
    created_at = Time(required=True)
    updated_at = Time(required=True)


class UserChangeSchema(Schema):
    """What of a user may be changed; nothing is required."""

    first_name = String(min_length=1, max_length=100, metadata={"example": "Ada"})
    last_name = String(min_length=1, max_length=100, metadata={"example": "Lovelace"})
    email = Email(metadata={"example": "ada@acme.com"})
    phone = String(allow_none=True, max_length=30, metadata={"example": "+48 22 100"})
    password = _password()
    role_uuid = ma.fields.UUID()
    is_active = Boolean()
    language = ma.fields.String(validate=ma.validate.OneOf(LANGUAGES))
    timezone = ma.fields.String(validate=_is_time_zone, metadata={"example": "Europe/Warsaw"})


class UserCreateSchema(UserChangeSchema):
    first_name = String(required=True, min_length=1, max_length=100, metadata={"example": "Ada"})
    last_name = String(
        required=True, min_length=1, max_length=100, metadata={"example": "Lovelace"}
    )
    email = Email(required=True, metadata={"example": "ada@acme.com"})
    password = _password(required=True)
    role_uuid = ma.fields.UUID(required=True)


class UserCountSchema(Schema):
    count = ma.fields.Integer(required=True, metadata={"example": 1})


class CompanySchema(Schema):
    name = String(required=True, min_length=1, max_length=300, metadata={"example": "Acme Ltd"})
    tax_id = String(max_length=50, metadata={"example": "PL5260250274"})
    street = String(max_length=200)
    postal_code = String(max_length=20)
    city = String(max_length=100, metadata={"example": "Warsaw"})
    country = String(max_length=100, metadata={"example": "Poland"})


class PersonSchema(Schema):
    first_name = String(required=True, min_length=1, max_length=100, metadata={"example": "Ada"})
    last_name = String(
        required=True, min_length=1, max_length=100, metadata={"example": "Lovelace"}
    )
    email = Email(required=True, metadata={"example": "ada@acme.com"})
    phone = String(allow_none=True, max_length=30, metadata={"example": "+48 22 100"})
    password = _password(required=True)
    language = ma.fields.String(validate=ma.validate.OneOf(LANGUAGES))
    timezone = ma.fields.String(validate=_is_time_zone, metadata={"example": "Europe/Warsaw"})


class RegisterSchema(Schema):
    company = ma.fields.Nested(CompanySchema, required=True)
    user = ma.fields.Nested(PersonSchema, required=True)


class OwnTenantSchema(Schema):
    """What people of a tenant see of it."""

    uuid = ma.fields.UUID(required=True)
    slug = ma.fields.String(required=True, metadata={"example": "acme-ltd"})
    name = ma.fields.String(required=True, metadata={"example": "Acme Ltd"})


class RegisteredSchema(Schema):
    tenant = ma.fields.Nested(OwnTenantSchema, required=True)
    user = ma.fields.Nested(UserDetailSchema, required=True)


class LoginSchema(Schema):
    email = Email(required=True, metadata={"example": "ada@acme.com"})
    password = ma.fields.String(
        required=True,
        validate=ma.validate.Length(1, MAX_LENGTH),
        metadata={"example": "correct horse battery", "format": "password"},
    )
    permanent = Boolean(
        load_default=False,
        metadata={"description": "Stay signed in for 30 days instead of one."},
    )


class SessionSchema(Schema):
    token = ma.fields.String(required=True, metadata={"example": "t_acme_1a2b3c4d.<43 characters>"})
    expires_at = Time(required=True)
    user = ma.fields.Nested(UserDetailSchema, required=True)


class SessionCheckSchema(Schema):
    expires_at = Time(required=True)
    user = ma.fields.Nested(UserDetailSchema, required=True)
