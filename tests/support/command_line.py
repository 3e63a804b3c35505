"""The command line in a test's own process."""

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
"""Runs `tenantry` with these arguments and variables: the exit status, the output and the errors."""
