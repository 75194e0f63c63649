"""gunicorn's settings for the `api` role; BIND and WEB_CONCURRENCY come from the environment."""

import itertools
import os
import shutil
import tempfile
from typing import Any

from prometheus_client import values

bind = os.environ.get("BIND") or "0.0.0.0:8000"
workers = int(os.environ.get("WEB_CONCURRENCY") or len(os.sched_getaffinity(0)))

# Threads, because `sync` workers cannot keep connections alive and one slow client holds one up.
# More than the pool has connections (POOL_SIZE): up to 48 may wait for a password hash, which holds
# no connection (todo_app/hashing.py), and nobody else should have to wait behind them.
worker_class = "gthread"
threads = 64
keepalive = 75  # seconds; longer than the idle time of the usual load balancers

timeout = 60
graceful_timeout = 25
max_requests = 0  # workers are not recycled: connections are retired instead (POOL_MAX_SCHEMAS)
preload_app = False  # no connection is ever shared across a fork
accesslog = None  # the app logs requests itself, with tenant and request id
errorlog = "-"
# Heartbeats on a disk stall with the disk.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
# A socket in HOME would be shared by every instance of that user.
control_socket_disable = True

DIRECTORY_OF_METRICS = "PROMETHEUS_MULTIPROC_DIR"


def on_starting(server: Any) -> None:
    """Make the directory in which workers count requests, so that each can tell the counts of all.

    A reload keeps it; a new master has its own.
    """
    prefix = f"todo-metrics-{os.getpid()}-"
    os.environ[DIRECTORY_OF_METRICS] = tempfile.mkdtemp(prefix=prefix, dir=worker_tmp_dir)


def pre_fork(server: Any, worker: Any) -> None:
    """Give a worker the lowest number that no living one has.

    Its file is named by that, not by its process: counts of a worker that died go on in its
    successor's, and files do not pile up.
    """
    taken = {other.number for other in server.WORKERS.values()}
    worker.number = next(number for number in itertools.count() if number not in taken)


def post_fork(server: Any, worker: Any) -> None:
    """Count in the worker's file from now on; the application is loaded after this."""
    values.ValueClass = values.MultiProcessValue(lambda: worker.number)  # type: ignore


def on_exit(server: Any) -> None:
    """Leave no files behind."""
    shutil.rmtree(os.environ[DIRECTORY_OF_METRICS], ignore_errors=True)
