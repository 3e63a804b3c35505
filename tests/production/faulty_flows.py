"""Flows whose runs fail or are killed, for tests; they are deployed with the real ones."""

import time

from prefect import flow

import flows  # noqa: F401 (sets up the log of runs, as for each flow)


@flow
def have_a_bug() -> None:
    """Raise an unexpected exception."""
    raise RuntimeError("a bug of ours")


@flow
def take_long() -> None:
    """Run until the process is killed."""
    time.sleep(600)
