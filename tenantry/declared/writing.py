"""Writes files of the declared state, one process at a time, and so that no fault spoils a file."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from errno import EISDIR
from pathlib import Path

from tenantry.errors import SystemUnavailable, TenantryError

PATIENCE = 60.0
"""Seconds to wait for another process that writes to the same folder."""
_LOCK = ".tenantry.lock"
_ADVICE = "Let the account that runs Tenantry write to that folder, on a disk with room."


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that take this lock from writing to a folder.

    The lock is on a file, not on the folder: NFS locks only files that are open for writing.

    Raises:
        SystemUnavailable: another process holds the lock for too long.
        TenantryError: the lock cannot be taken, and why.
    """
    path = folder / _LOCK
    deadline = time.monotonic() + PATIENCE
    try:
        while (handle := _try_lock(path)) is None:
            if time.monotonic() > deadline:
                raise SystemUnavailable(
                    "declared state",
                    f"lock {path}",
                    f"another process has been writing to this folder for {PATIENCE:.0f} seconds",
                    advice="Nothing was written. Run it again when that process has ended.",
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
        # The former holder removes the file: a lock on a removed file keeps no process out.
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
    """Write files so that a reader of each sees the old one or the new one; their modes stay.

    All of them are first written under other names and synced to the disk, so that a full disk or
    a missing right changes no file. Then they are renamed one after another. No file system renames
    several files at once: a process that dies in between leaves the first ones changed.

    Raises:
        TenantryError: a file cannot be written, and why.
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
    """Write and sync a file's text under another name in the same folder, and return that name."""
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
    """Sync the names in a folder to the disk, where its file system can do that."""
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
    return TenantryError(f"{path} can't be written: {reason}. {state} {_ADVICE}")
