"""What people write at first: Flask-Migrate's upgrade for each tenant in a loop.

As a program: upgrades the tenants that are its arguments, and prints the seconds without those of
its start.
"""

from __future__ import annotations

import sys
import time

from flask_migrate import upgrade

from wsgi import app


def main() -> None:
    """The program."""
    with app.app_context():
        started = time.perf_counter()
        for slug in sys.argv[1:]:
            upgrade(x_arg=[f"tenant={slug}"])
        print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
