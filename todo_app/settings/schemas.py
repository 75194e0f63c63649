"""Shapes of settings."""

from __future__ import annotations

import re
from datetime import time
from typing import Any

import marshmallow as ma

from todo_app.accounts.models import LANGUAGES, NOTIFICATION_LEVELS
from todo_app.accounts.schemas import is_time_zone
from todo_app.schemas import Boolean, Schema, Time

AUDIT_KEPT_DAYS = (30, 3650)

_CLOCK_TIME = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_TIME_ZONE = {"example": "Europe/Warsaw"}


class ClockTime(ma.fields.Time):
    """A time of the day, to the minute: `07:30`."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"pattern": f"^{_CLOCK_TIME.pattern}$", **kwargs.pop("metadata", {})}
        super().__init__(format="%H:%M", metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> time:
        if not isinstance(value, str) or not _CLOCK_TIME.fullmatch(value):
            raise ma.ValidationError("Not a time of the day such as 07:30.")
        return time.fromisoformat(value)


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
    quiet_from = ClockTime(
        allow_none=True,
        metadata={
            "example": "22:00",
            "description": "From this time on, on your clock, no mail tells you of changes.",
        },
    )
    quiet_until = ClockTime(
        allow_none=True, metadata={"example": "07:30", "description": "Until this time."}
    )


class OwnSettingsSchema(Schema):
    language = ma.fields.String(required=True, metadata={"example": "pl"})
    timezone = ma.fields.String(required=True, metadata=_TIME_ZONE)
    notification_level = ma.fields.String(required=True, metadata={"example": "mine"})
    quiet_from = ClockTime(required=True, allow_none=True, metadata={"example": "22:00"})
    quiet_until = ClockTime(required=True, allow_none=True, metadata={"example": "07:30"})
