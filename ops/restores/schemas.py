"""Shapes of `/cc/restores` and `/cc/drills`."""

from __future__ import annotations

import marshmallow as ma

from todo_app.schemas import Boolean, Schema, String, Time


class RestoreSchema(Schema):
    until = String(
        load_default=None,
        allow_none=True,
        min_length=4,
        max_length=40,
        metadata={
            "description": "The last archive up to the end of this day, or up to this time.",
            "example": "2026-11-21",
        },
    )
    as_tenant = String(
        load_default=None,
        allow_none=True,
        min_length=1,
        max_length=63,
        metadata={"description": "Into a new tenant of this name.", "example": "acme-then"},
    )
    with_deleted_users = Boolean(
        load_default=False,
        metadata={"description": "Bring back people who were deleted since, too."},
    )


class DrillSchema(Schema):
    tenants = ma.fields.List(
        String(min_length=1, max_length=63),
        load_default=list,
        validate=ma.validate.Length(max=1000),
        metadata={
            "description": "Slugs; those whose proof is the oldest where there are none.",
            "example": ["acme"],
        },
    )


class KeptSchema(Schema):
    tenant = ma.fields.String(required=True, metadata={"example": "acme"})
    schema_name = ma.fields.String(required=True, metadata={"example": "t_replaced_0a1b2c3d4e5f"})
    revision = ma.fields.String(required=True, metadata={"example": "0002"})
    archive = ma.fields.String(
        required=True, metadata={"example": "2026-03-01T020000Z/t_acme_1a2b3c4d.tar.zst.age"}
    )
    replaced_at = Time(required=True)
    keep_until = Time(required=True)


class KeptListSchema(Schema):
    items = ma.fields.List(ma.fields.Nested(KeptSchema), required=True)
