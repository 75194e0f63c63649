"""Shapes that every feature shares: the strict base, the text field, the problem document."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
from email_validator import EmailNotValidError, validate_email

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Schema(ma.Schema):
    """Base of all shapes: a field that is not declared is an error."""

    class Meta:
        """Strict about what comes in."""

        unknown = ma.RAISE

    def __deepcopy__(self, _: dict[int, Any]) -> Schema:
        """Itself, which nobody changes: flask-smorest copies whatever describes a view, often."""
        return self


class String(ma.fields.String):
    """Text without null bytes, which PostgreSQL cannot store, trimmed at both ends.

    Args:
        min_length: in characters, after trimming.
        max_length: in characters, after trimming.
    """

    def __init__(self, *, min_length: int = 0, max_length: int = 255, **kwargs: Any) -> None:
        length = ma.validate.Length(min=min_length or None, max=max_length)
        extra = kwargs.pop("validate", [])
        super().__init__(
            validate=[length, *(extra if isinstance(extra, list) else [extra])], **kwargs
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if text is None or "\x00" in text or _has_lone_surrogate(text):
            raise ma.ValidationError("Has characters that cannot be stored.")
        return text.strip()


class Email(ma.fields.String):
    """An address that mail servers accept, of at most 254 characters, in lower case.

    The domain of an international address comes out in ASCII, as mail needs it.
    """

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"format": "email", **kwargs.pop("metadata", {})}
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            valid = validate_email(text or "", check_deliverability=False)
        except EmailNotValidError:
            raise ma.ValidationError("Not a valid email address.") from None
        # Mail programs would decode such an address, and send to another one.
        if "=?" in valid.local_part:
            raise ma.ValidationError("Not a valid email address.")
        return (valid.ascii_email or valid.normalized).lower()


class Boolean(ma.fields.Boolean):
    """`true` or `false`, and nothing that merely looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if value is not True and value is not False:
            raise self.make_error("invalid", input=value)
        return value


class Time(ma.fields.AwareDateTime):
    """A moment of the years 2 to 9998: RFC 3339 with any offset comes in, UTC goes out.

    At both ends of the calendar a moment may exist in UTC and not in some other zone, or the other
    way round; without them no conversion can fail.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        moment = super()._deserialize(value, attr, data, **kwargs)
        # Python reads more forms of ISO 8601 than RFC 3339 has.
        is_usual = datetime.min.year < moment.year < datetime.max.year
        if not is_usual or not RFC_3339.fullmatch(value):
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        return moment.astimezone(UTC)

    def _serialize(
        self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | float | None:
        moment = value.astimezone(UTC) if value else None
        return super()._serialize(moment, attr, obj, **kwargs)


def _has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


class ProblemSchema(Schema):
    """An error, as RFC 9457 has it."""

    type = ma.fields.String(required=True, metadata={"example": "urn:todo:problem:not-found"})
    title = ma.fields.String(required=True, metadata={"example": "Not Found"})
    status = ma.fields.Integer(required=True, metadata={"example": 404})
    detail = ma.fields.String(required=True, metadata={"example": "There is no such resource."})
    request_id = ma.fields.String(
        required=True,
        metadata={
            "description": "Stands in the log, too.",
            "example": "3f2b8c1d9e0f4a7b8c1d2e3f4a5b6c7d",
        },
    )
    errors = ma.fields.Dict(
        keys=ma.fields.String(),
        metadata={
            "description": "By place (json, query) and field, what is wrong with it.",
            "example": {"json": {"title": ["Missing data for required field."]}},
        },
    )
