"""Says which revisions would block requests, break a fan-out, or break the code that is running.

`python -m migrations.lint` renders every revision of both histories as SQL, needs no server for it,
and ends with 1 where it has found something. `docs/migrations.md` is the guide.
"""
