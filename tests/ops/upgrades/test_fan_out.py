"""`flask tenants upgrade` over a fleet: waves, budget, resume, and honest answers."""

from __future__ import annotations

from tests.ops.fleet import Fleet


def test_workers_upgrade_all_in_waves_and_a_second_call_finds_nobody(fleet: Fleet) -> None:
    slugs = fleet.add_tenants(30)
    fleet.add_revision()
    with fleet.worker():
        run = fleet.run_json("tenants", "upgrade", "--canary", "2")
        assert (run["state"], run["exit_code"], run["waves"]) == ("succeeded", 0, 3)
        assert {tenant["tenant"]: tenant["state"] for tenant in run["tenants"]} == dict.fromkeys(
            slugs, "done"
        )
        assert [tenant["wave"] for tenant in run["tenants"]].count(1) == 2
        again = fleet.flask("tenants", "upgrade")
    assert again.returncode == 0
    assert "Nobody has to move" in again.stdout
    assert set(fleet.revisions().values()) == set(fleet.catalogue().values()) == {"0003"}
