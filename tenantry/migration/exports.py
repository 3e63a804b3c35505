"""Snapshots that the journal does not name: an export failed, or its process died.

A store can neither list its files nor delete one. An export therefore stores the ids of all
snapshots that it may leave behind before it writes one. The next run overwrites those that the
journal does not name.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from tenantry.files import FileStore
from tenantry.migration import snapshot as snapshots
from tenantry.migration.journal import Journal
from tenantry.migration.snapshot import Record
from tenantry.migration.store import FOLDER, CorruptFile, keep, unsealed

_FILE = f"{FOLDER}/exports.json"


class _Exports(Record):
    version: Literal[1] = 1
    waves: dict[str, int] = Field(default_factory=dict)
    """The number of waves, by the snapshot's id."""


def begin(store: FileStore, made: snapshots.Snapshot, before: Journal | None) -> None:
    """Store that a snapshot is about to be written, and which one it replaces."""
    waves = {made.id: len(made.waves)}
    if before and not before.forgotten:
        waves[before.id] = before.waves
    keep(store, _FILE, _Exports(waves=waves).model_dump(mode="json"))


def are_left(store: FileStore, named: str | None) -> bool:
    """Return whether an export left a snapshot behind that the journal does not name."""
    return any(id != named for id in _read(store).waves)


def clean_up(store: FileStore, named: str | None, when: datetime) -> None:
    """Overwrite the snapshots that exports left behind. The caller holds the lock.

    Args:
        store: the store.
        named: id of the snapshot that the journal names now.
        when: the time.
    """
    found = _read(store)
    for id, waves in found.waves.items():
        if id != named:
            snapshots.forget(store, id, when, waves)
    if found.waves:
        keep(store, _FILE, _Exports().model_dump(mode="json"))


def _read(store: FileStore) -> _Exports:
    data = store.read(_FILE)
    if data is None:
        return _Exports()
    try:
        content, _ = unsealed(data, _FILE)
        return _Exports.model_validate(content)
    except (CorruptFile, ValidationError):
        # The writer died before it wrote a snapshot, and after it had cleaned up.
        return _Exports()
