"""Shapes of `/cc`."""

from __future__ import annotations

import marshmallow as ma

from todo_app.schemas import Schema, String, Time
from todo_app.tenants.models import ACTIVE, STATES, SUSPENDED


class TenantSchema(Schema):
    uuid = ma.fields.UUID(required=True)
    slug = ma.fields.String(required=True, metadata={"example": "acme"})
    schema_name = ma.fields.String(required=True, metadata={"example": "t_acme_1a2b3c4d"})
    name = ma.fields.String(required=True, metadata={"example": "Acme Ltd"})
    host = ma.fields.String(required=True, allow_none=True, metadata={"example": "todo.acme.com"})
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    revision = ma.fields.String(required=True, metadata={"example": "0002"})
    tax_id = ma.fields.String(required=True, allow_none=True)
    street = ma.fields.String(required=True, allow_none=True)
    postal_code = ma.fields.String(required=True, allow_none=True)
    city = ma.fields.String(required=True, allow_none=True)
    country = ma.fields.String(required=True, allow_none=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)


class TenantChangeSchema(Schema):
    """What of a tenant may be changed; nothing is required."""

    slug = String(min_length=1, max_length=63, metadata={"example": "acme"})
    name = String(min_length=1, max_length=300, metadata={"example": "Acme Ltd"})
    host = String(
        allow_none=True, min_length=1, max_length=253, metadata={"example": "todo.acme.com"}
    )
    tax_id = String(allow_none=True, max_length=50)
    street = String(allow_none=True, max_length=200)
    postal_code = String(allow_none=True, max_length=20)
    city = String(allow_none=True, max_length=100)
    country = String(allow_none=True, max_length=100)
    state = ma.fields.String(validate=ma.validate.OneOf((ACTIVE, SUSPENDED)))


class TenantCreateSchema(TenantChangeSchema):
    class Meta(TenantChangeSchema.Meta):
        """A new tenant is active."""

        exclude = ("state",)

    name = String(required=True, min_length=1, max_length=300, metadata={"example": "Acme Ltd"})


class ConfirmQuerySchema(Schema):
    confirm = String(
        required=True,
        metadata={"description": "The slug once more.", "example": "acme"},
    )


class UpgradeQuerySchema(Schema):
    to = String(
        load_default="head", min_length=1, max_length=50, metadata={"description": "Revision."}
    )


class OutcomeSchema(Schema):
    tenant = ma.fields.String(required=True, metadata={"example": "acme"})
    status = ma.fields.String(
        required=True, validate=ma.validate.OneOf(("moved", "unchanged", "failed"))
    )
    from_revision = ma.fields.String(required=True, metadata={"example": "0001"})
    to_revision = ma.fields.String(required=True, metadata={"example": "0002"})
    error = ma.fields.String(required=True, allow_none=True)
    seconds = ma.fields.Float(required=True, metadata={"example": 0.1})


class RunSchema(Schema):
    id = ma.fields.String(required=True, allow_none=True)
    state = ma.fields.String(
        required=True, validate=ma.validate.OneOf(("running", "succeeded", "failed"))
    )
    tasks = ma.fields.Integer(required=True, metadata={"example": 1})
    tasks_done = ma.fields.Integer(required=True, metadata={"example": 1})
    outcomes = ma.fields.List(ma.fields.Nested(OutcomeSchema), required=True)
    errors = ma.fields.List(ma.fields.String(), required=True)
