"""Celery's settings: queues, routes, limits, and the schedule. URLs come from the environment."""

from datetime import timedelta

from celery.schedules import crontab
from kombu.entity import Exchange, Queue

UPGRADES = "upgrades"
BACKUPS = "backups"
RESTORES = "restores"
UPKEEP = "upkeep"
DELIVERY = "delivery"
DEFAULT = "default"

LONGEST_TASK = timedelta(hours=2)
VISIBILITY_TIMEOUT = LONGEST_TASK + timedelta(minutes=30)
"""Above the longest task, or the broker would hand a running task to a second worker."""

imports = (
    "ops.backups.tasks",
    "ops.delivery.tasks",
    "ops.monitor.exporter",
    "ops.monitor.tasks",
    "ops.restores.tasks",
    "ops.runs.tasks",
    "ops.tenants.tasks",
    "ops.upgrades.tasks",
    "ops.upkeep.tasks",
)
task_queues = tuple(
    Queue(name, Exchange(name), routing_key=name)  # type: ignore[no-untyped-call]
    for name in (UPGRADES, BACKUPS, RESTORES, UPKEEP, DELIVERY, DEFAULT)
)
task_default_queue = DEFAULT
task_create_missing_queues = False
task_routes = {
    "ops.upgrades.tasks.*": {"queue": UPGRADES},
    "ops.backups.tasks.*": {"queue": BACKUPS},
    "ops.restores.tasks.*": {"queue": RESTORES},
    "ops.upkeep.tasks.*": {"queue": UPKEEP},
    "ops.delivery.tasks.*": {"queue": DELIVERY},
}

task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
task_time_limit = int(LONGEST_TASK.total_seconds())
worker_soft_shutdown_timeout = 20.0
worker_enable_soft_shutdown_on_idle = True

_transport = {"visibility_timeout": int(VISIBILITY_TIMEOUT.total_seconds())}
broker_transport_options = {**_transport, "socket_connect_timeout": 2, "socket_timeout": 10}
result_backend_transport_options = {
    **_transport,
    # An API request must not wait for long where the broker is away.
    "retry_policy": {"max_retries": 1, "timeout": 2.0},
}
visibility_timeout = _transport["visibility_timeout"]
broker_connection_retry_on_startup = True

worker_send_task_events = True
task_send_sent_event = True
task_track_started = True
result_expires = timedelta(days=1)
result_extended = True
task_serializer = result_serializer = "json"
accept_content = ["json"]
timezone = "UTC"
worker_hijack_root_logger = False
worker_redirect_stdouts = False

beat_scheduler = "ops.schedule:SlotScheduler"
beat_schedule = {
    "deliver-outbox": {
        "task": "ops.delivery.tasks.deliver",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 30},
    },
    "send-webhooks": {
        "task": "ops.delivery.tasks.send_webhooks",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 30},
    },
    "keep-spare-schemas": {
        "task": "ops.tenants.tasks.keep_spares",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 120},
    },
    "drop-deleted-tenants": {
        "task": "ops.tenants.tasks.drop_deleting",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 120},
    },
    "wake-stalled-runs": {
        "task": "ops.runs.tasks.wake_stalled",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 20},
    },
    "reconcile-revisions": {
        "task": "ops.upgrades.tasks.reconcile",
        "schedule": crontab(minute="7"),
        "options": {"expires": 3000},
    },
    "check-drift": {
        "task": "ops.monitor.tasks.check",
        "schedule": crontab(minute="37"),
        "options": {"expires": 3000},
    },
    "back-up-all": {
        "task": "ops.backups.tasks.back_up_all",
        "schedule": crontab(hour="1", minute="7"),
    },
    "keep-tenants-tidy": {
        "task": "ops.upkeep.tasks.begin",
        "schedule": crontab(hour="2", minute="37"),
    },
    "sweep-files": {
        "task": "ops.upkeep.tasks.sweep_files",
        "schedule": crontab(hour="5", minute="47"),
    },
    "close-backup-sets": {
        "task": "ops.backups.tasks.close",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 120},
    },
    "prune-archives": {
        "task": "ops.backups.tasks.prune",
        "schedule": crontab(hour="5", minute="17"),
    },
    "drill-restores": {
        "task": "ops.restores.tasks.drill",
        "schedule": crontab(hour="4", minute="7"),
    },
    "sweep-restores": {
        "task": "ops.restores.tasks.sweep",
        "schedule": crontab(minute="47"),
        "options": {"expires": 3000},
    },
    "sweep": {
        "task": "ops.monitor.tasks.sweep",
        "schedule": crontab(hour="3", minute="17"),
    },
}
