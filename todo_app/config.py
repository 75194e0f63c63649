"""Every setting, named once, typed, and checked when the program starts."""

from __future__ import annotations

import base64
import logging
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import limits

EMPTY_MEANS_OFF = ("auth_rate_limit", "tenant_rate_limit")
AT_LEAST_ONE = (
    "pool_size",
    "pool_timeout",
    "pool_max_schemas",
    "max_body_bytes",
    "attachment_max_bytes",
    "upgrade_lock_timeout",
    "keep_deliveries_days",
    "keep_runs_days",
    "keep_trash_days",
)
NOT_NEGATIVE = (
    "account_limit",
    "attachments_keep_days",
    "attachments_quota",
    "backup_drills",
    "backup_spread_seconds",
    "keep_daily",
    "keep_monthly",
    "keep_weekly",
    "keep_yearly",
    "restore_keep_days",
    "spare_schemas",
    "trusted_proxies",
    "upgrade_statement_timeout",
    "worker_metrics_port",
)


FERNET_KEY_BYTES = 32


class ConfigError(Exception):
    """A setting is missing or has a value that cannot be used; the text names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process, read from the environment.

    URLs may be empty until something needs them, so that `flask --help` and `flask up` work
    on a machine where nothing is set; `need()` is what raises then.
    """

    database_url: str = field(default="", repr=False)
    """Where the API connects, as its own narrow role."""
    ops_database_url: str = field(default="", repr=False)
    """Where operations connect: the owner of the schemas, directly, never through a pooler."""
    redis_url: str = field(default="", repr=False)
    """Broker, result backend and rate limit counters."""
    tenant_roles: bool = False
    """Whether each tenant's schema is usable only by a database role of its own."""
    host_domain: str = ""
    """`example.com` lets `acme.example.com` choose the tenant `acme`."""
    pool_size: int = 5
    """Connections a process keeps open."""
    pool_timeout: int = 10
    """Seconds a request waits for a connection before it is answered with 503."""
    pool_max_schemas: int = 1000
    """A connection that has served this many tenants is replaced: its catalogue caches grow."""
    spare_schemas: int = 5
    """Ready schemas kept for registrations."""
    upgrade_lock_timeout: int = 2
    """Seconds that a revision waits for a table in use. Requests queue up behind it meanwhile, and
    give up after 3 seconds."""
    upgrade_statement_timeout: int = 900
    """Seconds that one statement of a revision may take; 0 for any time."""
    backup_url: str = ""
    """Where archives are kept: `file:///…`, `s3://bucket/prefix`, `gs://…` or `az://…`. What the
    storage wants besides, such as AWS_ACCESS_KEY_ID, it reads from its own variables."""
    backup_recipients: tuple[str, ...] = ()
    """Public age keys of the operators; archives are encrypted where there is one."""
    backup_identity: str = field(default="", repr=False)
    """Secret age key that belongs to one of them: needed to verify and to restore."""
    backup_spread_seconds: int = 0
    """Seconds over which the tenants of a scheduled set are spread."""
    operator_mail: str = ""
    """Who is told of sets that are incomplete, and of restores that could not be proven."""
    backup_drills: int = 3
    """Tenants whose restore is tried each night."""
    keep_daily: int = 7
    """Days of which the last archive is kept."""
    keep_weekly: int = 4
    """Weeks of which the last archive is kept."""
    keep_monthly: int = 12
    """Months of which the last archive is kept."""
    keep_yearly: int = 3
    """Years of which the last archive is kept."""
    restore_keep_days: int = 7
    """Days that the schema which a restore has replaced is kept for `undo`."""
    keep_deliveries_days: int = 30
    """Days after which the log of what webhooks were sent forgets a message that has ended."""
    keep_runs_days: int = 90
    """Days after which the ledger forgets a run that has ended."""
    keep_trash_days: int = 30
    """Days after which what is in a tenant's trash is deleted for good."""
    metrics_token: str = field(default="", repr=False)
    """Bearer token that `/metrics` asks for; without one there is no `/metrics`."""
    worker_metrics_port: int = 0
    """Port on which a worker serves its metrics; 0 for none."""
    worker_metrics_address: str = "127.0.0.1"
    """Address that this port is on."""
    mail_url: str = field(default="", repr=False)
    """`smtp://[user:password@]host:port` or `smtps://…`; empty writes .eml files instead."""
    mail_dir: Path = Path("var/mail")
    """Where mails go when `mail_url` is empty."""
    mail_from: str = "todo@localhost"
    """Sender of all mails."""
    public_url: str = "http://127.0.0.1:8000"
    """How clients reach the API; written into mails, and into the addresses of calendars."""
    cors_origins: tuple[str, ...] = ()
    """Origins of browsers that may call the API; empty allows none."""
    trusted_proxies: int = 0
    """How many proxies stand before the API: so many X-Forwarded-* values are believed."""
    max_body_bytes: int = 1024 * 1024
    """Largest request body that is read."""
    attachments_url: str = ""
    """Where the files of tasks are kept, as `backup_url` says it; empty for no files at all."""
    attachment_max_bytes: int = 25 * 1024 * 1024
    """Largest file that is taken."""
    attachments_quota: int = 1024**3
    """Bytes that the files of a tenant may have together; 0 for any number."""
    attachments_keep_days: int = 30
    """Days that the content of a file is kept after nothing refers to it any more."""
    backup_files: bool = True
    """Whether archives have the files of tasks in them; they only name them otherwise."""
    auth_rate_limit: str = "30 per minute"
    """Requests to `/auth` allowed from one address; empty switches the limit off."""
    tenant_rate_limit: str = "12000 per minute"
    """Requests allowed to all people of one tenant together; empty switches the limit off."""
    account_limit: int = 0
    """People that a tenant may have, where it has no limit of its own; 0 for any number."""
    secrets_keys: tuple[str, ...] = field(default=(), repr=False)
    """Fernet keys (32 bytes, URL-safe base64) that encrypt the secrets of second factors and
    of webhooks. The first encrypts, all decrypt: put a new one in front to replace an old one."""
    required_revision: str = ""
    """Oldest tenant revision that is served; empty takes the code's own bound."""
    log_level: str = "INFO"
    log_format: str = "json"
    """`json` for machines, `console` for people."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings from upper-case variables of `environ`.

        Raises:
            ConfigError: a value is not of the setting's type, or not an allowed one.
        """
        types = typing.get_type_hints(cls)
        names = [field.name for field in fields(cls) if _is_given(field.name, environ)]
        values: dict[str, Any] = {
            name: _parse(name.upper(), types[name], environ[name.upper()]) for name in names
        }
        settings = cls(**values)
        settings._check()
        return settings

    def need(self, name: str) -> str:
        """The value of a text setting that must not be empty.

        Raises:
            ConfigError: it is; the text says which variable to set.
        """
        value = getattr(self, name)
        if name == "ops_database_url" and not value:
            value = self.database_url
        if not value:
            raise ConfigError(
                f"{name.upper()} is not set. Set it, or run `flask up` for an embedded default."
            )
        return str(value)

    def _check(self) -> None:
        for name in AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name.upper()} must be at least 1")
        for name in NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ConfigError(f"{name.upper()} must not be negative")
        if self.log_level not in logging.getLevelNamesMapping():
            raise ConfigError("LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
        for name in EMPTY_MEANS_OFF:
            if not getattr(self, name):
                continue
            try:
                limits.parse(getattr(self, name))
            except ValueError:
                raise ConfigError(f"{name.upper()} must read like `30 per minute`") from None
        for key in self.secrets_keys:
            if not _is_fernet_key(key):
                raise ConfigError(
                    "SECRETS_KEYS must be Fernet keys: 32 bytes in URL-safe base64, with commas"
                )
        if self.attachments_url and self.attachments_url.rstrip("/") == self.backup_url.rstrip("/"):
            raise ConfigError("ATTACHMENTS_URL must not be BACKUP_URL: each has files of its own")
        if self.log_format not in ("json", "console"):
            raise ConfigError("LOG_FORMAT must be json or console")
        for name in ("database_url", "ops_database_url"):
            url = getattr(self, name)
            if url and not url.startswith(("postgresql://", "postgres://")):
                raise ConfigError(f"{name.upper()} must start with postgresql://")
        if self.mail_url and not self.mail_url.startswith(("smtp://", "smtps://")):
            raise ConfigError("MAIL_URL must start with smtp:// or smtps://")


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(key)) == FERNET_KEY_BYTES
    except ValueError:
        return False


def _is_given(name: str, environ: Mapping[str, str]) -> bool:
    """Whether a variable says something; empty says so only where it switches something off."""
    value = environ.get(name.upper())
    return bool(value) or (value == "" and name in EMPTY_MEANS_OFF)


def _parse(name: str, kind: object, text: str) -> object:
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ConfigError(f"{name} must be true or false")
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise ConfigError(f"{name} must be a whole number") from None
    if kind is Path:
        return Path(text)
    if kind is str:
        return text
    return tuple(part.strip() for part in text.split(",") if part.strip())
