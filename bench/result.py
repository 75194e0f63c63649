"""What a benchmark has found, for people and for programs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

Row = dict[str, float]
Figures = dict[str, Row]


def spread(seconds: Sequence[float]) -> Row:
    """Times as a row of figures."""
    return {
        "median ms": statistics.median(seconds) * 1e3,
        "lowest ms": min(seconds) * 1e3,
        "highest ms": max(seconds) * 1e3,
    }


@dataclass(frozen=True)
class Options:
    """How much to measure."""

    rounds: int = 7
    """Times that each of the programs that are compared gets its turn."""
    seconds: int = 4
    """Length of a turn under load."""
    tenants: int = 1000
    """What `many tenants` means."""
    megabytes: int = 1000
    """What `a large tenant` means."""


@dataclass(frozen=True)
class Ratio:
    """The median of the ratios of all rounds."""

    value: float
    lowest: float
    highest: float
    target: str = ""
    """The bound it should keep, as people write it; empty where there is none."""

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float], target: str = "") -> Ratio:
        """Compare two series that were measured in turns."""
        ratios = [one / other for one, other in zip(above, below, strict=True)]
        return cls(statistics.median(ratios), min(ratios), max(ratios), target)


@dataclass(frozen=True)
class Result:
    """What one benchmark has found."""

    name: str
    ratios: dict[str, Ratio]
    figures: Figures
    """By what was measured: by unit, the number."""

    def print_table(self, console: Console) -> None:
        """Write the result for people."""
        ratios = Table("ratio", "median", "lowest", "highest", "target", title=self.name)
        for name, ratio in self.ratios.items():
            numbers = (f"{n:.3f}" for n in (ratio.value, ratio.lowest, ratio.highest))
            ratios.add_row(name, *numbers, ratio.target)
        console.print(ratios)
        by_units: dict[tuple[str, ...], Figures] = {}
        for name, row in self.figures.items():
            by_units.setdefault(tuple(row), {})[name] = row
        for units, rows in by_units.items():
            table = Table("measured", *units)
            for name, row in rows.items():
                table.add_row(name, *(f"{row[unit]:,.1f}" for unit in units))
            console.print(table)

    def to_json(self) -> str:
        """The result as one JSON object in one line."""
        spread = {
            f"ratio {name}": {"lowest": ratio.lowest, "highest": ratio.highest}
            for name, ratio in self.ratios.items()
        }
        document = {
            "name": self.name,
            "ratios": {name: round(ratio.value, 4) for name, ratio in self.ratios.items()},
            "figures": {**self.figures, **spread},
        }
        return json.dumps(document)
