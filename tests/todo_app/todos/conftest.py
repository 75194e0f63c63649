"""Companies that the tests of one module share where they do not change them."""

from tests.todo_app.accounts.conftest import company, people, stranger

__all__ = ["company", "people", "stranger"]
