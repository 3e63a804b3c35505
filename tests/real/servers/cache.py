"""The cache directory of the test servers, which concurrent test runs share."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

Progress = Callable[[str], None]


def quiet(message: str) -> None:
    """Discard a progress message."""


def cache_directory() -> Path:
    """Return the cache directory for downloads and builds, outside the repository."""
    # The specification treats an empty or relative XDG_CACHE_HOME as unset.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = configured if configured.is_absolute() else Path.home() / ".cache"
    directory = home / "tenantry" / "test-servers"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextlib.contextmanager
def only_one(name: str) -> Iterator[None]:
    """Hold the lock for preparing `name`, so that other processes wait and then find it ready."""
    with (cache_directory() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def temporary_sibling(target: Path) -> Iterator[Path]:
    """Yield a directory next to `target`, whose contents can be renamed into place.

    An interrupted preparation therefore never leaves an incomplete `target`. The caller must hold
    the lock for `target`, because leftovers of a killed preparation are removed.
    """
    for stale in target.parent.glob(f".{target.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
