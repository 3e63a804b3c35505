"""Where the servers of the tests are kept between runs, and how two runs share that place."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

Progress = Callable[[str], None]


def quiet(message: str) -> None:
    """Report progress to nobody."""


def cache_directory() -> Path:
    """Return the directory that holds what is fetched and built once, outside the repository."""
    # An empty or relative XDG_CACHE_HOME counts as unset, by its specification.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = configured if configured.is_absolute() else Path.home() / ".cache"
    directory = home / "tenantry" / "test-servers"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextlib.contextmanager
def only_one(name: str) -> Iterator[None]:
    """Let one process at a time prepare `name`; the others wait and then find it ready."""
    with (cache_directory() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def temporary_sibling(target: Path) -> Iterator[Path]:
    """Give a directory beside `target`, so that what is made in it can be renamed into place.

    An interrupted preparation then never leaves a half-made `target` behind. Call this only with
    the lock that goes with `target`: what a killed preparation left is removed.
    """
    for stale in target.parent.glob(f".{target.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
