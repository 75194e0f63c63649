"""Any name of a company gives a slug and a schema name that work everywhere."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from todo_app.auth import new_secret, parse_token
from todo_app.database import quote_identifier
from todo_app.tenants.service import MAX_SLUG_LENGTH, SLUG, schema_name_for, slug_for

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
SCHEMA_NAME = re.compile(r"t_[a-z0-9_]{1,61}", re.ASCII)


@given(name=NAMES)
@example(name="-")
@example(name="_")
@example(name="😀😀😀")
@example(name="Ω" * 300)
@example(name="a" * 300)
@example(name="a" * 39 + " b")
@example(name="Robert'); DROP SCHEMA public CASCADE; --")
@example(name="public")
@example(name="pg_catalog")
def test_a_slug_is_short_plain_and_never_empty(name: str) -> None:
    slug = slug_for(name)
    assert SLUG.fullmatch(slug)
    assert len(slug) <= MAX_SLUG_LENGTH
    assert "_" not in slug


@given(name=NAMES)
def test_a_schema_name_fits_postgresql_and_tokens(name: str) -> None:
    schema_name = schema_name_for(slug_for(name))
    assert SCHEMA_NAME.fullmatch(schema_name)
    assert quote_identifier(schema_name) == f'"{schema_name}"'
    token = parse_token(f"{schema_name}.{new_secret()}")
    assert token is not None
    assert token.schema_name == schema_name


@given(slug=st.from_regex(SLUG, fullmatch=True))
def test_a_schema_name_is_never_the_same_twice(slug: str) -> None:
    first, second = schema_name_for(slug), schema_name_for(slug)
    assert first != second
    assert SCHEMA_NAME.fullmatch(first)
