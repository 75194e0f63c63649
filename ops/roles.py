"""The command line of every process, in the one place that says it.

The image's entry point and `flask up` both start processes from here. Words in braces are
settings of the environment, with the defaults of `DEFAULTS`.
"""

import os
import sys
from collections.abc import Mapping

CELERY = ["celery", "--quiet", "-A", "wsgi.celery_app"]  # quiet: logs without a banner

ROLES: dict[str, list[str]] = {
    "migrate": ["flask", "control", "upgrade"],
    "api": ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"],
    "worker": [
        *CELERY,
        "worker",
        "--queues=upgrades,backups,restores,upkeep,delivery,default",
        "--pool=prefork",
        "--concurrency={WORKER_CONCURRENCY}",
        "--loglevel={LOG_LEVEL}",
        "-E",
        # The ledger knows who does what: workers need not ask each other, nor wait for it.
        "--without-mingle",
        "--without-gossip",
    ],
    "beat": [
        *CELERY,
        "beat",
        "--schedule={BEAT_SCHEDULE_FILE}",
        "--loglevel={LOG_LEVEL}",
        # Makes it answer `celery inspect ping`, which is its health check.
        "--enable-remote-control",
    ],
    "flower": [*CELERY, "flower", "--address={FLOWER_ADDRESS}", "--port={FLOWER_PORT}"],
}

DEFAULTS = {
    "WORKER_CONCURRENCY": "2",
    "LOG_LEVEL": "INFO",
    "BEAT_SCHEDULE_FILE": "var/beat/schedule",
    "FLOWER_ADDRESS": "127.0.0.1",
    "FLOWER_PORT": "5555",
}


def command(role: str, environ: Mapping[str, str]) -> list[str]:
    """The argument list that starts `role`, its settings taken from `environ`.

    Raises:
        KeyError: there is no such role.
    """
    values = {name: environ.get(name) or default for name, default in DEFAULTS.items()}
    return [word.format_map(values) for word in ROLES[role]]


def main(arguments: list[str]) -> None:
    """Become the process of the role that is the only argument; does not return."""
    if len(arguments) != 1 or arguments[0] not in ROLES:
        sys.exit(f"usage: roles.py {'|'.join(ROLES)}")
    argv = command(arguments[0], os.environ)
    os.execvp(argv[0], argv)  # noqa: S606 - the words above, run without a shell


if __name__ == "__main__":
    main(sys.argv[1:])
