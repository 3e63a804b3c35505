"""Cleanup of snapshots from failed exports, which the journal does not name.

A file store can neither list its files nor delete one. Before an export writes a snapshot, it
therefore stores the ids of all snapshots that it may leave behind. The next run overwrites those
that the journal does not name.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from tenantry.files import FileStore
from tenantry.migration import snapshot as snapshots
from tenantry.migration.journal import Journal
from tenantry.migration.snapshot import Record
from tenantry.migration.store import FOLDER, CorruptFile, load_sealed, save_sealed

_FILE = f"{FOLDER}/exports.json"


class _Exports(Record):
    version: Literal[1] = 1
    waves: dict[str, int] = Field(default_factory=dict)
    """The number of waves, by the snapshot's id."""


def begin(store: FileStore, snapshot: snapshots.Snapshot, previous: Journal | None) -> None:
    """Record that a snapshot is about to be written, and which snapshot it replaces."""
    waves = {snapshot.id: len(snapshot.waves)}
    if previous and not previous.forgotten:
        waves[previous.id] = previous.waves
    save_sealed(store, _FILE, _Exports(waves=waves).model_dump(mode="json"))


def has_leftovers(store: FileStore, current: str | None) -> bool:
    """Return whether an export left a snapshot that the journal does not name.

    Args:
        store: the store.
        current: id of the snapshot that the journal names now.
    """
    return any(id != current for id in _read(store).waves)


def clean_up(store: FileStore, current: str | None, now: datetime) -> None:
    """Overwrite the snapshots that failed exports left. The caller holds the lock.

    Args:
        store: the store.
        current: id of the snapshot that the journal names now.
        now: the time.
    """
    found = _read(store)
    for id, waves in found.waves.items():
        if id != current:
            snapshots.erase(store, id, now, waves)
    if found.waves:
        save_sealed(store, _FILE, _Exports().model_dump(mode="json"))


def _read(store: FileStore) -> _Exports:
    data = store.read(_FILE)
    if data is None:
        return _Exports()
    try:
        content, _ = load_sealed(data, _FILE)
        return _Exports.model_validate(content)
    except (CorruptFile, ValidationError):
        # The process that wrote it died after its cleanup and before it wrote a snapshot.
        return _Exports()
