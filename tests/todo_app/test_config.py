"""Settings are typed, checked at start, and silent about secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from todo_app.config import ConfigError, Settings


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_env(
        {
            "DATABASE_URL": "postgresql://u:p@h/d",
            "TENANT_ROLES": "on",
            "POOL_SIZE": "7",
            "CORS_ORIGINS": "https://a.example, https://b.example",
            "MAIL_DIR": "somewhere/else",
            "HOST_DOMAIN": "",
            "UNKNOWN": "ignored",
        }
    )
    assert settings.tenant_roles is True
    assert settings.pool_size == 7
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.mail_dir == Path("somewhere/else")
    assert settings.host_domain == ""
    assert settings.need("ops_database_url") == "postgresql://u:p@h/d"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TENANT_ROLES", "perhaps"),
        ("POOL_SIZE", "many"),
        ("POOL_SIZE", "0"),
        ("TRUSTED_PROXIES", "-1"),
        ("SPARE_SCHEMAS", "-1"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("AUTH_RATE_LIMIT", "now and then"),
        ("DATABASE_URL", "mysql://u:secret@h/d"),
        ("OPS_DATABASE_URL", "secret"),
        ("MAIL_URL", "http://u:secret@h"),
    ],
)
def test_a_wrong_value_is_named_without_repeating_a_secret(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name) as error:
        Settings.from_env({name: value})
    assert "secret" not in str(error.value)


def test_a_missing_url_is_named_where_it_is_needed() -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL is not set"):
        Settings().need("database_url")


def test_secrets_do_not_show_in_a_representation() -> None:
    settings = Settings(database_url="secret", redis_url="secret", mail_url="secret")
    assert "secret" not in repr(settings)
