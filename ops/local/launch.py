"""Run a program that is signalled when its starter dies: `launch.py PARENT SIGNAL PROGRAM ...`.

Started by its path with `python -I -S`. It sets the signal inside the child, where a
`preexec_fn` would run after a fork of a program that may have threads, and looks again whether
the starter still lives, which `setpriv --pdeathsig` does not.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent: str, signal_number: str, *program: str) -> None:
    """Replace this process by `program`, unless process `parent` is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal_number))
        if os.getppid() != int(parent):
            sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 - what our own caller gave


if __name__ == "__main__":
    main(*sys.argv[1:])
