"""CSV files: read with a report by line, and written so that no spreadsheet computes with them.

A cell that a spreadsheet would take for a formula gets an apostrophe in front when it is written,
and reading takes exactly that one away: what was written comes back as it was.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import marshmallow as ma

from todo_app.errors import InvalidInputError

MEDIA_TYPE = "text/csv"
CHARSET = "utf-8"
BYTE_ORDER_MARK = "\ufeff"

MAX_LINES_REPORTED = 100
MAX_COLUMNS_REPORTED = 20
LINE = "line"
"""Stands for a column where the line as a whole is wrong."""

# = + - @, the same in full width and small, and what moves a cell's rest into another one.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]")
_LINE_END = re.compile("\r\n|\r|\n")


class TooManyLinesError(InvalidInputError):
    """A file has more lines than are taken at once."""

    status = 413
    code = "too-many-lines"
    detail = "The file has too many lines."


class Line(NamedTuple):
    """A line that could be read: where it stands in the file, and its values by column."""

    number: int
    values: dict[str, Any]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong with any of its cells."""
        return not any(isinstance(value, _Problems) for value in self.values.values())


class Report:
    """What is wrong with a file, by line and column."""

    def __init__(self) -> None:
        self.lines = 0
        """How many there are below the header."""
        self._errors: dict[int, dict[str, list[str]]] = {}

    def add(self, line: int, column: str, problem: str) -> None:
        """Note a problem.

        Args:
            line: its number; the first one is 1.
            column: the column's name, or LINE.
            problem: a sentence.
        """
        self._errors.setdefault(line, {}).setdefault(column, []).append(problem)

    def raise_if_any(self) -> None:
        """Refuse the file where something is wrong with it.

        Raises:
            InvalidInputError: with the first lines that are wrong, and how many there are.
        """
        if not self._errors:
            return
        first = sorted(self._errors.items())[:MAX_LINES_REPORTED]
        counts = {"lines": self.lines, "bad_lines": len(self._errors)}
        raise InvalidInputError(
            "Nothing was imported: some lines are not acceptable.",
            errors={"csv": {str(number): problems for number, problems in first}, "counts": counts},
        )


def read(data: bytes, schema: ma.Schema, max_lines: int) -> tuple[list[Line], Report]:
    """Read a file: UTF-8, with a header, commas or semicolons between the cells.

    Args:
        data: the file.
        schema: has a field for each column; empty cells of columns that are not required become
            None.
        max_lines: below the header; empty ones do not count.

    Returns:
        The lines that are as the schema wants them, and what is wrong with the others.

    Raises:
        InvalidInputError: encoding, quotes or header are wrong.
        TooManyLinesError
    """
    rows = _rows(_text(data))
    header = next(rows, _Row(1, []))
    columns = [cell.strip().lower() for cell in header.cells]
    _check_header(header.number, columns, schema)
    readers = [_reader(schema.fields[column]) for column in columns]
    lines: list[Line] = []
    report = Report()
    for row in rows:
        report.lines += 1
        if report.lines > max_lines:
            raise TooManyLinesError(f"A file has at most {max_lines} lines below its header.")
        if len(row.cells) != len(columns):
            report.add(row.number, LINE, f"Has {len(row.cells)} cells, not {len(columns)}.")
            continue
        results = [read_cell(cell) for read_cell, cell in zip(readers, row.cells, strict=True)]
        lines.append(Line(row.number, dict(zip(columns, results, strict=True))))
        for column, result in zip(columns, results, strict=True):
            if isinstance(result, _Problems):
                for problem in result:
                    report.add(row.number, column, problem)
    if not report.lines:
        report.add(header.number, LINE, "There is nothing below the header.")
    return lines, report


class _Row(NamedTuple):
    number: int
    cells: list[str]


class _Problems(list[str]):
    """Stands for the value of a cell that has none."""


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise _unreadable(_line_after(before), "Is not UTF-8.") from None
    if "\x00" in text:
        raise _unreadable(_line_after(text[: text.index("\x00")]), "Has a null byte.")
    return text.removeprefix(BYTE_ORDER_MARK)


def _line_after(text: str) -> int:
    return len(_LINE_END.findall(text)) + 1


def _unreadable(line: int, problem: str) -> InvalidInputError:
    return InvalidInputError(
        "The file cannot be read.", errors={"csv": {str(line): {LINE: [problem]}}}
    )


def _rows(text: str) -> Iterator[_Row]:
    header = _LINE_END.split(text, maxsplit=1)[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in reader:
            if cells:
                yield _Row(begins, cells)
            begins = reader.line_num + 1
    except csv.Error:
        problem = "Cannot be read: its quotes are broken, or a cell is too long."
        raise _unreadable(begins, problem) from None


def _check_header(number: int, columns: Sequence[str], schema: ma.Schema) -> None:
    report = Report()
    unknown = [name for name in dict.fromkeys(columns) if name not in schema.fields]
    for name in unknown[:MAX_COLUMNS_REPORTED]:
        report.add(number, name[:100], "There is no such column.")
    for name, field in schema.fields.items():
        times = columns.count(name)
        if times > 1:
            report.add(number, name, "Stands there more than once.")
        elif field.required and not times:
            report.add(number, name, "This column is missing.")
    report.raise_if_any()


def _reader(field: ma.fields.Field[Any]) -> Callable[[str], Any]:
    """What turns a cell into a value, or into problems; a text that comes again costs nothing."""
    known: dict[str, Any] = {}

    def read_cell(cell: str) -> Any:
        if cell not in known:
            known[cell] = _value(field, cell)
        return known[cell]

    return read_cell


def _value(field: ma.fields.Field[Any], cell: str) -> Any:
    if not cell.strip() and not field.required:
        return None
    try:
        return field.deserialize(without_apostrophe(cell))
    except ma.ValidationError as error:
        return _Problems(map(str, error.messages))


def with_apostrophe(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return "'" + cell if _FORMULA.match(cell) else cell


def without_apostrophe(cell: str) -> str:
    """The text that `with_apostrophe` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def names_in(cell: str) -> list[str]:
    """The names that stand in one cell, with commas between them, each once.

    A name that has a comma stands in quotes, as a cell of a line would.

    Raises:
        ValueError: the quotes are broken.
    """
    try:
        names = next(csv.reader([cell], skipinitialspace=True, strict=True), [])
    except csv.Error:
        raise ValueError("Its quotes are broken.") from None
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def joined(names: Iterable[str]) -> str:
    """The cell from which `names_in` reads these."""
    text = io.StringIO(newline="")
    # Its own line end, without which it does not quote line breaks.
    csv.writer(text, lineterminator="\r\n").writerow(names)
    return text.getvalue().removesuffix("\r\n")


def write(columns: Sequence[str], rows: Iterable[Mapping[str, str | None]]) -> bytes:
    """Lines of a file, with commas and quotes; RFC 4180.

    Args:
        columns: their names, in order.
        rows: by column; None becomes an empty cell.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([with_apostrophe(row[name] or "") for name in columns] for row in rows)
    return text.getvalue().encode()
