"""What filters may ask of one sort of row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from todo_app.filters.kinds import Column, Kind, Predicate


@dataclass(frozen=True)
class Link:
    """Where the values of a field are, of which a row may have several or none.

    Args:
        table: one row of it for each value.
        on: which of them belong to the filtered row.
    """

    table: Any
    on: Predicate

    def any(self, predicate: Predicate) -> Predicate:
        """Whether the row has a value for which the predicate holds."""
        values = sa.select(sa.literal_column("1", sa.Integer)).select_from(self.table)
        return values.where(self.on, predicate).correlate_except(self.table).exists()


@dataclass(frozen=True)
class Field:
    """A field that filters know.

    Args:
        name: as it stands in filters, exactly so.
        kind: what its values are.
        column: the column of the filtered row, or of the rows that `link` finds.
        link: for a field with any number of values. Whatever is asked then is asked of each of
            them, and one that answers yes is enough; the field is empty where there is none.
    """

    name: str
    kind: Kind
    column: Column
    link: Link | None = None

    def any(self, predicate: Predicate) -> Predicate:
        """Whether the predicate on `column` holds for the row's value, or for one of them."""
        return self.link.any(predicate) if self.link else predicate

    def is_empty(self) -> Predicate:
        """Whether the row has no value here."""
        return ~self.link.any(sa.true()) if self.link else self.kind.is_empty(self.column)


def _no_custom_field(name: str) -> Field | None:
    return None


@dataclass(frozen=True)
class Fields:
    """All fields of one sort of row.

    Args:
        named: by name.
        words: what `search("words")` looks into, as `search.vector` makes it.
        custom: finds a field of the user's own, `field."Cost center"`; None where there is none.
    """

    named: Mapping[str, Field]
    words: sa.ColumnElement[Any]
    custom: Callable[[str], Field | None] = _no_custom_field


def by_name(*fields: Field) -> dict[str, Field]:
    """The fields by their names."""
    return {field.name: field for field in fields}
