"""Writes files of the declared state: one process at a time, and without leaving partial files."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from errno import EISDIR
from pathlib import Path

from tenantry.errors import SystemUnavailable, TenantryError

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that writes to the same folder."""
_LOCK = ".tenantry.lock"
_ADVICE = "The account that runs Tenantry needs write access to that folder, and free disk space."


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock for writing to a folder.

    The lock is on a file, not on the folder: NFS locks only files that are open for writing.

    Raises:
        SystemUnavailable: another process held the lock for too long.
        TenantryError: the lock file cannot be created.
    """
    path = folder / _LOCK
    deadline = time.monotonic() + LOCK_TIMEOUT
    try:
        while (handle := _try_lock(path)) is None:
            if time.monotonic() > deadline:
                raise SystemUnavailable(
                    "declared state",
                    f"lock {path}",
                    f"another process has been writing to this folder for {LOCK_TIMEOUT:.0f} seconds",
                    advice="Nothing was written. Run it again after that process has ended.",
                )
            time.sleep(0.05)
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _try_lock(path: Path) -> int | None:
    """Return a handle that holds the lock; None if another process holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The former holder removes the file, and a lock on a removed file excludes no process.
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None


def write(texts: Mapping[Path, str]) -> None:
    """Replace each file atomically and keep its mode.

    All texts are first written to temporary files and synced to the disk, so that a full disk or
    missing permissions change no file. Then the temporary files are renamed one after another. A
    process that dies in between leaves only the first files changed, since no file system renames
    several files at once.

    Raises:
        TenantryError: a file cannot be written.
    """
    written: list[Path] = []
    with ExitStack() as leftovers:
        ready: dict[Path, Path] = {}
        for path, text in texts.items():
            try:
                ready[path] = _prepare(path, text, leftovers)
            except OSError as error:
                raise _cannot_write(path, error) from None
        for path, temporary in ready.items():
            try:
                temporary.replace(path)
            except OSError as error:
                raise _cannot_write(path, error, written) from None
            written.append(path)
    for folder in {path.parent for path in written}:
        _sync_folder(folder)


def _prepare(path: Path, text: str, leftovers: ExitStack) -> Path:
    """Write and sync a file's text to a temporary file in the same folder, and return its path."""
    if path.is_dir():
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    path.parent.mkdir(exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tenantry-")
    temporary = Path(name)
    leftovers.callback(temporary.unlink, missing_ok=True)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    return temporary


def _sync_folder(folder: Path) -> None:
    """Sync a folder's entries to the disk, if its file system supports that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _cannot_write(path: Path, error: OSError, written: list[Path] | None = None) -> TenantryError:
    reason = error.strerror or type(error).__name__
    state = "Nothing was changed."
    if written:
        names = ", ".join(map(str, written))
        state = f"Already written: {names}. Run it again to write the rest."
    return TenantryError(f"{path} cannot be written: {reason}. {state} {_ADVICE}")
