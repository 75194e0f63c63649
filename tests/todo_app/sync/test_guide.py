"""The requests of the guides are answered as they say."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.factories import Company
from tests.test_api_guide import follow
from tests.todo_app.todos.shapes import add_list, add_task


@pytest.mark.parametrize("guide", ["sync.md", "statistics.md"])
def test_the_requests_of_a_guide(client: FlaskClient, acme: Company, guide: str) -> None:
    home = add_list(acme, "Errands")
    values = {"token": acme.token, "list": home["uuid"]}
    if guide == "statistics.md":
        values["task"] = add_task(acme, home["uuid"], "Buy milk")["uuid"]
    assert follow(client, guide, values) > 2
