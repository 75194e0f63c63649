import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.local.child import Child
from ops.local.errors import LocalError, Stopped
from ops.local.supervisor import StopRequests, Supervisor, stop_requests
from tests.ops.local.programs import eventually, nothing_runs_in


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def stop() -> StopRequests:
    return StopRequests()


@pytest.fixture
def supervisor(tmp_path: Path, stop: StopRequests, output: io.StringIO) -> Iterator[Supervisor]:
    env = {"PATH": "/usr/bin:/bin", "NAME": "ours"}
    with Supervisor(stop, log_dir=tmp_path, cwd=tmp_path, env=env, output=output) as supervisor:
        yield supervisor
    nothing_runs_in(tmp_path)


def sh(program: str) -> list[str]:
    return ["sh", "-c", program]


def test_run_gives_the_output_and_shows_the_errors(
    supervisor: Supervisor, output: io.StringIO, tmp_path: Path
) -> None:
    program = sh('echo "$NAME $MORE"; echo careful >&2; printf end >&2')
    assert supervisor.run("step", program, {"MORE": "mine"}) == "ours mine\n"
    assert "step     | careful" in output.getvalue()
    assert "step     | end" in output.getvalue()
    assert "ours" not in output.getvalue() + (tmp_path / "step.log").read_text()


def test_run_that_fails_tells_its_last_words(supervisor: Supervisor) -> None:
    with pytest.raises(LocalError, match=r"(?s)step has ended \(exit code 3\).*step\.log:\nno!"):
        supervisor.run("step", sh("echo no! >&2; exit 3"))


def test_a_dead_child_ends_the_watch(supervisor: Supervisor, output: io.StringIO) -> None:
    supervisor.start("good", sh("sleep 600"))
    supervisor.start("bad", sh("echo oh; sleep 0.3; kill -9 $$"))
    with pytest.raises(LocalError, match=r"(?s)bad has ended \(killed by SIGKILL\).*oh"):
        supervisor.watch()
    assert "bad      | oh" in output.getvalue()


def test_a_dead_adopted_child_ends_the_watch(supervisor: Supervisor, tmp_path: Path) -> None:
    child = Child("server", sh("exit 0"), log_dir=tmp_path, env=supervisor.env)
    supervisor.adopt(child)
    with pytest.raises(LocalError, match=r"server has ended \(exit code 0\)"):
        supervisor.watch()
    child.stop()


def test_waiting_ends_when_it_answers_or_takes_too_long(supervisor: Supervisor) -> None:
    tries = iter([False, False, True])
    supervisor.wait_until("it", lambda: next(tries))
    with pytest.raises(LocalError, match="it does not answer after 0 s"):
        supervisor.wait_until("it", lambda: False, timeout=0.2)


def test_waiting_ends_when_a_child_dies(supervisor: Supervisor) -> None:
    supervisor.start("bad", sh("exit 1"))
    with pytest.raises(LocalError, match="bad has ended"):
        supervisor.wait_until("it", lambda: False)


def test_a_request_to_stop_ends_every_wait(supervisor: Supervisor, stop: StopRequests) -> None:
    stop.count = 1
    waits: list[Callable[[], object]] = [
        supervisor.watch,
        lambda: supervisor.wait_until("it", lambda: False),
        lambda: supervisor.run("step", sh("sleep 600")),
    ]
    for wait in waits:
        with pytest.raises(Stopped):
            wait()


def test_all_are_stopped_at_once_and_their_last_lines_shown(
    tmp_path: Path, stop: StopRequests, output: io.StringIO
) -> None:
    polite = sh("trap 'sleep 1; echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done")
    env = {"PATH": "/usr/bin:/bin"}
    with Supervisor(stop, log_dir=tmp_path, cwd=tmp_path, env=env, output=output) as supervisor:
        for name in ("one", "two", "three"):
            supervisor.start(name, polite)
        supervisor.wait_until("all", lambda: output.getvalue().count("| up") == 3)
        before = time.monotonic()
    assert time.monotonic() - before < 2.9  # seconds: one after the other would take 3
    assert output.getvalue().count("| bye") == 3
    assert "stopping one, two, three" in output.getvalue()
    nothing_runs_in(tmp_path)


def test_a_second_request_kills(
    tmp_path: Path, stop: StopRequests, monkeypatch: pytest.MonkeyPatch, output: io.StringIO
) -> None:
    env = {"PATH": "/usr/bin:/bin"}
    with Supervisor(stop, log_dir=tmp_path, cwd=tmp_path, env=env, output=output) as supervisor:
        supervisor.start("deaf", sh("trap '' TERM; echo up; sleep 600"))
        supervisor.wait_until("it", lambda: "| up" in output.getvalue())
        stop.count = 1

        def second_request(_: float) -> None:
            stop.count = 2

        monkeypatch.setattr("ops.local.supervisor.time.sleep", second_request)
    assert "deaf does not stop: killed" in output.getvalue()
    nothing_runs_in(tmp_path)


def test_a_closed_terminal_does_not_keep_it_from_stopping(
    tmp_path: Path, stop: StopRequests, output: io.StringIO
) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    env = {"PATH": "/usr/bin:/bin"}
    with Supervisor(stop, log_dir=tmp_path, cwd=tmp_path, env=env, output=Gone()) as supervisor:
        supervisor.start("it", sh("echo up; sleep 600"))
        eventually(lambda: "up" in (tmp_path / "it.log").read_text())
    nothing_runs_in(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_counted_and_given_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_requests() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert stop.count == 2
        with pytest.raises(Stopped):
            stop.check()
    assert signal.getsignal(number) is before


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_requests() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.count == 0
    finally:
        signal.signal(signal.SIGHUP, before)
