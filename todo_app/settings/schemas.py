"""Shapes of settings."""

from __future__ import annotations

import marshmallow as ma

from todo_app.accounts.models import LANGUAGES, NOTIFICATION_LEVELS
from todo_app.accounts.schemas import is_time_zone
from todo_app.schemas import Boolean, Schema, Time

AUDIT_KEPT_DAYS = (30, 3650)

_TIME_ZONE = {"example": "Europe/Warsaw"}


class CompanySettingsChangeSchema(Schema):
    """What of a company's settings may be changed; nothing is required."""

    require_two_factor = Boolean(
        metadata={
            "example": False,
            "description": "Whether everybody has to have a second factor. Those without one can "
            "do nothing but set one up.",
        }
    )
    language = ma.fields.String(
        validate=ma.validate.OneOf(LANGUAGES),
        metadata={"example": "pl", "description": "Of people who are added without one."},
    )
    timezone = ma.fields.String(
        validate=is_time_zone,
        metadata={**_TIME_ZONE, "description": "Of people who are added without one."},
    )
    audit_keep_days = ma.fields.Integer(
        strict=True,
        validate=ma.validate.Range(*AUDIT_KEPT_DAYS),
        metadata={"example": 365, "description": "Days after which the record forgets."},
    )


class CompanySettingsSchema(Schema):
    require_two_factor = ma.fields.Boolean(required=True, metadata={"example": False})
    language = ma.fields.String(required=True, metadata={"example": "pl"})
    timezone = ma.fields.String(required=True, metadata=_TIME_ZONE)
    audit_keep_days = ma.fields.Integer(required=True, metadata={"example": 365})
    updated_at = Time(required=True)


class OwnSettingsChangeSchema(Schema):
    """What people set for themselves; nothing is required."""

    language = ma.fields.String(
        validate=ma.validate.OneOf(LANGUAGES),
        metadata={"example": "pl", "description": "Of mails, and of the titles of errors."},
    )
    timezone = ma.fields.String(validate=is_time_zone, metadata=_TIME_ZONE)
    notification_level = ma.fields.String(
        validate=ma.validate.OneOf(NOTIFICATION_LEVELS),
        metadata={
            "example": "mine",
            "description": "Of what you are told: of all, of what is assigned to you, of nothing.",
        },
    )


class OwnSettingsSchema(Schema):
    language = ma.fields.String(required=True, metadata={"example": "pl"})
    timezone = ma.fields.String(required=True, metadata=_TIME_ZONE)
    notification_level = ma.fields.String(required=True, metadata={"example": "mine"})
