"""What all migrations have in common: one at a time, exported, approved, and written down."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from tenantry.calls import Clock, each, real_time
from tenantry.declared.edit import Edit
from tenantry.errors import ChangedMeanwhile, TenantryError, readable
from tenantry.locks import Lock
from tenantry.migration import exports
from tenantry.migration import journal as journals
from tenantry.migration import snapshot as snapshots
from tenantry.migration.inspection import Inspection
from tenantry.migration.journal import Journal
from tenantry.migration.order import Order
from tenantry.migration.people import Progress, counting, silent
from tenantry.migration.snapshot import (
    Person,
    Situation,
    Snapshot,
    Wave,
    load_wave,
    save_wave,
)
from tenantry.migration.store import Altered, Store
from tenantry.systems import Systems
from tenantry.wording import count

Declare = Callable[[Edit, str], object]
"""Changes the declared state, and saves it under a message."""
A = TypeVar("A")
T = TypeVar("T")


class Standing(Protocol):
    """How everybody stands; as a text it is the counts."""

    @property
    def lacking(self) -> frozenset[str]:
        """Ids of those whose wave was done, and who are not through."""


class Migration(ABC):
    """A migration, as a process has it that starts now: all it knows is in the store.

    Each method may be called again after a process died in it: it goes on where that one was.
    """

    def __init__(
        self,
        systems: Systems,
        store: Store,
        declare: Declare,
        lock: Lock,
        *,
        clock: Clock = real_time,
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
    def is_settled(self) -> bool:
        """Whether it is too late to plan it anew."""
        return self.entry.switching or self.entry.rolling_back

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
            Altered: it is not what was exported and approved.
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

    def note(self, **changes: Any) -> None:
        """Writes down how far it has come."""
        self.journal = journals.write(self.store, self.entry.after(**changes))

    # What each kind has of its own

    @abstractmethod
    def subject(self, person: Person) -> str:
        """What Harbor knows a person by who is moved: subject and issuer, with nothing between."""

    @abstractmethod
    def keycloak_id(self, person: Person) -> str | None:
        """The id of a person in the realm now; None if it is another realm by now."""

    @abstractmethod
    def refuse_to_move(self) -> None:
        """Refuses to move anybody before it is time.

        Raises:
            TenantryError: and why.
        """

    @abstractmethod
    def move_wave(self, number: int) -> tuple[int, str]:
        """Moves the people of a wave, and notes that they are being moved.

        Returns:
            How many they are, and what was needed now, in words.

        Raises:
            TenantryError: somebody, or a link, is not what it must be.
        """

    @abstractmethod
    def switch(self) -> None:
        """Lets people log in by the new one."""

    @abstractmethod
    def follow_up(self) -> Standing:
        """Mends or gives back what people lack, and tells how everybody stands."""

    @abstractmethod
    def finish(self, let_go: tuple[str, ...] = (), *, now: bool = False) -> None:
        """Ends it once the soak time is over; there is no way back then.

        Args:
            let_go: user names of those who are waited for no longer.
            now: do not wait for the soak time.
        """

    @abstractmethod
    def roll_back(self) -> str:
        """Undoes all of it; what was undone, in words."""

    # Beginning

    def refuse_second(self, old: str, new: str) -> None:
        """Refuses to begin while another is on.

        Raises:
            TenantryError: it is, and which.
        """
        realm = self.systems.keycloak_client.realm
        if self.is_on and (self.entry.old, self.entry.new, self.entry.realm) != (old, new, realm):
            raise TenantryError(
                f"In {self.store.name} the {self.entry.told} is on ({self.entry.phase}). Finish it or "
                "roll it back first: two at once would move the same people twice."
            )

    def export(
        self,
        inspection: Inspection,
        old: str,
        new: str,
        order: Order,
        situation: Situation,
        run: str = "",
    ) -> str:
        """Writes the snapshot, reads it back, and begins the journal.

        Args:
            inspection: who is moved.
            old: what is replaced.
            new: what replaces it.
            order: what was asked for.
            situation: what changes.
            run: who makes the plan.

        Returns:
            The hash of the plan, to be approved.

        Raises:
            TenantryError: something must be settled first, or a migration is past that point.
        """
        inspection.refuse()
        self.refuse_second(old, new)
        if self.is_on and self.is_settled:
            text = f"The {self.entry.told} is {self.entry.phase}: it can't be planned anew."
            raise TenantryError(text)
        with self.locked():
            now = self.clock()
            snapshot = Snapshot(
                id=f"{now:%Y%m%d}-{secrets.token_hex(4)}",
                made=now,
                situation=situation,
                realm=self.systems.keycloak_client.realm,
                issuer=self.systems.keycloak_client.issuer,
                old=old,
                new=new,
                match=order.match,
                people=inspection.people,
                waves=inspection.waves,
                settings=inspection.settings,
            )
            self.lock.check()
            before = self.journal
            named = before.id if before else None
            exports.clean_up(self.store, named, now)
            exports.begin(self.store, snapshot, before)
            try:
                plan = snapshots.save(self.store, snapshot)
            except Exception:
                with suppress(TenantryError):  # else the next run does it
                    exports.clean_up(self.store, named, now)
                raise
            entry = Journal(
                number=before.number if before else 0,
                id=snapshot.id,
                situation=situation,
                realm=snapshot.realm,
                old=old,
                new=new,
                plan=plan,
                phase="exported",
                run=run,
                began=before.began if before and before.is_on else now,
                waves=len(snapshot.waves),
                soak_hours=order.soak_hours,
                keep_days=order.keep_days,
            )
            self.journal = journals.write(self.store, entry)
            self._snapshot = snapshot
            exports.clean_up(self.store, snapshot.id, now)
        return plan

    def approve(self, plan: str, by: str) -> None:
        """Takes down that somebody approved a plan.

        Raises:
            TenantryError: it is not the plan that there is now.
        """
        if plan != self.entry.plan:
            raise TenantryError(
                f"What was approved is plan {plan[:12] or '(none)'}, and the plan is now "
                f"{self.entry.plan[:12]}: look at it, and approve that one."
            )
        if self.entry.phase == "exported":
            with self.locked():
                self.note(phase="approved", approved_by=by)

    def refuse_unless_approved(self) -> None:
        """Refuses to go on with what is not approved, or is being undone.

        Raises:
            TenantryError: and which.
        """
        if self.entry.rolling_back:
            raise TenantryError(f"The {self.entry.told} is being rolled back: finish that first.")
        if self.entry.phase == "exported":
            text = f"The {self.entry.told} is not approved yet: plan {self.entry.plan[:12]}."
            raise TenantryError(text)

    # The waves

    def recorded(self, number: int, take_down: Callable[[], Wave]) -> Wave:
        """What a wave's people had right before the first of them was deleted: taken down once."""
        found = self.record_of(number)
        if found is None:
            found = take_down()
            save_wave(self.store, self.entry.id, number, found)
        if self.entry.recorded <= number:
            self.note(recorded=number + 1)
        return found

    def record_of(self, number: int) -> Wave | None:
        """What was taken down of a wave; None if nobody of it was deleted yet.

        Raises:
            Altered: it is not what was written.
        """
        try:
            return load_wave(self.store, self.entry.id, number)
        except Altered:
            if self.entry.recorded > number:
                raise
            return None  # whoever wrote it died in that, and before anybody was deleted

    def move(self, waves: int | None = None) -> int:
        """Moves the people of the next waves.

        Args:
            waves: how many waves; all that are left if not given.

        Returns:
            How many waves are left.

        Raises:
            TenantryError: it is not time, or somebody can't be moved; those before are.
        """
        self.refuse_to_move()
        first, last = self.entry.waves_done, self.entry.waves
        for number in range(first, last if waves is None else min(last, first + waves)):
            with self.locked():
                people, needed = self.move_wave(number)
                done = number + 1
                self.note(waves_done=done, phase="moved" if done == last else "moving")
            self.told(
                f"Wave '{self.snapshot.waves[number]}': {count(people, 'person', 'people')}, {needed} now."
            )
        return last - self.entry.waves_done

    # The end

    def refuse_early(self, *, now: bool) -> None:
        """Refuses to end what is not switched, is being undone, or has not soaked.

        Raises:
            TenantryError: and why.
        """
        until = self.soaked()
        if self.entry.rolling_back:
            raise TenantryError(f"The {self.entry.told} is being rolled back: finish that first.")
        if not now and self.clock() < until:
            raise TenantryError(
                f"The soak time of the {self.entry.told} lasts until {until:%Y-%m-%d %H:%M} UTC, and "
                "the way back with it. Nothing was changed."
            )

    def refuse_half_undone(self) -> None:
        """Refuses to look after people while the way back is under way, or has stopped.

        Raises:
            TenantryError: it is.
        """
        if self.entry.rolling_back and not self.entry.undone:
            raise TenantryError(
                f"The {self.entry.told} is being rolled back, and that did not come to its end: run "
                "roll-back-migration again."
            )

    def soaked(self) -> datetime:
        """When the soak time is over.

        Raises:
            TenantryError: it has not begun.
        """
        if self.entry.switched_at is None:
            raise TenantryError(
                f"The {self.entry.told} is {self.entry.phase}, not switched yet: it can't be finished."
            )
        return self.entry.switched_at + timedelta(hours=self.entry.soak_hours)

    def forget(self) -> bool:
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

    def for_each(self, work: Callable[[A], T], things: Iterable[A]) -> list[T]:
        """Does something for each, while the lock is held, and tells how far it has come."""
        things = list(things)
        step: Callable[[T], T] = counting(self.progress, len(things))

        def one(thing: A) -> T:
            self.lock.check()
            try:
                return step(work(thing))
            except Exception as error:  # noqa: BLE001 one person's failure: the others are moved
                raise readable(error, "moving one of the people") from None

        return each(one, things)
