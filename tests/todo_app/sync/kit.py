"""A client that syncs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.factories import Person

NAMES = {
    "list": "lists",
    "section": "sections",
    "task": "tasks",
    "tag": "tags",
    "relation": "relations",
    "time_entry": "time_entries",
    "attachment": "attachments",
    "comment": "comments",
    "filter": "filters",
    "reminder": "reminders",
}


@dataclass
class Replica:
    """What a client keeps, as the documentation tells it to."""

    person: Person
    size: int = 200
    token: str | None = None
    things: dict[str, dict[str, Any]] = field(default_factory=lambda: {kind: {} for kind in NAMES})

    def pull(self) -> list[dict[str, Any]]:
        """Read until there is no more; the answers."""
        answers = []
        while True:
            query = {"size": self.size, **({"since": self.token} if self.token else {})}
            answer = self.person.get("/sync", query_string=query)
            assert answer.status_code == 200, answer.json
            self._take(answer.json)
            answers.append(answer.json)
            if not answer.json["has_more"]:
                self._prune()
                return answers

    def _take(self, delta: dict[str, Any]) -> None:
        self.token = delta["token"]
        for kind, name in NAMES.items():
            for thing in delta[name]:
                self.things[kind][thing["uuid"]] = thing
        for gone in delta["deleted"]:
            self.things[gone["kind"]].pop(gone["uuid"], None)
        if delta["list_uuids"] is not None:
            self._keep("list", lambda one: one["uuid"] in delta["list_uuids"])

    def _prune(self) -> None:
        """Forget what belongs to something that is no more; before the end, that may still come."""
        self._keep("task", lambda task: task["list_uuid"] in self.things["list"])
        self._keep("section", lambda section: section["list_uuid"] in self.things["list"])
        for kind in ("relation", "time_entry", "attachment", "comment", "reminder"):
            self._keep(kind, lambda one: one["task_uuid"] in self.things["task"])
        self._keep("relation", lambda one: one["other_uuid"] in self.things["task"])

    def _keep(self, kind: str, is_meant: Any) -> None:
        kept = {key: one for key, one in self.things[kind].items() if is_meant(one)}
        self.things[kind] = kept

    def titles(self, kind: str = "task") -> list[str]:
        """Titles of all things of a kind, in order."""
        return sorted(one["title"] for one in self.things[kind].values())
