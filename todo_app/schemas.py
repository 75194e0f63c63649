"""Shapes that every feature shares: the strict base, the text field, the problem document."""

from __future__ import annotations

from typing import Any

import marshmallow as ma


class Schema(ma.Schema):
    """Base of all shapes: a field that is not declared is an error."""

    class Meta:
        """Strict about what comes in."""

        unknown = ma.RAISE


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


class Email(ma.fields.Email):
    """An address in the form that mail servers accept, of at most 254 characters, in lower case."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=ma.validate.Length(max=254), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if text is None or "\x00" in text:
            raise ma.ValidationError("Not a valid email address.")
        return text.lower()


def _has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


class ProblemSchema(Schema):
    """An error, as RFC 9457 has it."""

    type = ma.fields.String(required=True, metadata={"example": "urn:todo:problem:not-found"})
    title = ma.fields.String(required=True, metadata={"example": "Not Found"})
    status = ma.fields.Integer(required=True, metadata={"example": 404})
    detail = ma.fields.String(required=True, metadata={"example": "There is no such resource."})
    request_id = ma.fields.String(
        required=True, metadata={"description": "Stands in the log, too."}
    )
    errors = ma.fields.Dict(
        keys=ma.fields.String(),
        metadata={"description": "By place (json, query) and field, what is wrong with it."},
    )
