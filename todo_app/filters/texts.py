"""Writes filters: from nodes to text."""

from __future__ import annotations

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

_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def unparse(node: Node) -> str:
    """The one text of a filter: reading it gives an equal filter."""
    match node:
        case Or(operands):
            return " or ".join(_inside(operand, (Or,)) for operand in operands)
        case And(operands):
            return " and ".join(_inside(operand, (Or, And)) for operand in operands)
        case Not(operand):
            return f"not {_inside(operand, (Or, And))}"
        case Search(text):
            return f"search({_quoted(text)})"
        case Condition():
            return _condition(node)


def unparse_value(value: Value) -> str:
    """The one text of a value."""
    match value:
        case Word(text):
            return text
        case Quoted(text):
            return _quoted(text)
        case Number(number):
            return f"{number:f}"
        case Day(day):
            return day.isoformat()
        case Instant(moment):
            return moment.replace(tzinfo=None).isoformat() + "Z"
        case Duration(steps):
            return "".join(f"{step.count}{step.unit}" for step in steps)
        case Relative(anchor, steps):
            return anchor + "".join(_signed(step) for step in steps)


def _inside(node: Node, loose: tuple[type[Node], ...]) -> str:
    text = unparse(node)
    return f"({text})" if isinstance(node, loose) else text


def _condition(condition: Condition) -> str:
    start = f"{_name(condition.name)} {condition.operator}"
    values = ", ".join(unparse_value(value) for value in condition.values)
    if condition.operator in (Operator.IN, Operator.NOT_IN):
        return f"{start} ({values})"
    return f"{start} {values}" if values else start


def _name(field: FieldName) -> str:
    return f"field.{_quoted(field.name)}" if field.is_custom else field.name


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPED)}"'


def _signed(step: Step) -> str:
    return f"{step.count:+d}{step.unit}"
