"""Notices whether files of a declared state have changed, without reading them."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tenantry.declared.archive import FOLDER as ARCHIVE

_SETTLED_AFTER = 2 * 10**9
"""The age in nanoseconds of a change that another one cannot repeat at the same time stamp."""


class FileState(NamedTuple):
    """What a change of a file changes."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


class FolderState(NamedTuple):
    """The states of all files of a declared state."""

    files: Mapping[str, FileState | None]
    """The states by path; None for a file that cannot be opened."""
    is_settled: bool
    """Whether no file was changed right before. Otherwise a further change may be invisible."""


def observe(folder: Path) -> FolderState:
    """Return the states of the files of a declared state."""
    now = time.time_ns()
    paths = [str(folder / "platform.yaml")]
    for part in (folder / "teams", folder / ARCHIVE):
        paths += [
            os.path.join(parent, name) for parent, _, names in os.walk(part) for name in names
        ]
    found = {path: _state_of(path) for path in paths}
    states = [state for state in found.values() if state]
    settled = all(now - state.modified > _SETTLED_AFTER for state in states)
    return FolderState(found, settled and len(states) == len(found))


def _state_of(path: str) -> FileState | None:
    try:
        # Network file systems look up the current state when a file is opened.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        stat = os.fstat(handle)
    finally:
        os.close(handle)
    return FileState(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
