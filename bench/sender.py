"""One of the processes of `replay`, which imports nothing else that would take its time.

As a program: connects to `OPS_DATABASE_URL`, says so, waits for a line with a JSON list of SQL, and
sends each in a round trip of its own.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing

import psycopg2


def main() -> None:
    """The program."""
    with closing(psycopg2.connect(os.environ["OPS_DATABASE_URL"])) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            print("connected", flush=True)
            for script in json.loads(sys.stdin.readline()):
                # Sent as one message, it is one transaction.
                cursor.execute(script)
    print("done", flush=True)


if __name__ == "__main__":
    main()
