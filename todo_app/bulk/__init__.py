"""Many changes of tasks in one request."""
