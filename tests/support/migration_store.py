"""A migration in a process of the tests: its store is a folder, and no other process runs."""

from pathlib import Path
from typing import Any, TypeVar

from tenantry.declared.edit import edit
from tenantry.files import FolderStore
from tenantry.locks import NoLock
from tenantry.migration.machine import Migration
from tenantry.systems.systems import Systems

M = TypeVar("M", bound=Migration)


def begin(kind: type[M], systems: Systems, store: FolderStore, declared: Path, **options: Any) -> M:
    """Return a migration of this kind, which changes the declared state in a folder."""
    return kind(systems, store, lambda change, message: edit(declared, change), NoLock(), **options)
