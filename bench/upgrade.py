"""`upgrade`: a fan-out of one revision, its SQL by psycopg2, and Flask-Migrate in a loop."""

from __future__ import annotations

from contextlib import closing

import psycopg2

from bench import nobody
from bench.fleet import Fleet
from bench.installation import Installation
from bench.race import DDL, FAN_OUT, LOOP, SQL, Race
from bench.result import Options, Ratio, Result, spread

FEW_TENANTS = 200
SQL_TARGET = "<= 2.5"
LOOP_TARGET = ">= 8"
MEMORY_TARGET = "<= 1.1"


def run(installation: Installation, options: Options) -> Result:
    """Measure a fan-out over few and over many tenants, and one in which nobody is behind."""
    counts = sorted({min(FEW_TENANTS, options.tenants), options.tenants})
    fleet = Fleet(installation.beside("bench_upgrade"))
    ratios, figures = nobody.measure(fleet.installation, options, counts)
    fan_outs: dict[int, list[float]] = {}
    url = fleet.installation.env["OPS_DATABASE_URL"]
    with fleet.worker() as worker, closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        race = Race(fleet, worker, connection)
        for count in counts:
            fleet.installation.tenants(count)
            times = race.measure(options.rounds)
            fan_outs[count] = times[FAN_OUT]
            for way in (SQL, DDL):
                name = f"fan-out/{way}, {count} tenants"
                ratios[name] = Ratio.of(times[FAN_OUT], times[way], SQL_TARGET)
            ratios[f"loop/fan-out, {count} tenants"] = Ratio.of(
                times[LOOP], times[FAN_OUT], LOOP_TARGET
            )
            for way, seconds in times.items():
                figures[f"{way}, one of {count} tenants"] = spread(seconds)
    few, many = counts[0], counts[-1]
    if few < many:
        ratios[f"fan-out, one of {many}/one of {few}"] = Ratio.of(fan_outs[many], fan_outs[few])
    first, last = race.worker_memory[0], race.worker_memory[-1]
    ratios["worker's memory, last/first fan-out"] = Ratio.of(
        [last.private], [first.private], MEMORY_TARGET
    )
    figures["worker, after the first fan-out"] = first.row()
    figures["worker, after the last fan-out"] = last.row()
    figures["backends of operations, at most"] = max(
        race.backend_memory, key=lambda memory: memory.private
    ).row()
    return Result("upgrade", ratios, figures)
