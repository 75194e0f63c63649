"""Upgrades and downgrades of many tenants: plan one, start it as a run, and do its work."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ops.backups.job import need_storage, open_set
from ops.backups.take import SetRef, take
from ops.runs import job as runs
from ops.runs.job import Limits, Member
from ops.runs.kinds import performs
from ops.runs.work import Performing
from ops.upgrades.move import Timeouts, mover, step_sql
from ops.upgrades.plan import Choice, plan
from ops.upgrades.script import check_revision, revisions, steps
from todo_app.config import Settings
from todo_app.storage import Storage

KIND = "upgrades"

FAILING_PART = 10
"""Where nobody says otherwise, a tenth of the tenants may fail before a run stops."""


@dataclass(frozen=True)
class Order:
    """What an operator asks for."""

    to: str
    downgrade: bool = False
    choice: Choice = field(default_factory=Choice)
    max_failures: int | None = None
    concurrency: int = Limits.concurrency
    before_backup: bool = False


@dataclass(frozen=True)
class Plan:
    """What an order comes to."""

    title: str
    target: str
    waves: Sequence[Sequence[Member]]
    limits: Limits
    params: Mapping[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """For each tenant its wave, and where it goes from and to."""
        return [
            {
                "wave": number,
                "tenant": member.slug,
                "from_revision": member.result["from_revision"],
                "to_revision": self.target,
            }
            for number, wave in enumerate(self.waves, 1)
            for member in wave
        ]

    @property
    def members(self) -> list[Member]:
        """All tenants, in the order of their waves."""
        return [member for wave in self.waves for member in wave]


def make_plan(order: Order, settings: Settings) -> Plan:
    """Find out who has to move.

    Raises:
        InvalidInputError: there is no such revision or tenant, or what is asked for cannot be.
    """
    target = check_revision(order.to)
    if order.before_backup:
        need_storage(settings)
    has_canaries, waves = plan(target, order.choice, downgrade=order.downgrade)
    total = sum(map(len, waves))
    concurrency = 1 if _builds_alone(waves, target) else order.concurrency
    max_failures = order.max_failures
    if max_failures is None:
        max_failures = max(1, math.ceil(total / FAILING_PART))
    return Plan(
        title=f"{'downgrade' if order.downgrade else 'upgrade'} to {target or 'base'}",
        target=target,
        waves=waves,
        limits=Limits(has_canaries, max_failures, concurrency=concurrency),
        params={
            "target": target,
            "lock_timeout": settings.upgrade_lock_timeout,
            "statement_timeout": settings.upgrade_statement_timeout,
            "before_backup": order.before_backup,
            "downgrade": order.downgrade,
        },
    )


def _builds_alone(waves: Sequence[Sequence[Member]], target: str) -> bool:
    """Whether a revision of the plan can be run in one tenant at a time only.

    More workers would merely wait for each other, and do nothing else meanwhile.
    """
    starts = {str(member.result["from_revision"]) for wave in waves for member in wave}
    known = starts & {"", *revisions()}
    return any(step.outside for revision in known for step in steps(revision, target))


def start(plan: Plan, settings: Settings, *, actor: str) -> int:
    """Write the run of a plan into the ledger, and the set of the archives that it takes first.

    Returns:
        Its number.

    Raises:
        RunUnderwayError: another run moves one of the tenants.
    """
    if not plan.params["before_backup"]:
        return runs.start(KIND, plan.title, plan.params, plan.waves, plan.limits, actor=actor)
    set_ = open_set(settings, actor=actor)
    params = {**plan.params, "set_id": set_.id, "set": set_.name}
    title = f"{plan.title}, backed up to {set_.name}"
    set_.run_id = runs.start(KIND, title, params, plan.waves, plan.limits, actor=actor)
    return set_.run_id


@performs(KIND)
def perform(params: Mapping[str, Any], settings: Settings) -> Performing:
    """What does the work of a run.

    Raises:
        InvalidInputError: this process runs code that does not have the revision.
    """
    target = check_revision(params["target"] or "base")
    timeouts = Timeouts(int(params["lock_timeout"]), int(params["statement_timeout"]))
    before = None
    if params["before_backup"]:
        storage = Storage(settings.need("backup_url"))
        set_ = SetRef(params["set_id"], params["set"])
        before = partial(take, storage=storage, settings=settings, set_=set_)
    return mover(target, timeouts, before, downgrade=params.get("downgrade"))


def preview(plan: Plan) -> dict[str, str]:
    """The SQL of a plan: by the revision that tenants start from, what each of them gets."""
    starts = {str(member.result["from_revision"]): member for member in reversed(plan.members)}
    timeouts = Timeouts(plan.params["lock_timeout"], plan.params["statement_timeout"])
    return {
        revision: "\n".join(_script(member, plan.target, timeouts))
        for revision, member in sorted(starts.items())
    }


def sql(plan: Plan) -> Iterator[str]:
    """The whole plan as SQL for `psql`, tenant by tenant."""
    timeouts = Timeouts(plan.params["lock_timeout"], plan.params["statement_timeout"])
    for member in plan.members:
        yield "\n".join(_script(member, plan.target, timeouts))


def _script(member: Member, target: str, timeouts: Timeouts) -> Iterator[str]:
    for step in steps(str(member.result["from_revision"]), target):
        yield f"-- {member.slug}: {step.from_revision or 'base'} -> {step.to_revision or 'base'}"
        yield from step_sql(step, member.schema_name, timeouts)
