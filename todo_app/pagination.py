"""The page envelope, and the query that fills it.

`order_by` names come from a list that the feature allows, never from the client's text.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import marshmallow as ma
import sqlalchemy as sa

from todo_app.database import db
from todo_app.schemas import Schema, String

MAX_SIZE = 100
MAX_PAGE = 1_000_000
MAX_SEARCH_LENGTH = 100


class PageRequest(NamedTuple):
    """Which page a client asks for."""

    page: int
    size: int
    search: str
    field: str
    order: str


class Page(NamedTuple):
    """One page of rows."""

    items: Sequence[Any]
    total: int
    page: int
    size: int
    pages: int


@functools.cache
def page_query(fields: tuple[str, ...], default: str) -> type[Schema]:
    """The schema of the page parameters, with the names that `field` may have."""

    class PageQuerySchema(Schema):
        page = ma.fields.Integer(
            load_default=1, validate=ma.validate.Range(1, MAX_PAGE), metadata={"example": 1}
        )
        size = ma.fields.Integer(
            load_default=50, validate=ma.validate.Range(1, MAX_SIZE), metadata={"example": 50}
        )
        search = String(
            load_default="",
            max_length=MAX_SEARCH_LENGTH,
            metadata={"description": "Text that a row must contain, in any case."},
        )
        field = ma.fields.String(
            load_default=default,
            validate=ma.validate.OneOf(fields),
            metadata={"description": "What the rows are ordered by."},
        )
        order = ma.fields.String(load_default="asc", validate=ma.validate.OneOf(("asc", "desc")))

        @ma.post_load
        def _as_request(self, data: dict[str, Any], **_: Any) -> PageRequest:
            return PageRequest(**data)

    return PageQuerySchema


@functools.cache
def page_schema(item: type[Schema]) -> type[Schema]:
    """The schema of a page of `item`."""
    fields = {
        "items": ma.fields.List(ma.fields.Nested(item), required=True),
        "total": ma.fields.Integer(required=True, metadata={"example": 1}),
        "page": ma.fields.Integer(required=True, metadata={"example": 1}),
        "size": ma.fields.Integer(required=True, metadata={"example": 50}),
        "pages": ma.fields.Integer(required=True, metadata={"example": 1}),
    }
    name = item.__name__.removesuffix("Schema") + "PageSchema"
    return type(name, (Schema,), fields)


def contains(text: str) -> str:
    """A LIKE pattern for rows that contain `text`; its wildcards stand for themselves."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


_LETTERS = ("ŁłØøĐđÐðĦħŦŧŊŋıĸ", "LlOoDdDdHhTtNnik")
_PAIRS = {"Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "ẞ": "SS", "ß": "ss", "Þ": "TH", "þ": "th"}
"""Letters that Unicode does not take apart, and what people type in their place."""
_MARKS = "[\u0300-\u036f]+"
"""Accents, once they stand behind their letters."""


def folded(text: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """A text without accents and case, for comparing: `Łódź` and `LODZ` become the same."""
    bare = sa.func.regexp_replace(
        sa.func.pg_catalog.normalize(text, sa.literal_column("'NFKD'")),
        sa.literal_column(f"'{_MARKS}'"),
        sa.literal_column("''"),
        sa.literal_column("'g'"),
    )
    bare = sa.func.translate(bare, *(sa.literal_column(f"'{side}'") for side in _LETTERS))
    for letter, pair in _PAIRS.items():
        bare = sa.func.replace(
            bare, sa.literal_column(f"'{letter}'"), sa.literal_column(f"'{pair}'")
        )
    # Most texts are plain ASCII, as their length tells: those need only the last step.
    is_plain = sa.func.octet_length(text) == sa.func.length(text)
    return sa.func.lower(sa.case((is_plain, text), else_=bare))


def matches(*columns: Any) -> sa.ColumnElement[bool]:
    """Whether a row's columns, one after the other with spaces, contain what is searched for.

    Accents and case make no difference. The statement wants the parameter `search`.

    Args:
        columns: of text, none of them null.
    """
    whole = columns[0]
    for column in columns[1:]:
        whole = whole + sa.literal_column("' '") + column
    wanted = sa.bindparam("search", type_=sa.Text)
    return sa.func.strpos(folded(whole), folded(wanted)) > 0


class PageQuery:
    """Fetches pages of one kind of row; each way to order them is built once.

    Args:
        rows: what the pages are made of, without order or limit.
        order_by: for each name that a client may give, the column or expression to order by.
        tie_breaker: a unique column, so that equal rows keep one order over all pages;
            it goes the way that the order goes.
    """

    def __init__(
        self, rows: sa.Select[*tuple[Any, ...]], order_by: Mapping[str, Any], tie_breaker: Any
    ) -> None:
        self._rows = rows
        self._order_by = order_by
        self._tie_breaker = tie_breaker
        self._count = rows.with_only_columns(sa.func.count(), maintain_column_froms=True)
        self._statements: dict[tuple[str, str], sa.Select[Any]] = {}

    def fetch(self, request: PageRequest, **parameters: Any) -> Page:
        """Fetch one page; `parameters` are the bound values that the rows ask for.

        Beyond the last page there are no items, but still the total.
        """
        connection = db.session.connection()
        parameters["size"] = request.size
        parameters["offset"] = (request.page - 1) * request.size
        items = connection.execute(self._statement(request), parameters).all()
        if items:
            total = items[0]._total
        elif request.page == 1:
            total = 0
        else:
            total = connection.execute(self._count, parameters).scalar_one()
        return Page(items, total, request.page, request.size, -(-total // request.size))

    def _statement(self, request: PageRequest) -> sa.Select[Any]:
        key = (request.field, request.order)
        if key not in self._statements:
            column, is_down = self._order_by[request.field], request.order == "desc"
            first, then = (key.desc() if is_down else key for key in (column, self._tie_breaker))
            # Counted apart: a window function would have every row read and kept for one page.
            self._statements[key] = (
                self._rows.add_columns(self._count.scalar_subquery().label("_total"))
                .order_by(first.nulls_last() if self._may_be_null(column) else first, then)
                .limit(sa.bindparam("size"))
                .offset(sa.bindparam("offset"))
            )
        return self._statements[key]

    def _may_be_null(self, column: Any) -> bool:
        """Whether NULLS LAST is needed, with which a descending order can use no index."""
        if getattr(column, "nullable", True):
            return True
        # One of another table may be missing, as in an outer join.
        return column.table is not self._tie_breaker.table
