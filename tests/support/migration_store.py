"""A migration in a process of the tests: its store is a folder, and no other process runs."""

from pathlib import Path
from typing import Any, TypeVar

from tenantry.declared.edit import edit
from tenantry.files import write_private
from tenantry.migration.machine import Migration
from tenantry.systems.systems import Systems
from tests.support.locks import NoLock

M = TypeVar("M", bound=Migration)


class FolderStore:
    """A store in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = str(folder)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if it does not exist."""
        path = self._folder / name
        return path.read_bytes() if path.exists() else None

    def write(self, name: str, content: bytes) -> None:
        """Write a file that only its owner may read."""
        write_private(self._folder / name, content)


def begin(kind: type[M], systems: Systems, store: FolderStore, declared: Path, **options: Any) -> M:
    """Return a migration of this kind, which changes the declared state in a folder."""
    return kind(systems, store, lambda change, message: edit(declared, change), NoLock(), **options)
