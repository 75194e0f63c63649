import runpy
import subprocess
import sys

import pytest

from ops import roles
from tests.ops.local.programs import REPOSITORY


def test_defaults_and_settings_of_the_environment() -> None:
    assert "--concurrency=2" in roles.command("worker", {"WORKER_CONCURRENCY": ""})
    assert "--concurrency=7" in roles.command("worker", {"WORKER_CONCURRENCY": "7"})
    assert "--schedule=/somewhere" in roles.command("beat", {"BEAT_SCHEDULE_FILE": "/somewhere"})
    flower = roles.command("flower", {"FLOWER_ADDRESS": "0.0.0.0", "FLOWER_PORT": "80"})
    assert flower[-2:] == ["--address=0.0.0.0", "--port=80"]


@pytest.mark.parametrize("role", roles.ROLES)
def test_every_word_is_filled_in(role: str) -> None:
    assert not any("{" in word for word in roles.command(role, {}))


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["api", "more"]])
def test_wrong_role_names_the_right_ones(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "ops" / "roles.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "migrate|api|worker|beat|flower" in done.stderr


def test_gunicorn_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIND", "127.0.0.1:1234")
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    settings = runpy.run_path(str(REPOSITORY / "gunicorn.conf.py"))
    assert (settings["bind"], settings["workers"]) == ("127.0.0.1:1234", 3)
    monkeypatch.setenv("WEB_CONCURRENCY", "")
    assert runpy.run_path(str(REPOSITORY / "gunicorn.conf.py"))["workers"] >= 1
