"""What a migration keeps in its store, and how it works on it: under a lock, and by its journal."""

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
from tenantry.migration.people import Progress, counting, silent
from tenantry.migration.snapshot import Snapshot, Wave, load_back, load_wave, save_back, save_wave
from tenantry.migration.store import CorruptFile
from tenantry.systems.systems import Systems

Declare = Callable[[Edit, str], object]
"""Changes the declared state, and saves it under a message."""
A = TypeVar("A")
T = TypeVar("T")


class MigrationState:
    """A migration's store, journal and snapshot, as a process has them that starts now."""

    def __init__(
        self,
        systems: Systems,
        store: FileStore,
        declare: Declare,
        lock: Lock,
        *,
        clock: Clock = utc_now,
        told: Callable[[str], object] = lambda text: None,
        progress: Progress = silent,
    ) -> None:
        """
        Args:
            systems: the systems.
            store: where the snapshot and the journal are.
            declare: changes the declared state.
            lock: the platform's. It is held while something is written.
            clock: the time.
            told: takes a line for the log, without names.
            progress: told how far a step has come.
        """
        self.systems = systems
        self.store = store
        self.declare = declare
        self.lock = lock
        self.clock = clock
        self.told = told
        self.progress = progress
        self.journal = journals.read(store)
        self._snapshot: Snapshot | None = None

    @property
    def is_on(self) -> bool:
        """Whether a migration is under way."""
        return self.journal is not None and self.journal.is_on

    @property
    def entry(self) -> Journal:
        """The journal of the migration that is on.

        Raises:
            TenantryError: there is none.
        """
        if self.journal is None or not self.journal.is_on:
            raise TenantryError(f"No migration is on in {self.store.name}.")
        return self.journal

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot of the migration that is on.

        Raises:
            CorruptFile: it is not what was exported and approved.
        """
        if self._snapshot is None:
            found, told = snapshots.load(self.store, self.entry.id)
            if told != self.entry.plan:
                raise TenantryError(
                    f"The snapshot in {self.store.name} is not the one that the journal names: its "
                    "checksum differs. Nothing was changed; bring both back from a backup."
                )
            self._snapshot = found
        return self._snapshot

    def update_journal(self, **changes: Any) -> None:
        """Writes down how far it has come."""
        self.journal = journals.write(self.store, self.entry.after(**changes))

    def record_wave(self, number: int, take_down: Callable[[], Wave]) -> Wave:
        """What a wave's people had right before the first of them was deleted: taken down once."""
        found = self.wave_record(number)
        if found is None:
            found = take_down()
            save_wave(self.store, self.entry.id, number, found)
        if self.entry.recorded <= number:
            self.update_journal(recorded=number + 1)
        return found

    def wave_record(self, number: int) -> Wave | None:
        """What was taken down of a wave; None if nobody of it was deleted yet.

        Raises:
            CorruptFile: it is not what was written.
        """
        try:
            return load_wave(self.store, self.entry.id, number)
        except CorruptFile:
            if self.entry.recorded > number:
                raise
            return None  # whoever wrote it died in that, and before anybody was deleted

    def record_rollback(self, record: Wave) -> None:
        """Store what people have right before the way back deletes them."""
        number = self.entry.recorded_back
        save_back(self.store, self.entry.id, number, record)
        self.update_journal(recorded_back=number + 1)

    def rollback_records(self) -> list[Wave]:
        """Return what people had when the way back deleted them, oldest first.

        Raises:
            CorruptFile: a record is missing, or it is not what was written.
        """
        numbers = range(self.entry.recorded_back)
        return [load_back(self.store, self.entry.id, number) for number in numbers]

    def delete_expired_snapshot(self) -> bool:
        """Deletes the snapshot of a migration whose time is over; whether it did.

        It also overwrites what failed exports left in the store.
        """
        self.clean_up()
        entry = self.journal
        if entry is None or entry.over_at is None or entry.forgotten:
            return False
        if self.clock() < entry.over_at + timedelta(days=entry.keep_days):
            return False
        snapshots.forget(self.store, entry.id, self.clock(), entry.waves, inspection=True)
        self.journal = journals.write(self.store, entry.after(forgotten=True))
        return True

    def clean_up(self) -> None:
        """Overwrite the snapshots that failed exports left, while no other run exports."""
        if not exports.are_left(self.store, self.journal.id if self.journal else None):
            return
        with self.locked():
            named = self.journal.id if self.journal else None
            exports.clean_up(self.store, named, self.clock())

    # At work

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the platform's lock, and make sure that the journal is the one that was read.

        Raises:
            ChangedMeanwhile: another run wrote the journal before this one had the lock. The next
                try sees the journal as it is now.
        """
        with self.lock:
            found, known = journals.read(self.store), self.journal
            if (found and found.number) != (known and known.number):
                self.journal, self._snapshot = found, None
                raise ChangedMeanwhile(
                    "store",
                    f"read the journal in {self.store.name}",
                    "another run has changed the migration since this run began",
                    advice="Run it again: it starts from where the migration is now.",
                )
            yield

    def map_locked(self, work: Callable[[A], T], things: Iterable[A]) -> list[T]:
        """Does something for each, while the lock is held, and tells how far it has come."""
        things = list(things)
        step: Callable[[T], T] = counting(self.progress, len(things))

        def one(thing: A) -> T:
            self.lock.check()
            try:
                return step(work(thing))
            except Exception as error:  # noqa: BLE001 one person's failure: the others are moved
                raise as_tenantry_error(error, "moving one of the people") from None

        return map_concurrently(one, things)
