"""Random filters: of any form, and about tasks."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import strategies as st

from todo_app.filters.nodes import (
    ANCHORS,
    RESERVED_WORDS,
    And,
    Condition,
    Day,
    Duration,
    FieldName,
    Instant,
    Node,
    Not,
    Number,
    Operator,
    Or,
    Quoted,
    Relative,
    Search,
    Step,
    Value,
    Word,
)

WRITTEN = st.text(
    st.one_of(st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from("\n\r\t\\\"'")),
    max_size=20,
)
"""What may stand in quotes."""
ZONES = (
    *("UTC", "Europe/Warsaw", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"),
    *("America/Sao_Paulo", "Pacific/Apia", "Africa/Cairo", "Asia/Beirut"),
)
MOMENTS = (
    *("2018-11-04T02:30", "2018-02-18T01:59", "2024-03-31T01:30", "2026-10-25T00:30"),
    *("2026-03-08T07:00", "2026-04-24T00:15", "2024-02-29T23:59", "2026-12-31T22:00"),
)
"""Near to days on which some clock of ZONES is changed, or the calendar is odd."""
UNITS = ("s", "m", "h", "d", "w", "mo", "y")
ORDERED = (
    Operator.LESS,
    Operator.LESS_OR_EQUAL,
    Operator.GREATER,
    Operator.GREATER_OR_EQUAL,
)

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True).filter(
    lambda name: name.lower() not in RESERVED_WORDS
)
WORDS = st.one_of(
    st.sampled_from(["me", "Now", "TODAY", "true", "a@b.example", "OPS-17", "c++", "żółw", "3rd"]),
    st.sampled_from(["3d6f0a2e-1111-4222-8333-444455556666", "now-ish", "2026-plan", "1h_", "-x"]),
    NAMES,
).map(Word)
STEPS = st.builds(Step, st.integers(-40, 40), st.sampled_from(UNITS))
DURATIONS = st.lists(
    st.builds(Step, st.integers(0, 999), st.sampled_from(UNITS)), min_size=1, max_size=3
).map(lambda steps: Duration(tuple(steps)))
RELATIVES = st.builds(
    Relative, st.sampled_from(ANCHORS), st.lists(STEPS, min_size=1, max_size=3).map(tuple)
)
NUMBERS = st.decimals(-(10**9), 10**9, places=3).map(Number)
DAYS = st.dates(date(2, 1, 1), date(9998, 12, 31)).map(Day)
INSTANTS = st.datetimes(datetime(3, 1, 1), datetime(9997, 12, 31), timezones=st.just(UTC)).map(
    Instant
)
VALUES: st.SearchStrategy[Value] = st.one_of(
    WORDS, WRITTEN.map(Quoted), NUMBERS, DAYS, INSTANTS, DURATIONS, RELATIVES
)


def conditions(
    fields: st.SearchStrategy[FieldName],
    values: st.SearchStrategy[Value],
    comparisons: tuple[Operator, ...],
) -> st.SearchStrategy[Condition]:
    """Conditions on the fields with the values, and with `comparisons` besides the usual."""
    single = st.sampled_from((Operator.EQUAL, Operator.NOT_EQUAL, *comparisons))
    several = st.lists(values, min_size=1, max_size=3).map(tuple)
    empty = st.sampled_from((Operator.EMPTY, Operator.NOT_EMPTY))
    return st.one_of(
        st.builds(Condition, fields, single, st.tuples(values)),
        st.builds(Condition, fields, st.sampled_from((Operator.IN, Operator.NOT_IN)), several),
        st.builds(Condition, fields, empty),
    )


def filters(leaves: st.SearchStrategy[Node], max_leaves: int) -> st.SearchStrategy[Node]:
    """Filters of such conditions."""

    def grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(st.builds(Not, inner), st.builds(And, several), st.builds(Or, several))

    return st.recursive(leaves, grown, max_leaves=max_leaves)


FIELD_NAMES = st.one_of(st.builds(FieldName, NAMES), st.builds(FieldName, WRITTEN, st.just(True)))
ANY_FILTER = filters(
    st.one_of(
        conditions(FIELD_NAMES, VALUES, (*ORDERED, Operator.CONTAINS)), st.builds(Search, WRITTEN)
    ),
    max_leaves=12,
)
