"""What is told of a filter that is not one."""

from __future__ import annotations

from todo_app.errors import InvalidInputError


class FilterError(InvalidInputError):
    """A filter that cannot be understood, or that asks for what a field does not have.

    Args:
        column: where, in characters from 1; a line break counts as one.
        problem: what is wrong there: the rest of a sentence that begins with the column.
        place: where the filter came from: the part of the request and the name in it.
    """

    code = "bad-filter"
    detail = "The filter cannot be understood."

    def __init__(
        self, column: int, problem: str, place: tuple[str, str] = ("query", "filter")
    ) -> None:
        part, name = place
        super().__init__(errors={part: {name: [f"Column {column}: {problem}"]}})
        self.column = column
        self.problem = problem

    def at(self, part: str, name: str) -> FilterError:
        """The same of a filter that came from elsewhere, such as `json` and `filter`."""
        return FilterError(self.column, self.problem, (part, name))
