"""Every operation of the OpenAPI document has examples: of what is sent and of what is answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from flask import Flask
from jsonschema import Draft202012Validator

Json = Any

SPEAKS_FOR_ITSELF = ("boolean", "null")
"""Types of which everybody can think of a value."""


class MissingExampleError(Exception):
    """A value has none; the text names it."""


class Place(NamedTuple):
    """Where in the document a schema stands."""

    operation: str
    part: str
    schema: Json

    def __str__(self) -> str:
        return f"{self.operation}: {self.part}"


@pytest.fixture(scope="module")
def document(app: Flask) -> Json:
    return app.test_client().get("/openapi.json").json


@pytest.fixture(scope="module")
def places(document: Json) -> list[Place]:
    return list(places_of(document))


def operations_of(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                shared = methods.get("parameters", [])
                parameters = [*shared, *operation.get("parameters", [])]
                yield f"{method.upper()} {path}", {**operation, "parameters": parameters}


def places_of(document: Json) -> Iterator[Place]:
    """Every parameter, body and answer of success; errors share one shape, which is one of them."""
    for name, operation in operations_of(document):
        for parameter in operation["parameters"]:
            parameter = resolved(document, parameter)
            own = {key: parameter[key] for key in ("example",) if key in parameter}
            yield Place(name, parameter["name"], {**parameter["schema"], **own})
        bodies = {"body": operation.get("requestBody", {}), **operation["responses"]}
        for part, body in bodies.items():
            for media_type, content in resolved(document, body).get("content", {}).items():
                if is_text(media_type):
                    own = {key: content[key] for key in ("example",) if key in content}
                    yield Place(name, part, {**content.get("schema", {}), **own})


def is_text(media_type: str) -> bool:
    """Whether a body can be shown in a document; pictures and archives cannot."""
    return "json" in media_type or media_type.startswith("text/")


def resolved(document: Json, node: Json) -> Json:
    while "$ref" in node:
        target = document
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        rest = {name: value for name, value in node.items() if name != "$ref"}
        node = {**target, **rest}
    return node


def example_of(document: Json, schema: Json, name: str = "") -> Json:
    """A value made of the examples that stand in a schema.

    Raises:
        MissingExampleError: some part of it has none.
    """
    schema = resolved(document, schema)
    for key in ("example", "default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if key in schema:
            return schema[key][0]
    if "allOf" in schema:
        parts = [example_of(document, part, name) for part in schema["allOf"]]
        return {key: value for part in parts for key, value in part.items()}
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return example_of(document, schema[key][0], name)
    kinds = schema.get("type", "object" if "properties" in schema else None)
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind in SPEAKS_FOR_ITSELF:
        return kind == "boolean" or None
    if kind == "array":
        return [example_of(document, schema["items"], f"{name}[]")]
    if kind == "object" and ("properties" in schema or not schema.get("additionalProperties")):
        members = schema.get("properties", {})
        return {key: example_of(document, one, f"{name}.{key}") for key, one in members.items()}
    raise MissingExampleError(name)


def test_every_value_has_an_example(document: Json, places: list[Place]) -> None:
    assert len(places) > 400
    missing = Counter[str]()
    for place in places:
        try:
            example_of(document, place.schema, place.part)
        except MissingExampleError as error:
            missing[f"{place.operation}: {error}"] += 1
    assert sorted(missing) == []


def test_every_example_is_one_of_its_schema(document: Json, places: list[Place]) -> None:
    wrong = set()
    for place in places:
        try:
            example = example_of(document, place.schema, place.part)
        except MissingExampleError:
            continue
        schema = {**place.schema, "components": document["components"]}
        for error in Draft202012Validator(schema).iter_errors(example):
            wrong.add(f"{place}: {error.json_path} {error.message[:100]}")
    assert sorted(wrong) == []


def test_every_operation_has_a_name_of_its_own(document: Json) -> None:
    names = Counter(operation["operationId"] for _, operation in operations_of(document))
    assert [name for name, number in names.items() if number > 1] == []
