"""Shapes of `/cc/runs`."""

from __future__ import annotations

import marshmallow as ma

from ops.runs.models import ITEM_STATES, RUN_STATES
from todo_app.schemas import Schema, Time


class CountsSchema(Schema):
    """Tenants of a run by what has come of them."""

    pending = ma.fields.Integer(required=True, metadata={"example": 0})
    running = ma.fields.Integer(required=True, metadata={"example": 0})
    done = ma.fields.Integer(required=True, metadata={"example": 198})
    skipped = ma.fields.Integer(required=True, metadata={"example": 0})
    failed = ma.fields.Integer(required=True, metadata={"example": 2})


class RunListedSchema(Schema):
    id = ma.fields.Integer(required=True, metadata={"example": 17})
    kind = ma.fields.String(required=True, metadata={"example": "upgrades"})
    title = ma.fields.String(required=True, metadata={"example": "upgrade to 0003"})
    params = ma.fields.Dict(keys=ma.fields.String(), required=True)
    actor = ma.fields.String(required=True, metadata={"example": "operator:alice"})
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(RUN_STATES))
    error = ma.fields.String(
        required=True, allow_none=True, metadata={"example": "4 tenants failed, 3 may"}
    )
    wave = ma.fields.Integer(required=True, metadata={"description": "The open one.", "example": 1})
    waves = ma.fields.Integer(required=True, metadata={"example": 3})
    max_failures = ma.fields.Integer(required=True, metadata={"example": 20})
    concurrency = ma.fields.Integer(required=True, metadata={"example": 8})
    created_at = Time(required=True)
    finished_at = Time(required=True, allow_none=True)


class RunSchema(RunListedSchema):
    total = ma.fields.Integer(required=True, metadata={"example": 200})
    counts = ma.fields.Nested(CountsSchema, required=True)


class RunItemSchema(Schema):
    tenant = ma.fields.String(required=True, attribute="slug", metadata={"example": "acme"})
    wave = ma.fields.Integer(required=True, metadata={"example": 1})
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(ITEM_STATES))
    attempts = ma.fields.Integer(required=True, metadata={"example": 1})
    result = ma.fields.Dict(
        keys=ma.fields.String(),
        required=True,
        metadata={"example": {"from_revision": "0002", "to_revision": "0003"}},
    )
    error = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": "canceling statement due to lock timeout"},
    )
    worker = ma.fields.String(
        required=True, allow_none=True, metadata={"example": "celery@worker-1:4711"}
    )
    started_at = Time(required=True, allow_none=True)
    finished_at = Time(required=True, allow_none=True)


class ResumeQuerySchema(Schema):
    failed_only = ma.fields.Boolean(
        load_default=False,
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Leave out the tenants that were never tried."},
    )
