"""A migration in progress continues after an update: its stored files are read as they are.

`previous/` holds the files of a migration that the version before the current stored words wrote.
"""

import json
from pathlib import Path

from tenantry.files import FolderStore
from tenantry.migration import exports
from tenantry.migration import journal as journals
from tenantry.migration import snapshot as snapshots

FOLDER = Path(__file__).parent / "previous"
STORE = FolderStore(FOLDER)
ID = "20261125-0123abcd"


def stored(name: str) -> object:
    """Return the content of a stored file, without its checksum."""
    return json.loads((FOLDER / "migration" / name).read_text())["content"]


def test_the_journal_and_the_snapshot_are_read_and_written_in_the_same_words() -> None:
    journal = journals.read(STORE)
    assert journal is not None
    snapshot, checksum = snapshots.load(STORE, ID)

    assert checksum == journal.plan, "the approval of the plan holds"
    assert journal.model_dump(mode="json") == stored("journal-0.json")
    assert snapshot.model_dump(mode="json") == stored(f"{ID}/snapshot.json")
    assert (journal.phase, journal.rolling_back, journal.may_delete) == ("switched", True, 3)


def test_the_records_of_waves_and_of_a_rollback_are_read_in_the_same_words() -> None:
    wave = snapshots.load_wave(STORE, ID, 0)
    assert wave is not None
    rollback = snapshots.load_rollback_record(STORE, ID, 0)

    assert wave.model_dump(mode="json") == stored(f"{ID}/wave-0.json")
    assert rollback.model_dump(mode="json") == stored(f"{ID}/back-0.json")


def test_snapshots_that_a_failed_export_left_are_found() -> None:
    assert exports.has_leftovers(STORE, None)
    assert not exports.has_leftovers(STORE, ID)
