"""A tenant out and back by a process of its own, so that its memory can be told.

As a program, with the settings of an installation in its environment: archives the tenant that has
a schema, or restores the archive of a name into a scratch schema, and prints what that took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import sqlalchemy as sa

from bench.archives_bulk import ARCHIVE, RESTORE, Alone
from ops.archives.models import BackupSet
from ops.backups.take import SetRef, take
from ops.restores import scratch
from ops.restores.progress import Progress
from ops.restores.source import fill, find_source
from todo_app.config import Settings
from todo_app.database import own_connection
from todo_app.storage import Storage
from wsgi import app


def archive(connection: sa.Connection, settings: Settings, schema_name: str) -> Alone:
    """Archive a tenant, into a set of its own."""
    storage = Storage(settings.backup_url)
    name = f"alone-{time.time_ns()}"
    row = sa.insert(BackupSet).values(name=name, actor="bench")
    set_ = SetRef(connection.execute(row.returning(BackupSet.id)).scalar_one(), name)
    started = time.perf_counter()
    taken = take(connection, storage, settings, set_, schema_name)
    seconds = time.perf_counter() - started
    assert taken is not None
    return Alone(seconds, _peak(), taken.name, taken.manifest.size, taken.size)


def restore(connection: sa.Connection, settings: Settings, name: str) -> Alone:
    """Load an archive into a scratch schema with all checks and indexes."""
    source = find_source(connection, Storage(settings.backup_url), settings, name)
    with scratch.scratch() as schema:
        started = time.perf_counter()
        filled = fill(connection, source, schema, None, settings, Progress())
        seconds = time.perf_counter() - started
    return Alone(seconds, _peak(), name, filled.manifest.size, source.expected.size)


def _peak() -> int:
    """What getrusage calls maxrss, but without the memory of whoever has started this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> None:
    """The program."""
    action, name = sys.argv[1:]
    settings: Settings = app.config["SETTINGS"]
    with app.app_context(), own_connection() as connection:
        done = {ARCHIVE: archive, RESTORE: restore}[action](connection, settings, name)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
