"""Full-text search: words, phrases in quotes, beginnings of words with `*`, `or`, and `-` for not.

What the user writes goes to the database as it is, as parameters; the database takes it apart and
quotes the words that it finds. Accents and case make no difference, and no language is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSQUERY

from todo_app.filters.errors import FilterError
from todo_app.filters.nodes import Search
from todo_app.pagination import folded

MAX_TERMS = 50

Query: TypeAlias = sa.ColumnElement[Any]

_TERM = re.compile(r'(-?)(?:"([^"]*)"|(\S+))')
_CONFIGURATION: sa.ColumnElement[Any] = sa.literal_column("'pg_catalog.simple'::regconfig")
_EMPTY: sa.ColumnElement[str] = sa.literal_column("''", sa.Text)


def vector(*columns: Any) -> sa.ColumnElement[Any]:
    """The words of a row's columns, of which some may be null, for `found`.

    An index on this very expression makes searches quick: it has no parameters.
    """
    whole: sa.ColumnElement[Any] = sa.func.coalesce(columns[0], _EMPTY)
    for column in columns[1:]:
        whole = whole + sa.literal_column("' '") + sa.func.coalesce(column, _EMPTY)
    return sa.func.to_tsvector(_CONFIGURATION, folded(whole))


def found(words: sa.ColumnElement[Any], search: Search) -> sa.ColumnElement[bool]:
    """Whether a row has what is searched for.

    Args:
        words: the row's `vector`.
        search: what the user searches for.

    Raises:
        FilterError: there are no words in it, or too many.
    """
    terms = _TERM.findall(search.text)
    if len(terms) > MAX_TERMS:
        raise FilterError(search.column, f"a search has at most {MAX_TERMS} words.")
    if not any(character.isalnum() for character in search.text):
        raise FilterError(search.column, "found no word to search for.")
    alternatives: list[list[Query]] = [[]]
    for minus, phrase, word in terms:
        if word.lower() == "or" and not minus:
            alternatives.append([])
            continue
        query = _beginning(word[:-1]) if word.endswith("*") else _phrase(phrase or word)
        alternatives[-1].append(sa.func.tsquery_not(query) if minus else query)
    queries = [_joined(queries, sa.func.tsquery_and) for queries in alternatives if queries]
    if not queries:
        # There is nothing but `or`.
        raise FilterError(search.column, "found no word to search for.")
    return words.bool_op("@@")(_joined(queries, sa.func.tsquery_or))


def _phrase(text: str) -> Query:
    return sa.func.phraseto_tsquery(_CONFIGURATION, folded(sa.literal(text, sa.Text)))


def _beginning(text: str) -> Query:
    """What begins with `text`; where that is several words, its last one."""
    quoted = sa.func.nullif(sa.cast(_phrase(text), sa.Text), _EMPTY)
    beginning = quoted.concat(sa.literal_column("':*'"))
    return sa.cast(sa.func.coalesce(beginning, _EMPTY), TSQUERY)


def _joined(queries: list[Query], join: Callable[[Query, Query], Query]) -> Query:
    # In halves: a long chain would be as deep as it is long.
    if len(queries) == 1:
        return queries[0]
    middle = len(queries) // 2
    return join(_joined(queries[:middle], join), _joined(queries[middle:], join))
