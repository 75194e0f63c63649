"""`archives`: tenants out of PostgreSQL and back, beside pg_dump and pg_restore."""

from __future__ import annotations

from bench import archives_bulk, archives_set
from bench.archives_data import fill, widen
from bench.archives_one import COPY, DUMP, TAKE, one_tenant
from bench.installation import Installation
from bench.load import Caller
from bench.result import Figures, Options, Ratio, Result, spread
from ops.archives.keys import new_identity

TENANTS = (10, 200)
"""Among which one is archived, before it is among many."""
ONE_BYTES = 6_000_000
"""Of that one: plain COPY takes about 20 ms."""

# The target was set for tenants of 17 tables and 55 indexes. They have 16 and 46, and what `widen`
# makes of it has 26 and 76: pg_dump reads the catalogue of all of them.
COPY_TARGET = "<= 2"
DUMP_TARGET = ">= 50"
GROWTH_TARGET = "<= 1.3"


def run(installation: Installation, options: Options) -> Result:
    """Measure the archive of one tenant among few and many, of all, and of a large one."""
    recipient, identity = new_identity()
    place = installation.beside(
        "bench_archives",
        BACKUP_URL=(installation.directory / "backups").as_uri(),
        BACKUP_RECIPIENTS=recipient,
        BACKUP_IDENTITY=identity.decode(),
    )
    schema_name = _schema(place.tenants(1)[0])
    fill(place, schema_name, ONE_BYTES)
    ratios, figures = _one(place, schema_name, options)
    figures |= archives_set.measure(place, options.tenants, options.rounds)
    figures |= archives_set.dump_all(place)
    widen(place, schema_name, options.tenants)
    with one_tenant(place, schema_name) as one:
        name = f"{options.tenants} wide tenants"
        ratios |= _compare(name, one.measure(options.rounds), figures, DUMP_TARGET)
    figures |= archives_set.dump_all(place)
    large = place.beside("bench_archives_large")
    of_large, figures_of_large = archives_bulk.measure(
        large, _schema(large.tenants(1)[0]), options.megabytes, options.rounds
    )
    return Result("archives", ratios | of_large, figures | figures_of_large)


def _one(
    installation: Installation, schema_name: str, options: Options
) -> tuple[dict[str, Ratio], Figures]:
    """One tenant with data, among more and more tenants of the database."""
    ratios: dict[str, Ratio] = {}
    figures: Figures = {}
    taken: dict[int, list[float]] = {}
    for count in sorted({min(count, options.tenants) for count in (*TENANTS, options.tenants)}):
        installation.tenants(count)
        with one_tenant(installation, schema_name) as one:
            times = one.measure(options.rounds)
            if count == options.tenants:
                steps = one.measure_steps(options.rounds)
                figures["one tenant's data"] = one.size()
        taken[count] = times[TAKE]
        target = DUMP_TARGET if count == options.tenants else ""
        ratios |= _compare(f"{count} tenants", times, figures, target)
    figures |= {f"step: {step}": spread(seconds) for step, seconds in steps.items()}
    *fewer, many = taken
    for few in fewer:
        name = f"{TAKE}, {many} tenants/{few} tenants"
        ratios[name] = Ratio.of(taken[many], taken[few], GROWTH_TARGET)
    return ratios, figures


def _compare(
    name: str, times: dict[str, list[float]], figures: Figures, dump_target: str
) -> dict[str, Ratio]:
    """The ratios of the ways; their times are added to `figures`."""
    figures |= {f"{way}, {name}": spread(seconds) for way, seconds in times.items()}
    return {
        f"{TAKE}/{COPY}, {name}": Ratio.of(times[TAKE], times[COPY], COPY_TARGET),
        f"{DUMP}/{TAKE}, {name}": Ratio.of(times[DUMP], times[TAKE], dump_target),
    }


def _schema(caller: Caller) -> str:
    """Of the tenant: a token says it."""
    return caller.token.partition(".")[0]
