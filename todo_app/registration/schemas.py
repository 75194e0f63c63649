"""Shapes of registration and lost passwords."""

from __future__ import annotations

import marshmallow as ma

from todo_app.accounts.models import LANGUAGES
from todo_app.accounts.schemas import UserDetailSchema, is_time_zone, password_field
from todo_app.registration.checks import TaxId, is_lasting_address
from todo_app.schemas import Email, Schema, String
from todo_app.sessions.schemas import known_password_field
from todo_app.two_factor.schemas import code_field

TOKEN_EXAMPLE = "t_acme_1a2b3c4d.<43 characters>"  # noqa: S105 (an example)
SOME_TIME = "2026-03-01T09:30:00+00:00"


class CompanySchema(Schema):
    name = String(required=True, min_length=1, max_length=300, metadata={"example": "Acme Ltd"})
    tax_id = TaxId(
        max_length=50,
        metadata={
            "example": "PL5260250274",
            "description": "With the prefix of its country; its check digit must be right.",
        },
    )
    street = String(max_length=200, metadata={"example": "Nowy Świat 1"})
    postal_code = String(max_length=20, metadata={"example": "00-001"})
    city = String(max_length=100, metadata={"example": "Warsaw"})
    country = String(max_length=100, metadata={"example": "Poland"})


class NewPersonSchema(Schema):
    first_name = String(required=True, min_length=1, max_length=100, metadata={"example": "Ada"})
    last_name = String(
        required=True, min_length=1, max_length=100, metadata={"example": "Lovelace"}
    )
    phone = String(allow_none=True, max_length=30, metadata={"example": "+48 22 100"})
    password = password_field(required=True)
    language = ma.fields.String(validate=ma.validate.OneOf(LANGUAGES))
    timezone = ma.fields.String(validate=is_time_zone, metadata={"example": "Europe/Warsaw"})


class PersonSchema(NewPersonSchema):
    email = Email(required=True, validate=is_lasting_address, metadata={"example": "ada@acme.com"})


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


class FirstRunSchema(Schema):
    token = String(required=True, min_length=1, metadata={"example": TOKEN_EXAMPLE})
    password = known_password_field()
    code = code_field()


class AccountLimitSchema(Schema):
    accounts = ma.fields.Integer(required=True, metadata={"example": 12})
    limit = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={"example": 50, "description": "null where there is none."},
    )


class DetailSchema(Schema):
    detail = ma.fields.String(required=True, metadata={"example": "A mail is on its way."})


class ResetSchema(Schema):
    """Sent with a mailed code, and not with an address."""

    password = password_field()
