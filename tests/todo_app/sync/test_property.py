"""Random operations of two people, followed by deltas, leave what a full read shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.factories import Company, Person
from tests.todo_app.sync.kit import Replica

Call: TypeAlias = Callable[["World", Person, int, int], Any]


class World:
    """Two people of a company, and all that they have made."""

    def __init__(self, company: Company) -> None:
        self.people = (company, company.add_person())
        self.group = company.post("/groups/", {"name": f"Group {company.slug}"}).json["uuid"]
        kinds = ["list", "task", "tag", "section", "filter", "field", "file", "comment", "reminder"]
        self.made: dict[str, list[str]] = {kind: [] for kind in kinds}

    def pick(self, kind: str, number: int) -> str:
        """Something that was made; an id of nothing where there is none."""
        made = self.made[kind]
        return made[number % len(made)] if made else "00000000-0000-4000-8000-000000000000"

    def keep(self, kind: str, answer: Any) -> None:
        if answer.status_code == 201:
            self.made[kind].append(answer.json["uuid"])


def add_list(world: World, who: Person, a: int, b: int) -> None:
    body = {"title": f"List {a}", "visibility": ("company", "private")[b % 2]}
    if b % 3 == 0 and world.made["list"]:
        body["parent_uuid"] = world.pick("list", a)
    world.keep("list", who.post("/lists/", body))


def move_list(world: World, who: Person, a: int, b: int) -> None:
    parent = world.pick("list", b) if b % 3 else None
    who.post(f"/lists/{world.pick('list', a)}/move", {"parent_uuid": parent})


def archive(world: World, who: Person, a: int, b: int) -> None:
    who.post(f"/lists/{world.pick('list', a)}/{('archive', 'unarchive')[b % 2]}")


def like(world: World, who: Person, a: int, b: int) -> None:
    favourite = f"/lists/{world.pick('list', a)}/favourite"
    who.call("PUT", favourite, json={}) if b % 2 else who.delete(favourite)


def add_field(world: World, who: Person, a: int, b: int) -> None:
    shape = {"name": f"Field {b % 3}", "kind": "text"}
    todo_list = world.pick("list", a)
    answer = who.post(f"/lists/{todo_list}/fields", shape)
    if answer.status_code == 201:
        world.made["field"].append(f"/lists/{todo_list}/fields/{answer.json['uuid']}")


def change_field(world: World, who: Person, a: int, b: int) -> None:
    field = world.pick("field", a)
    who.patch(field, {"name": f"Field {b}"}) if b % 2 else who.delete(field)


def change_list(world: World, who: Person, a: int, b: int) -> None:
    body = [{"title": f"Other {b}"}, {"visibility": "private"}, {"visibility": "company"}][b % 3]
    who.patch(f"/lists/{world.pick('list', a)}", body)


def drop_list(world: World, who: Person, a: int, _: int) -> None:
    who.delete(f"/lists/{world.pick('list', a)}")


def restore_list(world: World, who: Person, a: int, _: int) -> None:
    who.post(f"/lists/{world.pick('list', a)}/restore")


def share(world: World, who: Person, a: int, b: int) -> None:
    to = f"users/{world.people[b % 2].uuid}" if b % 3 else f"groups/{world.group}"
    who.call("PUT", f"/lists/{world.pick('list', a)}/members/{to}", json={"access": "write"})


def unshare(world: World, who: Person, a: int, b: int) -> None:
    to = f"users/{world.people[b % 2].uuid}" if b % 3 else f"groups/{world.group}"
    who.delete(f"/lists/{world.pick('list', a)}/members/{to}")


def join(world: World, _: Person, a: int, b: int) -> None:
    member = f"/groups/{world.group}/members/{world.people[1].uuid}"
    world.people[0].call("PUT" if (a + b) % 2 else "DELETE", member)


def add_section(world: World, who: Person, a: int, b: int) -> None:
    todo_list = world.pick("list", a)
    answer = who.post(f"/lists/{todo_list}/sections", {"title": f"Section {b}"})
    if answer.status_code == 201:
        world.made["section"].append(answer.json["uuid"])


def change_section(world: World, who: Person, a: int, b: int) -> None:
    section = f"/lists/{world.pick('list', a)}/sections/{world.pick('section', b)}"
    who.patch(section, {"title": f"Other {a}"}) if b % 2 else who.delete(section)


def add_task(world: World, who: Person, a: int, b: int) -> None:
    body: dict[str, Any] = {"title": f"Task {b}", "list_uuid": world.pick("list", a)}
    if b % 3 == 0:
        body["parent_uuid"] = world.pick("task", b)
    world.keep("task", who.post("/tasks/", body))


def change_task(world: World, who: Person, a: int, b: int) -> None:
    body: dict[str, Any] = {"title": f"Other {b}"}
    if b % 5 == 1:
        body = {"tag_uuids": [world.pick("tag", b)]}
    if b % 5 == 2:
        body = {"assignee_uuids": [world.people[a % 2].uuid]}
    if b % 5 == 3:
        body = {"fields": {f"Field {a % 3}": "value"}}
    if b % 5 == 4:
        body = {"section_uuid": world.pick("section", a), "status": "in_progress"}
    who.patch(f"/tasks/{world.pick('task', a)}", body)


def move_task(world: World, who: Person, a: int, b: int) -> None:
    who.patch(f"/tasks/{world.pick('task', a)}", {"list_uuid": world.pick("list", b)})


def drop_task(world: World, who: Person, a: int, _: int) -> None:
    who.delete(f"/tasks/{world.pick('task', a)}")


def restore_task(world: World, who: Person, a: int, _: int) -> None:
    who.post(f"/tasks/{world.pick('task', a)}/restore")


def relate(world: World, who: Person, a: int, b: int) -> None:
    body = {"kind": "blocks", "other_uuid": world.pick("task", b)}
    who.post(f"/tasks/{world.pick('task', a)}/relations", body)


def spend(world: World, who: Person, a: int, b: int) -> None:
    times = {"started_at": "2026-03-01T09:30:00Z", "ended_at": f"2026-03-01T10:{b % 60:02}:00Z"}
    who.post(f"/tasks/{world.pick('task', a)}/time-entries", times)


def add_tag(world: World, who: Person, a: int, b: int) -> None:
    world.keep("tag", who.post("/tags/", {"name": f"tag {a} {b}"}))


def drop_tag(world: World, who: Person, a: int, _: int) -> None:
    who.delete(f"/tags/{world.pick('tag', a)}")


def change_tag(world: World, who: Person, a: int, b: int) -> None:
    if b % 2:
        who.patch(f"/tags/{world.pick('tag', a)}", {"name": f"other {a} {b}"})
    else:
        who.post(f"/tags/{world.pick('tag', a)}/merge", {"into_uuid": world.pick("tag", b)})


def complete(world: World, who: Person, a: int, b: int) -> None:
    who.post(f"/tasks/{world.pick('task', a)}/{('complete', 'reopen')[b % 2]}")


def add_filter(world: World, who: Person, a: int, b: int) -> None:
    shape = {"title": f"Filter {a}", "filter": "status = new", "is_shared": bool(b % 2)}
    world.keep("filter", who.post("/filters/", shape))


def change_filter(world: World, who: Person, a: int, b: int) -> None:
    kept = f"/filters/{world.pick('filter', a)}"
    who.patch(kept, {"is_shared": b % 2 == 1}) if b % 3 else who.delete(kept)


def add_comment(world: World, who: Person, a: int, b: int) -> None:
    shape = {"task_uuid": world.pick("task", a), "text": f"Comment {b}"}
    world.keep("comment", who.post("/comments/", shape))


def change_comment(world: World, who: Person, a: int, b: int) -> None:
    comment = f"/comments/{world.pick('comment', a)}"
    who.patch(comment, {"text": f"Other {b}"}) if b % 2 else who.delete(comment)


def add_reminder(world: World, who: Person, a: int, b: int) -> None:
    shape = {"task_uuid": world.pick("task", a), "seconds_before": 60 * b}
    world.keep("reminder", who.post("/reminders/", shape))


def drop_reminder(world: World, who: Person, a: int, _: int) -> None:
    who.delete(f"/reminders/{world.pick('reminder', a)}")


def schedule(world: World, who: Person, a: int, b: int) -> None:
    due_at = f"20{10 + 50 * (b % 2)}-03-{b + 1:02}T09:00:00+00:00"
    who.patch(f"/tasks/{world.pick('task', a)}", {"due_at": due_at})


def add_file(world: World, who: Person, a: int, b: int) -> None:
    files = f"/tasks/{world.pick('task', a)}/attachments"
    answer = who.call(
        "POST", f"{files}?name={b}.txt", data=b"Milk", content_type="application/octet-stream"
    )
    if answer.status_code == 201:
        world.made["file"].append(f"{files}/{answer.json['uuid']}")


def drop_file(world: World, who: Person, a: int, _: int) -> None:
    who.delete(world.pick("file", a))


CALLS: tuple[Call, ...] = (
    add_list,
    add_list,
    move_list,
    archive,
    like,
    add_field,
    change_field,
    change_list,
    drop_list,
    restore_list,
    share,
    unshare,
    join,
    add_section,
    change_section,
    add_task,
    add_task,
    add_task,
    complete,
    change_task,
    change_task,
    move_task,
    move_task,
    drop_task,
    restore_task,
    relate,
    spend,
    add_tag,
    change_tag,
    drop_tag,
    add_filter,
    change_filter,
    add_comment,
    change_comment,
    add_reminder,
    drop_reminder,
    schedule,
    add_file,
    drop_file,
)
step = st.tuples(st.sampled_from(CALLS), *(st.integers(0, 11) for _ in range(2)), st.booleans())


@pytest.mark.timeout(900)
@settings(
    max_examples=15,
    deadline=None,
    # Each step is a request: to shrink takes longer than to read what failed.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(step, min_size=5, max_size=30), size=st.sampled_from([1, 3, 200]))
def test_deltas_equal_a_full_read(
    world: World, steps: list[tuple[Call, int, int, bool]], size: int
) -> None:
    replicas = [Replica(person, size) for person in world.people]
    for number, (call, a, b, is_second) in enumerate(steps):
        call(world, world.people[is_second], a, b)
        if number % 4 == 0:
            replicas[number % 2].pull()
    for replica in replicas:
        replica.pull()
        fresh = Replica(replica.person)
        fresh.pull()
        assert not differences(replica.things, fresh.things)
        assert set(replica.things["task"]) == everything(replica.person, "/tasks/")
        lists = everything(replica.person, "/lists/")
        lists |= everything(replica.person, "/lists/", is_archived="true")
        assert set(replica.things["list"]) == lists
        assert set(replica.things["tag"]) == everything(replica.person, "/tags/")


@pytest.fixture
def world(acme: Company) -> World:
    return World(acme)


def differences(
    kept: dict[str, dict[str, Any]], fresh: dict[str, dict[str, Any]]
) -> list[tuple[Any, ...]]:
    """What a copy has otherwise than a full read, by kind and member."""
    found: list[tuple[Any, ...]] = []
    for kind, things in fresh.items():
        for key in kept[kind].keys() | things.keys():
            mine, theirs = kept[kind].get(key, {}), things.get(key, {})
            names = [name for name in mine.keys() | theirs if mine.get(name) != theirs.get(name)]
            found += [(kind, name, mine.get(name), theirs.get(name)) for name in names]
    return found


def everything(person: Person, path: str, **query: str) -> set[str]:
    """The ids on all pages."""
    found: set[str] = set()
    page = pages = 1
    while page <= pages:
        answer = person.get(path, query_string={"page": page, "size": 100, **query}).json
        found |= {item["uuid"] for item in answer["items"]}
        page, pages = page + 1, answer["pages"]
    return found
