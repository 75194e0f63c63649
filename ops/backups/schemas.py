"""Shapes of `/cc/backups`."""

from __future__ import annotations

import marshmallow as ma

from ops.archives.models import COMPLETE, INCOMPLETE, RUNNING
from todo_app.schemas import Boolean, Schema, String, Time

SET_NAME = "2026-11-22T01-07-00Z-3f9a1c"


class SetSchema(Schema):
    name = ma.fields.String(required=True, metadata={"example": SET_NAME})
    state = ma.fields.String(
        required=True, validate=ma.validate.OneOf((RUNNING, COMPLETE, INCOMPLETE))
    )
    is_consistent = ma.fields.Boolean(required=True)
    run_id = ma.fields.Integer(required=True, allow_none=True, metadata={"example": 17})
    actor = ma.fields.String(required=True, metadata={"example": "operator:alice"})
    failures = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.String(),
        required=True,
        metadata={"description": "Why a tenant is not in it.", "example": {}},
    )
    archives = ma.fields.Integer(required=True, metadata={"example": 200})
    rows = ma.fields.Integer(required=True, metadata={"example": 120000})
    bytes = ma.fields.Integer(required=True, metadata={"example": 4800000})
    damaged = ma.fields.Integer(
        required=True,
        metadata={"description": "Archives with which something is wrong.", "example": 0},
    )
    last_proven_restore = Time(required=True, allow_none=True)
    created_at = Time(required=True)
    finished_at = Time(required=True, allow_none=True)


class ArchiveSchema(Schema):
    tenant = ma.fields.String(required=True, attribute="slug", metadata={"example": "acme"})
    tenant_uuid = ma.fields.UUID(required=True)
    name = ma.fields.String(
        required=True,
        metadata={"example": f"{SET_NAME}/acme.6f1c0f3e-8d1f-4b0e-9d7a-2f3f6f7f8a90.tar.zst.age"},
    )
    revision = ma.fields.String(required=True, metadata={"example": "0002"})
    rows = ma.fields.Integer(required=True, metadata={"example": 600})
    bytes = ma.fields.Integer(required=True, metadata={"example": 24000})
    sha256 = ma.fields.String(required=True, metadata={"example": "9f86d081884c7d65" * 4})
    is_encrypted = ma.fields.Boolean(required=True)
    taken_at = Time(required=True)
    verified_at = Time(required=True, allow_none=True)
    proven_at = Time(required=True, allow_none=True)
    error = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What the last verification has found.", "example": None},
    )


class SetCreateSchema(Schema):
    tenants = ma.fields.List(
        String(min_length=1, max_length=63),
        load_default=list,
        validate=ma.validate.Length(max=1000),
        metadata={"description": "Slugs; all tenants where there are none.", "example": ["acme"]},
    )
    is_consistent = Boolean(
        load_default=False, metadata={"description": "All archives show the same moment."}
    )
