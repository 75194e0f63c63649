import os
import socket
import stat
from pathlib import Path

import pytest

from ops.local.errors import LocalError
from ops.local.files import Ports, exclusive, free_port, is_free, private_dir, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_private_dir_is_closed_to_others_also_when_it_was_open(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir(mode=0o755)
    assert mode(private_dir(tmp_path / "var")) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a directory away takes root")
def test_private_dir_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    os.chown(tmp_path / "var", 65534, 65534)
    with pytest.raises(LocalError, match="another user"):
        private_dir(tmp_path / "var")


def test_write_private_replaces_the_file_and_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_exclusive_names_the_holder_and_lets_go(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with (
        exclusive(lock, "process 7"),
        pytest.raises(LocalError, match="Already running: process 7"),
        exclusive(lock, "process 8"),
    ):
        pass
    with exclusive(lock, "process 8"):
        assert lock.read_text() == "process 8"


def test_port_is_remembered_while_it_is_free(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    assert ports.recall("postgres") is None
    port = free_port()
    ports.remember("postgres", port)
    ports.remember("valkey", free_port())
    assert Ports(tmp_path / "ports.json").recall("postgres") == port
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
        assert ports.recall("postgres") is None


def test_damaged_file_of_ports_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    assert Ports(tmp_path / "ports.json").recall("postgres") is None
