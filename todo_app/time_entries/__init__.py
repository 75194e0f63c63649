"""Time that people spend on tasks."""
