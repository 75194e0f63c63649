"""Examples in the OpenAPI document for what needs none of its own: ids, moments, parts of paths."""

from __future__ import annotations

import re
from typing import Any

import marshmallow as ma
from flask_smorest import Api
from werkzeug.routing import UUIDConverter

SOME_UUID = "2f1c9a7e-4b3d-4c6a-9e8f-5d0b7a6c1e42"
SOME_TIME = "2026-03-01T09:30:00+00:00"
BY_FORMAT = {"uuid": SOME_UUID, "date-time": SOME_TIME}

IN_PATHS: dict[str, str | int] = {
    "slug": "acme",
    "run_id": 17,
    "name": "2026-03-01T020000Z",
    "token": "t_acme_1a2b3c4d.V1StGXR8Z5jdHi6BmyT0xq3w9LrKpN2cUeA7sFgQoYb",
}
"""By name; all other parts of paths are UUIDs."""

_PART = re.compile(r"<(?:\w+:)?(\w+)>")


def init_api(api: Api) -> None:
    """Give fields of schemas, and UUIDs in paths, an example where they have none of their own."""
    api.ma_plugin.converter.add_attribute_function(_by_format)
    of_path = {"type": "string", "format": "uuid", "example": SOME_UUID}
    api.flask_plugin.register_converter(UUIDConverter, lambda _: dict(of_path))


def _by_format(_: Any, field: ma.fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """What a field's property gets besides; the converter calls it as a method of its own."""
    example = BY_FORMAT.get(ret.get("format", ""))
    return {} if example is None or "example" in ret else {"example": example}


def path_parameters(rule: str) -> list[dict[str, Any]]:
    """The parts of a rule that are no UUIDs, each with an example."""
    return [
        {"name": name, "in": "path", "required": True, "example": IN_PATHS[name]}
        for name in _PART.findall(rule)
        if name in IN_PATHS
    ]
