"""`python -m ops.local`: the same as `flask up`, without loading the app."""

from ops.local.cli import up

up(prog_name="python -m ops.local")
