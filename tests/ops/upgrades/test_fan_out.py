"""`flask tenants upgrade` over a fleet: waves, budget, resume, and honest answers."""

from __future__ import annotations

from tests.ops.fleet import HEAD, NEXT, Fleet


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
    assert set(fleet.revisions().values()) == set(fleet.catalogue().values()) == {NEXT}


TRICKY = """
op.execute("INSERT INTO roles (name, title, permissions) VALUES ('a%b', '50% \\\\: {x} %s', '{}')")
op.execute("UPDATE roles SET title = 'it''s' WHERE name LIKE 'a%'")
with_bind = sa.text("UPDATE roles SET title = title || :more WHERE name = 'a%b'")
op.execute(with_bind.bindparams(more=" 100% 'quoted'"))
"""
BACK = "op.execute(\"DELETE FROM roles WHERE name LIKE 'a%'\")"


def test_percent_signs_and_quotes_are_replayed_as_alembic_runs_them(fleet: Fleet) -> None:
    fleet.add_tenants(2)
    fleet.add_revision(TRICKY, BACK)
    assert fleet.flask("tenants", "upgrade", "--inline", "c0").returncode == 0
    assert fleet.flask("db", "-x", "tenant=c1", "upgrade").returncode == 0
    question = "SELECT name, title FROM t_{}.roles WHERE name LIKE 'a\\%%'"
    replayed, by_alembic = (fleet.sql(question.format(slug)) for slug in ("c0", "c1"))
    assert replayed == by_alembic
    assert replayed[0].title == "it's 100% 'quoted'"


def test_a_revision_that_builds_indexes_concurrently_goes_up_and_down(fleet: Fleet) -> None:
    fleet.add_tenants(3)
    concurrently = "with op.get_context().autocommit_block():\n    "
    fleet.add_revision(
        concurrently + 'op.create_index("ix_x", "tasks", ["title"], postgresql_concurrently=True)',
        concurrently + 'op.drop_index("ix_x", "tasks", postgresql_concurrently=True)',
    )
    run = fleet.run_json("tenants", "upgrade", "--inline")
    assert (run["state"], run["concurrency"]) == ("succeeded", 1)
    assert fleet.flask("tenants", "check").returncode == 0
    # New tenants get the index as well, without what a function cannot do.
    assert fleet.flask("control", "upgrade").returncode == 0
    fleet.sql("SELECT public.build_schema('t_new')")
    indexes = "SELECT schemaname FROM pg_indexes WHERE indexname = 'ix_x'"
    assert {row.schemaname for row in fleet.sql(indexes)} == {"t_c0", "t_c1", "t_c2", "t_new"}
    fleet.sql("DROP SCHEMA t_new CASCADE")
    fleet.sql("DROP ROLE t_new")
    assert fleet.run_json("tenants", "downgrade", "--to", HEAD, "--inline")["exit_code"] == 0
    assert fleet.sql(indexes) == []


BACKFILL = """
if context.is_offline_mode():
    return
connection = op.get_bind()
for (role_id,) in connection.execute(sa.text("SELECT id FROM roles ORDER BY id")).all():
    connection.execute(
        sa.text("UPDATE roles SET title = title || '!' WHERE id = :id"), {"id": role_id}
    )
"""


def test_a_revision_that_reads_data_is_run_by_alembic(fleet: Fleet) -> None:
    fleet.add_tenants(2)
    fleet.add_revision(BACKFILL, "pass", extra="reads_data = True")
    run = fleet.run_json("tenants", "upgrade", "--inline", "--concurrency", "2")
    assert (run["state"], run["counts"]["done"]) == ("succeeded", 2)
    assert set(fleet.catalogue().values()) == set(fleet.revisions().values()) == {NEXT}
    titles = fleet.sql("SELECT title FROM t_c1.roles")
    assert all(row.title.endswith("!") for row in titles)
