"""An old run that is resumed when the tenants have gone on."""

from __future__ import annotations

from tests.ops.fleet import AFTER_NEXT, NEXT, Fleet


def test_resuming_an_old_upgrade_takes_nobody_back(fleet: Fleet) -> None:
    first, second = fleet.add_tenants(2)
    fleet.add_revision()
    # One tenant cannot be moved at first.
    fleet.sql(f"ALTER TABLE t_{first}.tasks ADD COLUMN proof text")
    run = fleet.run_json("tenants", "upgrade", "--inline")
    assert run["counts"]["failed"] == 1, run
    fleet.sql(f"ALTER TABLE t_{first}.tasks DROP COLUMN proof")
    # The next deploy comes, moves all, and people work with it.
    fleet.add_revision(
        'op.add_column("tasks", sa.Column("newer", sa.Text))',
        'op.drop_column("tasks", "newer")',
        name=AFTER_NEXT,
        before=NEXT,
    )
    assert fleet.run_json("tenants", "upgrade", "--inline")["state"] == "succeeded"
    assert fleet.has_column(first, "newer")
    # Somebody tidies up the ledger.
    resumed = fleet.flask("runs", "resume", str(run["id"]), "--inline")
    assert resumed.returncode == 0, resumed.stderr
    assert fleet.revisions() == {first: AFTER_NEXT, second: AFTER_NEXT}
    assert fleet.has_column(first, "newer")
