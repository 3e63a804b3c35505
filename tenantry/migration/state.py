"""The stored state of a migration, and work under the platform's lock."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from tenantry.calls import Clock, map_concurrently, utc_now
from tenantry.declared.edit import Edit
from tenantry.errors import ChangedMeanwhile, TenantryError, as_tenantry_error
from tenantry.files import FileStore
from tenantry.locks import Lock
from tenantry.migration import exports
from tenantry.migration import journal as journals
from tenantry.migration import snapshot as snapshots
from tenantry.migration.journal import Journal
from tenantry.migration.people import Progress, count_progress, no_progress
from tenantry.migration.snapshot import Snapshot, Wave
from tenantry.migration.store import CorruptFile
from tenantry.systems.systems import Systems

Declare = Callable[[Edit, str], object]
"""Changes the declared state, and commits it with a message."""
A = TypeVar("A")
T = TypeVar("T")


class MigrationState:
    """The journal, the snapshot and the records of a migration, read from the store."""

    def __init__(
        self,
        systems: Systems,
        store: FileStore,
        declare: Declare,
        lock: Lock,
        *,
        clock: Clock = utc_now,
        report: Callable[[str], object] = lambda text: None,
        progress: Progress = no_progress,
    ) -> None:
        """
        Args:
            systems: the systems.
            store: the store of the snapshot and the journal.
            declare: changes the declared state.
            lock: the platform's lock. It is held during all writes.
            clock: returns the time.
            report: takes a line for the log, without user names.
            progress: reports the progress of a step.
        """
        self.systems = systems
        self.store = store
        self.declare = declare
        self.lock = lock
        self.clock = clock
        self.report = report
        self.progress = progress
        self.journal = journals.read(store)
        self._snapshot: Snapshot | None = None

    @property
    def is_on(self) -> bool:
        """Whether a migration is in progress."""
        return self.journal is not None and self.journal.is_on

    @property
    def entry(self) -> Journal:
        """The journal of the migration in progress.

        Raises:
            TenantryError: no migration is in progress.
        """
        if self.journal is None or not self.journal.is_on:
            raise TenantryError(f"No migration is in progress in {self.store.name}.")
        return self.journal

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot of the migration in progress.

        Raises:
            CorruptFile: the file is missing, or it is not as it was written.
            TenantryError: it is another snapshot than the journal names.
        """
        if self._snapshot is None:
            found, checksum = snapshots.load(self.store, self.entry.id)
            if checksum != self.entry.plan:
                raise TenantryError(
                    f"The snapshot in {self.store.name} is not the one that the journal names: its "
                    "checksum differs. Nothing was changed. Restore the store from a backup."
                )
            self._snapshot = found
        return self._snapshot

    def update_journal(self, **changes: Any) -> None:
        """Write the journal with these changes."""
        self.journal = journals.write(self.store, self.entry.after(**changes))

    def record_wave(self, number: int, observe: Callable[[], Wave]) -> Wave:
        """Return the state of a wave's people right before the first of them is deleted.

        It is observed and stored once. A repeated run returns the stored state.

        Args:
            number: the wave.
            observe: returns the current state of the wave's people.
        """
        found = self.wave_record(number)
        if found is None:
            found = observe()
            snapshots.save_wave(self.store, self.entry.id, number, found)
        if self.entry.recorded <= number:
            self.update_journal(recorded=number + 1)
        return found

    def wave_record(self, number: int) -> Wave | None:
        """Return the stored state of a wave's people; None if no one of it was deleted yet.

        Raises:
            CorruptFile: the file is not as it was written.
        """
        try:
            return snapshots.load_wave(self.store, self.entry.id, number)
        except CorruptFile:
            if self.entry.recorded > number:
                raise
            return None  # The process died while it wrote the file, and before any deletion.

    def record_rollback(self, record: Wave) -> None:
        """Store the state of people right before the rollback deletes them."""
        number = self.entry.recorded_back
        snapshots.save_rollback_record(self.store, self.entry.id, number, record)
        self.update_journal(recorded_back=number + 1)

    def rollback_records(self) -> list[Wave]:
        """Return the states of people right before the rollback deleted them, oldest first.

        Raises:
            CorruptFile: a record is missing, or it is not as it was written.
        """
        numbers = range(self.entry.recorded_back)
        return [
            snapshots.load_rollback_record(self.store, self.entry.id, number) for number in numbers
        ]

    def delete_expired_snapshot(self) -> bool:
        """Delete the snapshot of a migration that ended `keep_days` ago, and return whether it did.

        Snapshots that failed exports left in the store are overwritten, too.
        """
        self.clean_up()
        entry = self.journal
        if entry is None or entry.over_at is None or entry.forgotten:
            return False
        if self.clock() < entry.over_at + timedelta(days=entry.keep_days):
            return False
        snapshots.erase(self.store, entry.id, self.clock(), entry.waves, inspection=True)
        self.journal = journals.write(self.store, entry.after(forgotten=True))
        return True

    def clean_up(self) -> None:
        """Overwrite the snapshots that failed exports left, while no other run exports."""
        if not exports.has_leftovers(self.store, self.journal.id if self.journal else None):
            return
        with self.locked():
            current = self.journal.id if self.journal else None
            exports.clean_up(self.store, current, self.clock())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the platform's lock, and check that the journal is the one that was read.

        Raises:
            ChangedMeanwhile: another run wrote the journal before this one had the lock. A retry
                sees the current journal.
        """
        with self.lock:
            found, known = journals.read(self.store), self.journal
            if (found and found.number) != (known and known.number):
                self.journal, self._snapshot = found, None
                raise ChangedMeanwhile(
                    "store",
                    f"read the journal in {self.store.name}",
                    "another run has changed the migration since this run began",
                    advice="Run it again: it continues from where the migration is now.",
                )
            yield

    def map_locked(self, work: Callable[[A], T], items: Iterable[A]) -> list[T]:
        """Return the results of work on all items, while the lock is held; report the progress.

        Raises:
            TenantryError: the work on an item failed, or the lock was lost. Items that were begun
                before are completed.
        """
        items = list(items)
        step: Callable[[T], T] = count_progress(self.progress, len(items))

        def run(item: A) -> T:
            self.lock.check()
            try:
                return step(work(item))
            except Exception as error:  # noqa: BLE001 the failure of one person stops no other
                raise as_tenantry_error(error, "moving a person") from None

        return map_concurrently(run, items)
