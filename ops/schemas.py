"""Shapes of `/cc`."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from ops.runs.job import Limits
from ops.upgrades.script import lag
from todo_app.schemas import Boolean, Schema, String, Time
from todo_app.tenants.models import ACTIVE, STATES, SUSPENDED


class Lag(ma.fields.Integer):
    """How many revisions a tenant is behind, made of the revision that it has."""

    def get_value(self, obj: Any, *args: Any, **kwargs: Any) -> int:
        """The value for `obj`, a tenant."""
        return lag(obj.revision)


class CheckSchema(Schema):
    """What the drift check found last."""

    revision = ma.fields.String(required=True, metadata={"example": "0002"})
    differences = ma.fields.List(
        ma.fields.String(), required=True, metadata={"example": ["missing column users.phone"]}
    )
    checked_at = Time(required=True)


class TenantSchema(Schema):
    uuid = ma.fields.UUID(required=True)
    slug = ma.fields.String(required=True, metadata={"example": "acme"})
    schema_name = ma.fields.String(required=True, metadata={"example": "t_acme_1a2b3c4d"})
    name = ma.fields.String(required=True, metadata={"example": "Acme Ltd"})
    host = ma.fields.String(required=True, allow_none=True, metadata={"example": "todo.acme.com"})
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    is_canary = ma.fields.Boolean(required=True)
    revision = ma.fields.String(required=True, metadata={"example": "0002"})
    lag = Lag(
        required=True,
        metadata={"description": "Revisions behind the newest.", "example": 0},
    )
    check = ma.fields.Nested(CheckSchema, required=True, allow_none=True)
    tax_id = ma.fields.String(required=True, allow_none=True, metadata={"example": "PL5260250274"})
    street = ma.fields.String(required=True, allow_none=True, metadata={"example": "Nowy Świat 1"})
    postal_code = ma.fields.String(required=True, allow_none=True, metadata={"example": "00-001"})
    city = ma.fields.String(required=True, allow_none=True, metadata={"example": "Warsaw"})
    country = ma.fields.String(required=True, allow_none=True, metadata={"example": "Poland"})
    account_limit = ma.fields.Integer(required=True, allow_none=True, metadata={"example": 50})
    created_at = Time(required=True)
    updated_at = Time(required=True)


class TenantChangeSchema(Schema):
    """What of a tenant may be changed; nothing is required."""

    slug = String(min_length=1, max_length=63, metadata={"example": "acme"})
    name = String(min_length=1, max_length=300, metadata={"example": "Acme Ltd"})
    host = String(
        allow_none=True, min_length=1, max_length=253, metadata={"example": "todo.acme.com"}
    )
    tax_id = String(allow_none=True, max_length=50, metadata={"example": "PL5260250274"})
    street = String(allow_none=True, max_length=200, metadata={"example": "Nowy Świat 1"})
    postal_code = String(allow_none=True, max_length=20, metadata={"example": "00-001"})
    city = String(allow_none=True, max_length=100, metadata={"example": "Warsaw"})
    country = String(allow_none=True, max_length=100, metadata={"example": "Poland"})
    account_limit = ma.fields.Integer(
        strict=True,
        allow_none=True,
        validate=ma.validate.Range(0, 1_000_000),
        metadata={
            "example": 50,
            "description": "Users it may have; 0 for any number, null for what the settings say.",
        },
    )
    state = ma.fields.String(validate=ma.validate.OneOf((ACTIVE, SUSPENDED)))
    is_canary = Boolean(metadata={"description": "Whether it is upgraded before the others."})


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
    dry_run = ma.fields.Boolean(
        load_default=False,
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Answer with the plan and change nothing."},
    )
    canary = ma.fields.Integer(
        load_default=None,
        validate=ma.validate.Range(1, 10_000),
        metadata={"description": "Tenants that go first, instead of those that are marked."},
    )
    wave_size = ma.fields.Integer(
        load_default=None,
        validate=ma.validate.Range(1, 100_000),
        metadata={"description": "Tenants of a wave, instead of a tenth and then the rest."},
    )
    max_failures = ma.fields.Integer(
        load_default=None,
        validate=ma.validate.Range(0, 100_000),
        metadata={"description": "Tenants that may fail before the run stops."},
    )
    concurrency = ma.fields.Integer(
        load_default=Limits.concurrency,
        validate=ma.validate.Range(1, 100),
        metadata={"description": "Workers that may work on the run at once."},
    )


class PlannedSchema(Schema):
    tenant = ma.fields.String(required=True, metadata={"example": "acme"})
    wave = ma.fields.Integer(required=True, metadata={"example": 1})
    from_revision = ma.fields.String(required=True, metadata={"example": "0002"})
    to_revision = ma.fields.String(required=True, metadata={"example": "0003"})


class PlanSchema(Schema):
    """What an upgrade would do."""

    title = ma.fields.String(required=True, metadata={"example": "upgrade to 0003"})
    tenants = ma.fields.List(ma.fields.Nested(PlannedSchema), required=True)
    sql = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.String(),
        required=True,
        metadata={
            "description": "By the revision that tenants start from, what one of them gets.",
            "example": {"0002": "ALTER TABLE tasks ADD COLUMN estimate bigint;"},
        },
    )
