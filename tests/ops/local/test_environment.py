"""A second terminal finds the running installation, and never overrides what is set."""

from __future__ import annotations

from pathlib import Path

from ops.local.environment import published, with_running


def test_the_settings_are_there_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    running = {"DATABASE_URL": "postgresql://running", "REDIS_URL": "redis://running", "HOME": "/x"}
    with published(path, running):
        assert path.stat().st_mode & 0o777 == 0o600
        found = with_running({"REDIS_URL": "redis://mine"}, path)
        assert found == {"DATABASE_URL": "postgresql://running", "REDIS_URL": "redis://mine"}
        mine = {"DATABASE_URL": "postgresql://mine"}
        assert with_running(mine, path) is mine
    assert not path.exists()
    assert with_running({}, path) == {}
