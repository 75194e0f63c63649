"""The embedded default: `flask up` starts everything that the program needs on one machine.

Nothing here is imported in production, where the packages of the extra `embedded` are missing;
only `cli` is, which asks for them when the command is called.
"""
