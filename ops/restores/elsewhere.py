"""Restores a whole set into another database, which is a running system then.

This program does it there: it runs its own commands with the other database in their environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing

import psycopg2
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from todo_app.config import Settings
from todo_app.database import driver_url
from todo_app.errors import ConflictError, InvalidInputError, UnavailableError, first_line

PASSWORD_VARIABLE = "DEST_DB_PASSWORD"  # noqa: S105 (the name of a variable)
CONNECT_SECONDS = 5
POSTGRES_PORT = 5432


class DestinationInUseError(ConflictError):
    """The destination has tenants of its own."""

    code = "destination-in-use"


def environment(url: str, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which this program works on the destination.

    Args:
        url: of the destination, as the owner of all schemas, without a password.
        settings: of this installation; the API's role has the same name and password there.
        environ: of this process; DEST_DB_PASSWORD is the password.

    Raises:
        InvalidInputError: the URL cannot be used.
        DestinationInUseError: it is this database, or another one with tenants.
        UnavailableError: it does not answer.
    """
    try:
        there = make_url(url)
    except ArgumentError:
        raise InvalidInputError("--dest-db is not the URL of a database.") from None
    if there.drivername not in ("postgresql", "postgres") or not there.database:
        raise InvalidInputError("--dest-db is postgresql://user@host:port/database.")
    if there.password is not None:
        raise InvalidInputError(
            f"Everybody on this machine can read a password in a command: set {PASSWORD_VARIABLE}."
        )
    there = there.set(password=environ.get(PASSWORD_VARIABLE) or None)
    here = driver_url(settings.need("ops_database_url"))
    if _place(there) == _place(here):
        raise DestinationInUseError("--dest-db is this installation's own database.")
    _check_empty(there)
    api = make_url(settings.need("database_url")).set(
        host=there.host, port=there.port, database=there.database, query=there.query
    )
    rest = {name: value for name, value in environ.items() if name != PASSWORD_VARIABLE}
    return {
        **rest,
        "OPS_DATABASE_URL": there.render_as_string(hide_password=False),
        "DATABASE_URL": api.render_as_string(hide_password=False),
        # The caller's may come from elsewhere than from its environment.
        "REDIS_URL": settings.redis_url,
        "TENANT_ROLES": str(settings.tenant_roles).lower(),
        "BACKUP_URL": settings.backup_url,
        "BACKUP_RECIPIENTS": ",".join(settings.backup_recipients),
        "BACKUP_IDENTITY": settings.backup_identity,
    }


def _place(url: URL) -> tuple[object, ...]:
    return (url.host, url.port or POSTGRES_PORT, url.database)


def _check_empty(url: URL) -> None:
    try:
        connection = psycopg2.connect(
            url.set(drivername="postgresql").render_as_string(hide_password=False),
            connect_timeout=CONNECT_SECONDS,
        )
    except psycopg2.OperationalError as error:
        raise UnavailableError(f"The destination does not answer: {first_line(error)}") from None
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.tenants') IS NOT NULL")
        if cursor.fetchone() == (True,):
            cursor.execute("SELECT count(*) FROM public.tenants")
            number = (cursor.fetchone() or (0,))[0]
            if number:
                raise DestinationInUseError(
                    f"The destination has {number} tenants: a set goes into an empty database."
                )


def _commands(set_name: str) -> list[list[str]]:
    """What is run in the destination, one after the other."""
    return [
        ["control", "upgrade"],
        ["backups", "rescan"],
        ["backups", "restore", "--set", set_name, "--inline"],
    ]


def run(set_name: str, env: Mapping[str, str]) -> Iterator[tuple[list[str], int]]:
    """Restore a set in the environment of a destination; ends with the first command that fails.

    Yields:
        Each command, and its exit code.
    """
    for command in _commands(set_name):
        argv = [sys.executable, "-m", "flask", *command]
        done = subprocess.run(argv, env=dict(env), cwd=os.getcwd(), check=False)  # noqa: S603
        yield command, done.returncode
        if done.returncode:
            return
