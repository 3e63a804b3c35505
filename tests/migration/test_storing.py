"""What an export leaves in the store when the store fails, or the process dies in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tenantry.errors import ChangedMeanwhile, NotEffective
from tenantry.files import FolderStore
from tenantry.migration import journal as journals
from tenantry.migration import snapshot as snapshots
from tenantry.migration.machine import Migration
from tenantry.migration.snapshot import Wave
from tests.support.migration_harness import NEW, OLD, OPTIONS, MigrationBench

pytestmark = pytest.mark.demand(
    "migrate",
    "stored files are compared after writing, and a failed export leaves no personal data",
)


class Died(BaseException):
    """The process is gone: no handler runs."""


class Dying(FolderStore):
    """A store whose process dies instead of its n-th write, or after half of it."""

    def __init__(self, folder: Path, at: int, *, half: bool) -> None:
        super().__init__(folder)
        self._left, self._half = at, half

    def write(self, name: str, content: bytes) -> None:
        if self._left == 0:
            if self._half:
                super().write(name, content[: len(content) // 2])
            raise Died
        self._left -= 1
        super().write(name, content)


class Forgetful(FolderStore):
    """A store that accepts a snapshot and keeps another one."""

    def __init__(self, folder: Path, spoil: Callable[[bytes], bytes], what: str) -> None:
        super().__init__(folder)
        self._spoil, self._what = spoil, what

    def write(self, name: str, content: bytes) -> None:
        super().write(name, self._spoil(content) if self._what in name else content)


@pytest.fixture
def made(provider_platform: Callable[[], MigrationBench], no_waiting: None) -> MigrationBench:
    bench = provider_platform()
    bench.store = FolderStore(folder(bench))  # a test before may have replaced it
    return bench


def folder(made: MigrationBench) -> Path:
    return made.bench.folder.parent / "store"


def with_names(made: MigrationBench) -> set[str]:
    """The snapshots in the store that hold personal data."""
    files = folder(made).rglob("snapshot.json")
    return {path.parent.name for path in files if b"user01" in path.read_bytes()}


def named(made: MigrationBench) -> set[str]:
    """The snapshot that the journal names."""
    entry = journals.read(FolderStore(folder(made)))
    return {entry.id} if entry else set()


def export(made: MigrationBench) -> None:
    found = made.inspect()
    with made.process() as migration:
        migration.export(found, OLD, NEW, OPTIONS, "provider")


@pytest.mark.parametrize("half", [False, True], ids=["before", "half written"])
@pytest.mark.parametrize("on", [False, True], ids=["first plan", "planned again"])
def test_a_process_that_dies_in_an_export_leaves_no_personal_data_behind(
    on: bool, half: bool, made: MigrationBench
) -> None:
    if on:
        export(made)
    found = made.inspect()
    deaths = 0
    while True:
        made.store = Dying(folder(made), deaths, half=half)
        try:
            with made.process() as migration:
                migration.export(found, OLD, NEW, OPTIONS, "provider")
            break
        except Died:
            deaths += 1
        made.store = FolderStore(folder(made))
        with made.process() as migration:
            if deaths % 2 and migration.is_on:
                migration.follow_up()
            else:
                migration.delete_expired_snapshot()
        assert with_names(made) <= named(made)
    assert deaths > 3
    assert with_names(made) == named(made)


def cut(data: bytes) -> bytes:
    return data[:-200]


def altered(data: bytes) -> bytes:
    return data.replace(b"user01@", b"user09@")


@pytest.mark.parametrize("spoil", [cut, altered])
def test_a_snapshot_that_the_store_alters_is_overwritten_at_once(
    spoil: Callable[[bytes], bytes], made: MigrationBench
) -> None:
    for _ in range(2):
        made.store = Forgetful(folder(made), spoil, "snapshot")
        with pytest.raises(NotEffective, match="returns something else"):
            export(made)
        assert with_names(made) == named(made) == set()
    made.store = FolderStore(folder(made))
    made.migrate()
    assert with_names(made) == named(made)


def save_wave(migration: Migration) -> None:
    people = migration.snapshot.people
    snapshots.save_wave(migration.store, migration.entry.id, 0, Wave(people=people))


def approve(migration: Migration) -> None:
    migration.approve(migration.entry.plan, "Ann")


@pytest.mark.parametrize(("what", "write"), [("wave", save_wave), ("journal", approve)])
def test_a_wave_or_journal_that_the_store_alters_is_an_error(
    what: str, write: Callable[[Migration], None], made: MigrationBench
) -> None:
    export(made)
    made.store = Forgetful(folder(made), cut, what)
    with made.process() as migration, pytest.raises(NotEffective, match="returns something else"):
        write(migration)


def test_a_run_that_waited_for_another_one_does_not_write_over_its_journal(
    made: MigrationBench,
) -> None:
    made.migrate()
    with made.process() as waiting:
        with made.process() as other:
            other.update_journal(rolling_back=True)
        with pytest.raises(ChangedMeanwhile, match="another run has changed the migration"):
            waiting.follow_up()
        assert waiting.entry.rolling_back
