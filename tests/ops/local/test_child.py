import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.local.child import Child, end_leftover
from tests.ops.local.programs import Program, eventually, nothing_runs_in, processes_in

SLEEP = ["sleep", "600"]
ENV = {"PATH": "/usr/bin:/bin"}


def child(tmp_path: Path, argv: list[str]) -> Child:
    return Child("it", argv, log_dir=tmp_path, env=ENV, cwd=tmp_path)


def test_logs_to_a_file_and_keeps_the_one_before(tmp_path: Path) -> None:
    for text in ("first", "second"):
        one = child(tmp_path, ["sh", "-c", f"echo {text}; echo error >&2"])
        eventually(lambda one=one: one.exit_code() == 0)
        one.stop()
    assert one.tail() == "second\nerror"
    assert (tmp_path / "it.log.1").read_text() == "first\nerror\n"


def test_output_comes_in_whole_lines(tmp_path: Path) -> None:
    one = child(tmp_path, ["sh", "-c", "printf 'one\ntw'; sleep 600"])
    eventually(lambda: one.log_file.stat().st_size == 6)
    assert one.new_output() == "one\n"
    assert one.new_output() == ""
    one.stop()
    assert one.new_output(last=True) == "tw"


@pytest.mark.parametrize(
    ("program", "expected"), [("exit 3", 3), ("kill -9 $$", -signal.SIGKILL), ("true", 0)]
)
def test_exit_code(tmp_path: Path, program: str, expected: int) -> None:
    one = child(tmp_path, ["sh", "-c", program])
    eventually(lambda: one.exit_code() is not None)
    assert one.exit_code() == expected
    one.stop()
    assert one.exit_code() == expected


def test_stop_kills_what_does_not_listen_and_its_whole_group(tmp_path: Path) -> None:
    one = child(tmp_path, ["sh", "-c", "trap '' TERM; sleep 600 & echo up; wait; wait"])
    eventually(lambda: one.new_output() == "up\n")
    one.stop(timeout=0.2)
    assert one.exit_code() == -signal.SIGKILL
    nothing_runs_in(tmp_path)


def test_stop_ends_what_a_crashed_child_has_left(tmp_path: Path) -> None:
    one = child(tmp_path, ["sh", "-c", "sleep 600 & exit 1"])
    eventually(lambda: one.exit_code() == 1)
    assert processes_in(tmp_path)
    one.stop()
    nothing_runs_in(tmp_path)


START_AND_SLEEP = """
import sys, time
from pathlib import Path
from ops.local.child import Child
here = Path.cwd()
one = Child("it", sys.argv[1:], log_dir=here, env={"PATH": "/usr/bin:/bin"}, cwd=here)
print("started", one.pid, flush=True)
time.sleep(600)
"""


def test_child_dies_with_a_killed_starter(tmp_path: Path, start: Callable[..., Program]) -> None:
    work = tmp_path / "work"
    work.mkdir()
    program = start(START_AND_SLEEP, work, *SLEEP)
    program.says("started")
    assert len(processes_in(work)) == 2
    program.kill(signal.SIGKILL)
    nothing_runs_in(work)


def test_launcher_does_not_start_for_a_dead_starter(tmp_path: Path) -> None:
    launch = Path(sys.modules[Child.__module__].__file__ or "").with_name("launch.py")
    not_our_parent = "1"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(launch), not_our_parent, "15", "echo", "ran"],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")


def test_survivor_of_an_earlier_run_is_ended(tmp_path: Path, start: Callable[..., Program]) -> None:
    work = tmp_path / "work"
    work.mkdir()
    ignores_one = "trap 'echo late; trap - TERM' TERM; echo up; sleep 600 & wait; sleep 600"
    program = start(START_AND_SLEEP, work, "sh", "-c", ignores_one)
    program.says("started")
    log = work / "it.log"
    eventually(lambda: log.read_text() == "up\n")
    program.kill(signal.SIGKILL)
    eventually(lambda: log.read_text() == "up\nlate\n")
    assert processes_in(work)
    end_leftover(work / "it.pid")
    nothing_runs_in(work)
    assert not (work / "it.pid").exists()


def test_process_that_got_the_number_of_an_earlier_one_is_spared(tmp_path: Path) -> None:
    with subprocess.Popen(SLEEP) as other:
        note = {"pid": other.pid, "birth": "some-boot 123", "stop_signal": 15}
        (tmp_path / "it.pid").write_text(json.dumps(note))
        end_leftover(tmp_path / "it.pid")
        assert other.poll() is None
        other.kill()
    assert not (tmp_path / "it.pid").exists()


@pytest.mark.parametrize("text", ["", "{", "{}", "[]"])
def test_damaged_note_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "it.pid").write_text(text)
    end_leftover(tmp_path / "it.pid")
    assert (tmp_path / "it.pid").read_text() == text
