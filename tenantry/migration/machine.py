"""What all migrations have in common: one at a time, exported, approved, and written down."""

import secrets
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from tenantry.errors import TenantryError
from tenantry.migration import exports
from tenantry.migration import journal as journals
from tenantry.migration import snapshot as snapshots
from tenantry.migration.case import fold
from tenantry.migration.inspection import Inspection
from tenantry.migration.journal import Journal
from tenantry.migration.options import Options, is_named
from tenantry.migration.snapshot import Person, Situation, Snapshot
from tenantry.migration.state import MigrationState
from tenantry.wording import count


class Status(Protocol):
    """How everybody stands; as a text it is the counts."""

    @property
    def incomplete(self) -> frozenset[str]:
        """Ids of those whose wave was done, and who are not through."""

    @property
    def rollback_summary(self) -> str:
        """How many people are back in Harbor, in words; empty if none were deleted."""


class Migration(MigrationState, ABC):
    """A migration, as a process has it that starts now: all it knows is in the store.

    Each method may be called again after a process died in it: it goes on where that one was.
    """

    @property
    def is_plan_final(self) -> bool:
        """Whether it is too late to plan it anew."""
        return self.entry.switching or self.entry.rolling_back

    # What each kind has of its own

    @abstractmethod
    def subject(self, person: Person) -> str:
        """What Harbor knows a person by who is moved: subject and issuer, with nothing between."""

    @abstractmethod
    def keycloak_id(self, person: Person) -> str | None:
        """The id of a person in the realm now; None if it is another realm by now."""

    @abstractmethod
    def check_ready_to_move(self) -> None:
        """Refuses to move anybody before it is time.

        Raises:
            TenantryError: and why.
        """

    @abstractmethod
    def move_wave(self, number: int) -> tuple[int, str]:
        """Moves the people of a wave, and notes that they are being moved.

        HarborUsers:
            How many they are, and what was needed now, in words.

        Raises:
            TenantryError: somebody, or a link, is not what it must be.
        """

    @abstractmethod
    def switch(self) -> None:
        """Lets people log in by the new one."""

    @abstractmethod
    def follow_up(self) -> Status:
        """Mends or gives back what people lack, and tells how everybody stands."""

    @abstractmethod
    def finish(self, exclude_users: tuple[str, ...] = (), *, now: bool = False) -> None:
        """Ends it once the soak time is over; there is no way back then.

        Args:
            exclude_users: user names of those who are waited for no longer.
            now: do not wait for the soak time.
        """

    @abstractmethod
    def roll_back(self, exclude: tuple[str, ...] = (), approved: int | None = None) -> str:
        """Undo all of it, and return what was undone, in words.

        Args:
            exclude: user names of those whom the way back does not wait for.
            approved: how many users in Harbor it may delete; any number if not given.
        """

    # Beginning

    def check_no_other(self, old: str, new: str) -> None:
        """Refuses to begin while another is on.

        Raises:
            TenantryError: it is, and which.
        """
        realm = self.systems.keycloak_client.realm
        if self.is_on and (self.entry.old, self.entry.new, self.entry.realm) != (old, new, realm):
            raise TenantryError(
                f"In {self.store.name} the {self.entry.label} is on ({self.entry.stage}). Finish it or "
                "roll it back first: two at once would move the same people twice."
            )

    def export(
        self,
        inspection: Inspection,
        old: str,
        new: str,
        options: Options,
        situation: Situation,
        run: str = "",
    ) -> str:
        """Writes the snapshot, reads it back, and begins the journal.

        Args:
            inspection: who is moved.
            old: what is replaced.
            new: what replaces it.
            options: what was asked for.
            situation: what changes.
            run: who makes the plan.

        HarborUsers:
            The hash of the plan, to be approved.

        Raises:
            TenantryError: something must be settled first, or a migration is past that point.
        """
        inspection.refuse()
        self.check_no_other(old, new)
        if self.is_on and self.is_plan_final:
            text = f"The {self.entry.label} is {self.entry.stage}: it can't be planned anew."
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
                match=options.match,
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
                soak_hours=options.soak_hours,
                keep_days=options.keep_days,
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
                self.update_journal(phase="approved", approved_by=by)

    def check_approved(self) -> None:
        """Refuses to go on with what is not approved, or is being undone.

        Raises:
            TenantryError: and which.
        """
        self.check_not_rolling_back()
        if self.entry.phase == "exported":
            text = f"The {self.entry.label} is not approved yet: plan {self.entry.plan[:12]}."
            raise TenantryError(text)

    # The waves

    def move(self, waves: int | None = None) -> int:
        """Moves the people of the next waves.

        Args:
            waves: how many waves; all that are left if not given.

        HarborUsers:
            How many waves are left.

        Raises:
            TenantryError: it is not time, or somebody can't be moved; those before are.
        """
        self.check_ready_to_move()
        first, last = self.entry.waves_done, self.entry.waves
        for number in range(first, last if waves is None else min(last, first + waves)):
            with self.locked():
                people, needed = self.move_wave(number)
                done = number + 1
                self.update_journal(waves_done=done, phase="moved" if done == last else "moving")
            self.told(
                f"Wave '{self.snapshot.waves[number]}': {count(people, 'person', 'people')}, {needed} now."
            )
        return last - self.entry.waves_done

    # The way back

    def check_not_rolling_back(self) -> None:
        """Refuse to inspect or plan while the migration is rolled back.

        Raises:
            TenantryError: it is, and how it ends.
        """
        if self.is_on and self.entry.rolling_back:
            raise TenantryError(
                f"The {self.entry.label} is being rolled back. It ends when the people "
                "whom it deleted have logged in. For people who will not return, run "
                "roll-back-migration with exclude_users and their user names."
            )

    def excluded_ids(self, exclude: tuple[str, ...]) -> list[str]:
        """Return the ids of all people whom the way back does not wait for, with those of before.

        Raises:
            TenantryError: some names are of users who were not exported.
        """
        people = self.snapshot.people
        known = {fold(person.username) for person in people}
        if unknown := [name for name in exclude if fold(name) not in known]:
            lines = [f"exclude_users: no exported user has the name '{name}'" for name in unknown]
            raise TenantryError("\n".join(lines))
        named = {person.id for person in people if is_named(person, exclude)}
        return sorted(named.union(self.entry.given_up))

    # The end

    def check_soak_time(self, *, now: bool) -> None:
        """Refuses to end what is not switched, is being undone, or has not soaked.

        Raises:
            TenantryError: and why.
        """
        self.check_not_rolling_back()
        until = self.soaked()
        if not now and self.clock() < until:
            raise TenantryError(
                f"The soak time of the {self.entry.label} lasts until {until:%Y-%m-%d %H:%M} UTC, and "
                "the way back with it. Nothing was changed."
            )

    def check_rollback_complete(self) -> None:
        """Refuses to look after people while the way back is under way, or has stopped.

        Raises:
            TenantryError: it is.
        """
        if self.entry.rolling_back and not self.entry.undone:
            raise TenantryError(
                f"The {self.entry.label} is being rolled back, and that did not come to its end: run "
                "roll-back-migration again."
            )

    def soaked(self) -> datetime:
        """When the soak time is over.

        Raises:
            TenantryError: it has not begun.
        """
        if self.entry.switched_at is None:
            raise TenantryError(
                f"The {self.entry.label} is {self.entry.phase}, not switched yet: it can't be finished."
            )
        return self.entry.switched_at + timedelta(hours=self.entry.soak_hours)
