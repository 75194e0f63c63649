"""What processes use, from /proc: processor time and memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bench.result import Row

TICKS = os.sysconf("SC_CLK_TCK")
MEBIBYTE_IN_KIB = 1024


class Memory(NamedTuple):
    """Memory of some processes, in MiB."""

    processes: int
    private: float
    """What they allocated (RssAnon), together."""
    largest: float
    """Of it, what the largest process has."""
    proportional: float
    """With their parts of what is shared (Pss), together."""

    def row(self) -> Row:
        """As a row of figures."""
        return {
            "processes": self.processes,
            "private MiB": self.private,
            "largest MiB": self.largest,
            "Pss MiB": self.proportional,
        }


def cpu_seconds(pid: int) -> float:
    """Processor time of process `pid` and all its descendants, those that ended included."""
    return sum(_ticks(process) for process in _tree(pid)) / TICKS


def backend_memory(postmaster: int, user: str) -> Memory:
    """Memory of the server processes that serve connections of the database role `user`."""
    private, proportional = [], []
    for pid in _children(postmaster):
        with suppress(OSError):  # it has just ended
            if (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .startswith(b"postgres: %b " % user.encode())
            ):
                anonymous = _kib(pid, "status", "RssAnon")
                proportional.append(_kib(pid, "smaps_rollup", "Pss") / MEBIBYTE_IN_KIB)
                private.append(anonymous / MEBIBYTE_IN_KIB)
    return Memory(len(private), sum(private), max(private, default=0.0), sum(proportional))


def children_memory(pid: int) -> Memory:
    """Memory of the processes that process `pid` has started."""
    private = [_kib(child, "status", "RssAnon") / MEBIBYTE_IN_KIB for child in _children(pid)]
    pss = [_kib(child, "smaps_rollup", "Pss") / MEBIBYTE_IN_KIB for child in _children(pid)]
    return Memory(len(private), sum(private), max(private, default=0.0), sum(pss))


def _kib(pid: int, file: str, name: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def _ticks(pid: int) -> int:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # User and system time: its own, then that of the children it has waited for.
        return sum(int(ticks) for ticks in fields[11:15])
    return 0


def _tree(pid: int) -> list[int]:
    return [pid, *(below for child in _children(pid) for below in _tree(child))]


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return children
