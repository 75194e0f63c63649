"""gunicorn's settings for the `api` role; BIND and WEB_CONCURRENCY come from the environment."""

import os

bind = os.environ.get("BIND") or "0.0.0.0:8000"
workers = int(os.environ.get("WEB_CONCURRENCY") or len(os.sched_getaffinity(0)))

# Threads, because `sync` workers cannot keep connections alive and one slow client holds one up.
# Not more than the pool has connections (POOL_SIZE): a thread beyond that would only wait.
worker_class = "gthread"
threads = 4
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
