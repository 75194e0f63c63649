"""`/lists` and `/tasks`."""

from todo_app.blueprint import Blueprint

lists = Blueprint("lists", __name__, url_prefix="/lists", description="Lists of tasks")
tasks = Blueprint("tasks", __name__, url_prefix="/tasks", description="Things to do")
