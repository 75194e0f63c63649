"""Makes a filter a condition that the database understands.

`not` goes down to the single conditions, where it is exact: what a condition does not find, its
negation finds, and rows that have no value are among these. So `priority != 3`, which is
`not priority = 3`, finds rows without a priority, and `priority < 3` does not.

All values are bound parameters; names of fields only choose among columns that the program knows.
"""

from __future__ import annotations

import sqlalchemy as sa

from todo_app.filters import search
from todo_app.filters.context import Context
from todo_app.filters.errors import FilterError
from todo_app.filters.fields import Field, Fields
from todo_app.filters.kinds import MAX_SHOWN, Predicate
from todo_app.filters.nodes import And, Condition, FieldName, Node, Not, Operator, Or, Search

_NEGATIONS = {
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.NOT_IN: Operator.IN,
    Operator.NOT_EMPTY: Operator.EMPTY,
}
_GENERAL = (*_NEGATIONS, *_NEGATIONS.values())
"""What every field can be asked."""


def compile(node: Node, fields: Fields, context: Context) -> sa.ColumnElement[bool]:
    """The condition that rows meet which the filter finds, for `WHERE`.

    Args:
        node: the filter.
        fields: what the rows have. The query must have their table in its FROM.
        context: who asks, and when.

    Returns:
        A condition that is null, not false, for some rows that are not found: whoever negates it
        writes IS NOT TRUE.

    Raises:
        FilterError: there is no such field, or it cannot be compared so.
    """
    return _compiled(node, fields, context, is_negated=False)


def _compiled(node: Node, fields: Fields, context: Context, is_negated: bool) -> Predicate:
    match node:
        case Not(operand):
            return _compiled(operand, fields, context, not is_negated)
        case And(operands) | Or(operands):
            parts = [_compiled(operand, fields, context, is_negated) for operand in operands]
            return sa.or_(*parts) if isinstance(node, Or) != is_negated else sa.and_(*parts)
        case Search():
            predicate = search.found(fields.words, node)
        case Condition(name, sign):
            predicate = _asked(node, _field(name, fields), context)
            is_negated = is_negated != (sign in _NEGATIONS)
    return _negated(predicate) if is_negated else predicate


def _asked(condition: Condition, field: Field, context: Context) -> Predicate:
    """The condition without the negation that its operator has."""
    sign = _NEGATIONS.get(condition.operator, condition.operator)
    values = condition.values
    if sign is Operator.EMPTY:
        return field.is_empty()
    if sign in (Operator.EQUAL, Operator.IN):
        return field.any(field.kind.any_of(field.column, values, context))
    if sign not in field.kind.comparisons:
        possible = (*field.kind.comparisons, *_GENERAL)
        allowed = [f"`{each}`" for each in Operator if each in possible]
        raise FilterError(
            condition.column,
            f"found `{sign}`, but of `{condition.name.name[:MAX_SHOWN]}` only "
            f"{', '.join(allowed[:-1])} and {allowed[-1]} can be asked.",
        )
    return field.any(field.kind.compare(field.column, sign, values[0], context))


def _negated(predicate: Predicate) -> Predicate:
    if isinstance(predicate, sa.Exists):
        return ~predicate
    return predicate.is_not(sa.true())


def _field(name: FieldName, fields: Fields) -> Field:
    if name.is_custom:
        field = fields.custom(name.name)
        expected = "the name of a field of your own"
    else:
        field = fields.named.get(name.name)
        expected = f"a field: {', '.join(f'`{each}`' for each in fields.named)}"
    if field is None:
        raise FilterError(name.column, f"found `{name.name[:MAX_SHOWN]}`, expected {expected}.")
    return field
