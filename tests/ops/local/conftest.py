import signal
from collections.abc import Callable, Iterator

import pytest

from tests.ops.local.programs import Program


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    """Start a `Program` that is ended with the test."""
    programs: list[Program] = []

    def make(*args: object, **kwargs: object) -> Program:
        programs.append(Program(*args, **kwargs))  # type: ignore[arg-type]
        return programs[-1]

    yield make
    for program in programs:
        if program.process.poll() is None:
            program.kill(signal.SIGKILL)
