"""The user that PostgreSQL runs as: it refuses to run as root."""

import os
import pwd
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ops.local.child import find_program
from ops.local.errors import LocalError

USER = "embedded_postgres"

# Lets the server pass through directories that only root may enter (var/ itself, a clone in /root
# or in a `mktemp -d`), instead of opening them to everybody. PostgreSQL asks access(2) too, which
# looks at capabilities only under no_setuid_fixup. Containers often lack dac_read_search and
# have the stronger dac_override.
PASS_THROUGH = [
    [
        f"--inh-caps=+{capability}",
        f"--ambient-caps=+{capability}",
        "--securebits=+no_setuid_fixup",
    ]
    for capability in ("dac_read_search", "dac_override")
]


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server: ourselves, or another user when we are root."""

    prefix: tuple[str, ...] = ()
    """Words before a command that is to run as this user."""
    uid: int = -1
    gid: int = -1

    def own(self, path: Path) -> None:
        """Give `path` to this user (-1: it stays as it is)."""
        os.chown(path, self.uid, self.gid)


def server_account(data_dir: Path, trial: list[str]) -> Account:
    """The account for a server whose files are in `data_dir`.

    Args:
        data_dir: need not exist; if it does, its owner is the account.
        trial: a harmless command that works where the server's programs can be reached.

    Raises:
        LocalError: we are root, and no other user can do it; the text says why.
    """
    if os.geteuid() != 0:
        return Account()
    setpriv = find_program("setpriv")
    if setpriv is None:
        raise LocalError(
            "PostgreSQL does not run as root, and `setpriv`, which starts it as another user, is "
            "missing: install util-linux, or run as an ordinary user."
        )
    user = _owner(data_dir) or _system_user()
    become = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    for prefix in (become, *([*become, *words] for words in PASS_THROUGH)):
        error = _fails([*prefix, *trial]) or _fails([*prefix, "test", "-x", str(data_dir.parent)])
        if error is None:
            return Account(tuple(prefix), user.pw_uid, user.pw_gid)
    raise LocalError(
        f"PostgreSQL does not run as root, and the user {user.pw_name} cannot reach "
        f"{data_dir.parent} or the installed packages ({error}). Run as an ordinary user, or use "
        "a directory that every user may enter."
    )


def _owner(data_dir: Path) -> pwd.struct_passwd | None:
    if not data_dir.exists() or data_dir.stat().st_uid == 0:
        return None
    with suppress(KeyError):
        return pwd.getpwuid(data_dir.stat().st_uid)
    return None


def _system_user() -> pwd.struct_passwd:
    """Our dedicated user, made if it is missing; several starts may do so at the same time."""
    useradd = find_program("useradd") or "useradd"
    error: str | None = None
    for _ in range(10):
        with suppress(KeyError):
            return pwd.getpwnam(USER)
        error = _fails([useradd, "--system", "--no-create-home", "--shell=/usr/sbin/nologin", USER])
        if error:
            time.sleep(0.2)
    raise LocalError(
        f"PostgreSQL does not run as root, and its user could not be made: {error} "
        f"Make it with `useradd --system {USER}`, or run as an ordinary user."
    )


def _fails(command: list[str]) -> str | None:
    """What is wrong with `command`; None if it works."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and our own paths
            command, capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip() or f"exit {done.returncode}"
