"""What stops a local run."""


class LocalError(Exception):
    """The run cannot go on; the text tells its user why and what to do."""


class Stopped(Exception):
    """A signal asked the run to end."""
