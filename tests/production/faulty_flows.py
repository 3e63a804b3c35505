"""Flows for tests of what happens to runs that end badly, deployed with ours."""

import time

from prefect import flow

import flows  # noqa: F401 (sets up the log of runs, as it does for each of our flows)


@flow
def have_a_bug() -> None:
    """Raise an unexpected exception."""
    raise RuntimeError("a bug of ours")


@flow
def take_long() -> None:
    """Give the time to end the process."""
    time.sleep(600)
