"""Files that only their owner may read, and the stores that keep them.

Reports, their history, audit trails, snapshots and journals of migrations are kept in a `FileStore`.
`FolderStore` is a folder of this machine. `tasks.store.BlockStore` is a storage block of Prefect.
"""

import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import Protocol

from tenantry.errors import TenantryError


class FileStore(Protocol):
    """A place for files that every process which runs the flows can reach."""

    @property
    def name(self) -> str:
        """The name of the store, as messages show it."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if the file does not exist.

        Raises:
            TenantryError: the file cannot be read.
        """

    def write(self, name: str, content: bytes) -> None:
        """Write a file. Where the store has file owners, only the owner may read it.

        Raises:
            TenantryError: the file cannot be written.
        """


class FolderStore:
    """A folder of this machine as a store. A reader sees the old content of a file or the new one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = str(folder)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if the file does not exist.

        Raises:
            TenantryError: the file cannot be read.
        """
        path = self._folder / check_name(name, f"Folder {self.name}:")
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TenantryError(f"Cannot read {path}: {error.strerror}.") from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file that only its owner may read, and the folder if it does not exist.

        Raises:
            TenantryError: the file cannot be written.
        """
        path = self._folder / check_name(name, f"Folder {self.name}:")
        try:
            write_private(path, content)
        except OSError as error:
            raise TenantryError(f"Cannot write {path}: {error.strerror}.") from None


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, and its folder if it does not exist.

    A reader sees either the old or the new content, even if the disk is full or the process is
    killed.

    Raises:
        OSError: the file cannot be written; its old content is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # its mode is 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_name(name: str, label: str) -> str:
    """Return the name of a file in a store, if it cannot lead out of the store.

    Args:
        name: the name, with `/` between folders.
        label: the beginning of the message.

    Raises:
        TenantryError: the name is absolute, or has a part such as `..`.
    """
    parts = PurePosixPath(name).parts
    is_inside = (
        name.isprintable()
        and not name.startswith(("/", "~"))
        and "\\" not in name
        and ".." not in parts
        and "://" not in name
        and bool(parts)
    )
    if not is_inside:
        raise TenantryError(
            f"{label} {name!r} is not the name of a file in the store. Give the path from the root "
            "of the store, such as people.csv, without '..' and without a leading '/'."
        )
    return name
