"""Filters as text: what is read, what is refused and where, and that nothing breaks the reader."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.todo_app.filters.filters import ANY_FILTER
from todo_app.filters.errors import FilterError
from todo_app.filters.language import MAX_CONDITIONS, MAX_DEPTH, MAX_LENGTH, MAX_VALUES, parse
from todo_app.filters.nodes import (
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
from todo_app.filters.texts import unparse

A, B, C = (
    Condition(FieldName(name), Operator.EQUAL, (Number(Decimal(1)),)) for name in ("a", "b", "c")
)


def error_of(text: str) -> FilterError | None:
    """The error of a text that is no filter."""
    try:
        parse(text)
    except FilterError as error:
        return error
    return None


def one(value: Value) -> Condition:
    """`a = value`."""
    return Condition(FieldName("a"), Operator.EQUAL, (value,))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("a=1", A),
        ("\n a\t=\xa01 ", A),
        ("a = 1 or b = 1 and c = 1", Or((A, And((B, C))))),
        ("(a = 1 or b = 1) and c = 1", And((Or((A, B)), C))),
        ("((a = 1))", A),
        ("a = 1 AND b = 1 And c = 1", And((A, B, C))),
        ("a = 1 and (b = 1 and c = 1)", And((A, And((B, C))))),
        ("not a = 1 and b = 1", And((Not(A), B))),
        ("NOT (a = 1 OR b = 1)", Not(Or((A, B)))),
        ("not not a = 1", Not(Not(A))),
        ('search("buy milk*")', Search("buy milk*")),
        ("Search ('x')", Search("x")),
        ("search = 1", Condition(FieldName("search"), Operator.EQUAL, (Number(Decimal(1)),))),
        ("android=1 or b=1", Or((Condition(FieldName("android"), A.operator, A.values), B))),
    ],
)
def test_forms(text: str, node: Node) -> None:
    assert parse(text) == node


@pytest.mark.parametrize(
    ("text", "operator", "number"),
    [
        ("a != 1", Operator.NOT_EQUAL, 1),
        ("a<1", Operator.LESS, 1),
        ("a <= 1", Operator.LESS_OR_EQUAL, 1),
        ("a>1", Operator.GREATER, 1),
        ("a>=1", Operator.GREATER_OR_EQUAL, 1),
        ("a ~ 1", Operator.CONTAINS, 1),
        ("a in (1)", Operator.IN, 1),
        ("a IN(1, 2,3)", Operator.IN, 3),
        ("a not  in (1, 2)", Operator.NOT_IN, 2),
        ("a is empty", Operator.EMPTY, 0),
        ("a Is Not Empty", Operator.NOT_EMPTY, 0),
    ],
)
def test_operators(text: str, operator: Operator, number: int) -> None:
    values = tuple(Number(Decimal(value)) for value in range(1, number + 1))
    assert parse(text) == Condition(FieldName("a"), operator, values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("new", Word("new")),
        ("Now", Word("Now")),
        ("in_progress", Word("in_progress")),
        ("in-house", Word("in-house")),
        ("ada+x@example.com", Word("ada+x@example.com")),
        ("OPS-17", Word("OPS-17")),
        ("3d6f0a2e-1111-4222-8333-444455556666", Word("3d6f0a2e-1111-4222-8333-444455556666")),
        ("20261122-1111-4222-8333-444455556666", Word("20261122-1111-4222-8333-444455556666")),
        ("2026-11-22x", Word("2026-11-22x")),
        ("nowhere", Word("nowhere")),
        ("now-ish", Word("now-ish")),
        ("ज़रूरी", Word("ज़रूरी")),
        ("1\u017f", Word("1\u017f")),
        ('"two words"', Quoted("two words")),
        ("'it\\'s \"so\"'", Quoted('it\'s "so"')),
        (r'"\"\\\n\t\r\'"', Quoted("\"\\\n\t\r'")),
        ('"and"', Quoted("and")),
        ('""', Quoted("")),
        ("3", Number(Decimal(3))),
        ("-3.50", Number(Decimal("-3.5"))),
        ("2026-11-22", Day(date(2026, 11, 22))),
        ("2024-02-29", Day(date(2024, 2, 29))),
        ("2026-11-22T09:30:00Z", Instant(datetime(2026, 11, 22, 9, 30, tzinfo=UTC))),
        ("2026-11-22t09:30:00.25+02:00", Instant(datetime(2026, 11, 22, 7, 30, 0, 250000, UTC))),
        ("2h", Duration((Step(2, "h"),))),
        ("1H30M", Duration((Step(1, "h"), Step(30, "m")))),
        ("1mo", Duration((Step(1, "mo"),))),
        ("now+7d", Relative("now", (Step(7, "d"),))),
        ("NOW + 7d", Relative("now", (Step(7, "d"),))),
        ("today-1y2w", Relative("today", (Step(-1, "y"), Step(-2, "w")))),
        ("startofmonth+1mo - 1d", Relative("startofmonth", (Step(1, "mo"), Step(-1, "d")))),
        ("-2w", Relative("now", (Step(-2, "w"),))),
        ("+ 3h", Relative("now", (Step(3, "h"),))),
    ],
)
def test_values(text: str, value: Value) -> None:
    assert parse(f"a={text}") == one(value)
    in_two = Condition(FieldName("a"), Operator.IN, (value, value))
    assert parse(f"(a in({text},{text} ))") == in_two


@pytest.mark.parametrize(
    "text", ['field."Cost center" = 1', "field.'Cost center'=1", 'field . "Cost center" = 1']
)
def test_fields_of_ones_own(text: str) -> None:
    assert parse(text) == Condition(FieldName("Cost center", True), A.operator, A.values)
    assert parse("field.cost = 1") == Condition(FieldName("cost", True), A.operator, A.values)


def test_columns_of_nodes() -> None:
    node = parse('a = 1 and\nfield."b" not in (x, "y")')
    assert isinstance(node, And)
    condition = node.operands[1]
    assert isinstance(condition, Condition)
    assert (condition.name.column, condition.column) == (11, 21)
    assert [value.column for value in condition.values] == [29, 32]


CONDITION = "a condition such as `priority >= 3`"
OPERATOR = "an operator such as `=`, `<`, `~`, `in` or `is empty`"
ERRORS = [
    ("", f"1: found the end of the filter, expected {CONDITION}."),
    ("  ", f"3: found the end of the filter, expected {CONDITION}."),
    ("= 1", f"1: found `=`, expected {CONDITION}."),
    ("and = 1", f"1: found `and`, expected {CONDITION}."),
    ("a = 1 and", f"10: found the end of the filter, expected {CONDITION}."),
    ("()", f"2: found `)`, expected {CONDITION}."),
    ("a", f"2: found the end of the filter, expected {OPERATOR}."),
    ("a 1", f"3: found `1`, expected {OPERATOR}."),
    ("a is null", f"3: found `is`, expected {OPERATOR}."),
    ("a not (1)", f"3: found `not`, expected {OPERATOR}."),
    ("Größe = 1", f"1: found `Größe`, expected {CONDITION}."),
    ("or\xdf", f"1: found `or\xdf`, expected {CONDITION}."),
    (
        "due < now 7d",
        "11: found `7d`, expected `and`, `or` or the end of the filter."
        " In an address, `+` is written `%2B`.",
    ),
    ("field.x-y = 1", "7: found `x-y`, expected the name of a field."),
    ("a =", "4: found the end of the filter, expected a value."),
    ("a == 1", "4: found `=`, expected a value."),
    ("a = or b = 1", "5: found `or`, expected a value."),
    ("a = EMPTY", "5: found `EMPTY`, expected a value."),
    ("a = “x”", "5: found `“x”`, expected a value."),
    ("a = $1", "5: found `$1`, expected a value."),
    ("a in ()", "7: found `)`, expected a value."),
    ("a in (1,)", "9: found `)`, expected a value."),
    ("a in 1", "6: found `1`, expected `(`."),
    ("a in (1 2)", "9: found `2`, expected `,` or `)`."),
    ("a in (1", "8: found the end of the filter, expected `,` or `)`."),
    ("a = 1 xor b = 1", "7: found `xor`, expected `and`, `or` or the end of the filter."),
    ("a = 1 b = 1", "7: found `b`, expected `and`, `or` or the end of the filter."),
    ("a = 1; drop", "6: found `;`, expected `and`, `or` or the end of the filter."),
    ("a = 1)", "6: found `)`, expected `and`, `or` or the end of the filter."),
    ("(a = 1", "7: found the end of the filter, expected `and`, `or` or `)`."),
    ("due < now+7days", "10: found `+7days`, expected `and`, `or` or the end of the filter."),
    ('a = "x', "5: the text that begins here has no closing quote."),
    ("a = 'x\\'", "5: the text that begins here has no closing quote."),
    ("a = 1 'x", "7: the text that begins here has no closing quote."),
    ('a = "\\x"', r"""6: found `\x` in a text in quotes, expected `\"`, `\'`, `\\`, `\n`, """
     r"""`\r` or `\t`."""),
    ("search()", "8: found `)`, expected a text in quotes."),
    ("search(x)", "8: found `x`, expected a text in quotes."),
    ("field. = 1", "8: found `=`, expected the name of a field."),
    ("a = 2026-02-30", "5: found `2026-02-30`, and there is no such day."),
    ("a = 0001-01-01", "5: found `0001-01-01`, and there is no such time here: "
     "years are from 2 to 9998."),
    ("a = 2026-11-22T25:00:00Z", "5: found `2026-11-22T25:00:00Z`, and there is no such moment."),
    ("a = 9999-01-01T00:00:00Z", "5: found `9999-01-01T00:00:00Z`, and there is no such time "
     "here: years are from 2 to 9998."),
    ("a = 1234567890123456789", "5: a number has at most 18 digits."),
    ("a = now+1h1234567890d", "11: a count of time has at most 9 digits."),
    ("a = \x00", "5: found a character that no text can have."),
    ("a = '\ud800'", "6: found a character that no text can have."),
    ("a = '\x1b[0m'", "6: found a character that no text can have."),
    ("a = " + "x" * 60 + " y", "66: found `y`, expected `and`, `or` or the end of the filter."),
    ("a = 1 " + "y" * 60, f"7: found `{'y' * 40}`, expected `and`, `or` or the end of the filter."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), ERRORS)
def test_errors_tell_column_and_what_was_expected(text: str, problem: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert caught.value.errors == {"query": {"filter": [f"Column {problem}"]}}
    assert (caught.value.status, caught.value.code) == (422, "bad-filter")
    elsewhere = caught.value.at("json", "filter")
    assert elsewhere.errors == {"json": {"filter": [f"Column {problem}"]}}


TOO_MUCH = [
    ("a=1" + " " * (MAX_LENGTH - 2), MAX_LENGTH + 1, "characters"),
    ("(" * 1_000 + "a=1" + ")" * 1_000, MAX_DEPTH + 1, "deep"),
    ("(" * 1_000, MAX_DEPTH + 1, "deep"),
    ("not " * 999 + "a=1", 4 * MAX_DEPTH + 1, "deep"),
    ("not (" * 700, 5 * MAX_DEPTH // 2 + 1, "deep"),
    ("a=1 or (" * 400, 8 * MAX_DEPTH + 8, "deep"),
    (" or ".join(["a=1"] * (MAX_CONDITIONS + 1)), 7 * MAX_CONDITIONS + 1, "conditions"),
    (f"a in ({','.join('1' * (MAX_VALUES + 1))})", 2 * MAX_VALUES + 6, "values"),
    ("(" * 100_000, MAX_LENGTH + 1, "characters"),
    ("a=1 or " * 100_000, MAX_LENGTH + 1, "characters"),
]


@pytest.mark.parametrize(("text", "column", "of_what"), TOO_MUCH)
def test_too_much_is_an_error_at_once(text: str, column: int, of_what: str) -> None:
    started = time.thread_time()
    error = error_of(text)
    assert time.thread_time() - started < 1
    assert error is not None
    assert error.column == column
    assert of_what in error.problem


def test_bounds_may_be_reached() -> None:
    parse("a=1" + " " * (MAX_LENGTH - 3))
    parse("(" * MAX_DEPTH + "a=1" + ")" * MAX_DEPTH)
    parse("not " * MAX_DEPTH + "a=1 and " + "not " * MAX_DEPTH + "a in (1)")
    parse(" or ".join(["(not a=1)"] * MAX_CONDITIONS))
    parse(f"a in ({','.join('1' * MAX_VALUES)}) or b in ({','.join('1' * MAX_VALUES)})")


@given(ANY_FILTER)
@example(Not(Not(Or((A, And((B, C)))))))
@example(And((Or((A, B)), And((A, B)))))
def test_what_is_written_reads_the_same(node: Node) -> None:
    text = unparse(node)
    assert parse(text) == node
    assert unparse(parse(text)) == text


PIECES = [
    *("a", "priority", "=", "!=", "<", "~", "in", "not", "is", "empty", "and", "or", "(", ")"),
    *(",", "'", '"', "\\", "now", "+", "-", "7", "d", "mo", "2026-11-22", "T00:00:00Z", "*", ";"),
    *("field", ".", "search", '"x"', "3", "1h", "--", "/*", "\x00", "\ud800", "İ", "\u017f"),
]
TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join),
    st.lists(st.sampled_from([*PIECES, "\u2028", "\xa0"])).map("".join),
)


@given(TEXTS)
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(FilterError):
        node = parse(text)
        assert parse(unparse(node)) == node


@given(TEXTS)
def test_every_error_has_a_place(text: str) -> None:
    error = error_of(text)
    assert error is None or 1 <= error.column <= len(text) + 1
    assert error is None or error.problem.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        '"' + "\\" * 3_990,
        "a=" + "1" * 3_990,
        "a=" + "1" * 3_990 + "dx",
        "a=" + "1h" * 1_900 + "!",
        "a=now" + "+1d" * 1_000,
        "a in (" * 600,
        "is " * 1_300,
        "a=-" * 1_300,
        "a=1 " * 900,
    ],
)
def test_no_text_keeps_the_reader_busy(text: str) -> None:
    started = time.thread_time()
    error_of(text)
    assert time.thread_time() - started < 1
