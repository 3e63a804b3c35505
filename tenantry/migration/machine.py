"""The steps that all migrations share: export, approval, waves and soak time, one migration at a time."""

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
from tenantry.migration.parameters import EXCLUDE_USERS, ROLL_BACK
from tenantry.migration.snapshot import Person, Situation, Snapshot
from tenantry.migration.state import MigrationState
from tenantry.wording import count


class Status(Protocol):
    """The status of all people of a migration. As a text, it is the counts."""

    @property
    def incomplete(self) -> frozenset[str]:
        """The ids of people whose wave is done, and who have not completed the migration."""

    @property
    def rollback_summary(self) -> str:
        """How many people have logged in to Harbor again, in words; empty if none were deleted."""


class Migration(MigrationState, ABC):
    """A migration. All of its state is in the store and in the systems.

    After a process died in a method, another process calls the method again, and it continues.
    """

    @property
    def is_plan_final(self) -> bool:
        """Whether the migration cannot be planned again."""
        return self.entry.switching or self.entry.rolling_back

    # What each kind of migration implements

    @abstractmethod
    def harbor_subject(self, person: Person) -> str:
        """Return a moved person's subject followed by the issuer, as Harbor stores them."""

    @abstractmethod
    def keycloak_id(self, person: Person) -> str | None:
        """Return the current id of a person in the realm; None if the realm itself has changed."""

    @abstractmethod
    def check_ready_to_move(self) -> None:
        """Check that waves may be moved now.

        Raises:
            TenantryError: the plan is not approved, or a step is missing.
        """

    @abstractmethod
    def move_wave(self, number: int) -> tuple[int, str]:
        """Move the people of a wave, and record it.

        Returns:
            The number of people, and what was done for them in this run, in words.

        Raises:
            TenantryError: a user or a link is not as planned.
        """

    @abstractmethod
    def switch(self) -> None:
        """Switch logins to the new provider or issuer."""

    @abstractmethod
    def follow_up(self) -> Status:
        """Restore the links and rights that people lack, and return the status of all people."""

    @abstractmethod
    def finish(self, exclude_users: tuple[str, ...] = (), *, now: bool = False) -> None:
        """Finish the migration after the soak time. A rollback is not possible afterwards.

        Args:
            exclude_users: user names of people for whom the finish does not wait.
            now: whether to finish before the soak time is over.
        """

    @abstractmethod
    def roll_back(self, exclude: tuple[str, ...] = (), approved: int | None = None) -> str:
        """Undo the migration, and return what was undone, in words.

        Args:
            exclude: user names of people for whom the rollback does not wait.
            approved: how many users it may delete in Harbor; any number if not given.
        """

    # Export and approval

    def check_no_other(self, old: str, new: str) -> None:
        """Check that no other migration is in progress.

        Raises:
            TenantryError: one is.
        """
        realm = self.systems.keycloak_client.realm
        if self.is_on and (self.entry.old, self.entry.new, self.entry.realm) != (old, new, realm):
            raise TenantryError(
                f"The {self.entry.label} is in progress in {self.store.name} ({self.entry.stage}). "
                "Finish it or roll it back first: two migrations at once would move the same people "
                "twice."
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
        """Write the snapshot, read it back, and begin the journal.

        Args:
            inspection: the people to be moved.
            old: the alias of the old provider, or the old issuer.
            new: the alias of the new provider, or the new issuer.
            options: the options of the plan.
            situation: what changes.
            run: the run that makes the plan.

        Returns:
            The hash of the plan, for the approval.

        Raises:
            TenantryError: a notice is blocking, or the migration cannot be planned again.
        """
        inspection.require_no_blocking()
        self.check_no_other(old, new)
        if self.is_on and self.is_plan_final:
            raise TenantryError(
                f"The {self.entry.label} is {self.entry.stage}, so it cannot be planned again."
            )
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
            previous = self.journal
            current = previous.id if previous else None
            exports.clean_up(self.store, current, now)
            exports.begin(self.store, snapshot, previous)
            try:
                plan = snapshots.save(self.store, snapshot)
            except Exception:
                with suppress(TenantryError):  # The next run cleans up otherwise.
                    exports.clean_up(self.store, current, now)
                raise
            entry = Journal(
                number=previous.number if previous else 0,
                id=snapshot.id,
                situation=situation,
                realm=snapshot.realm,
                old=old,
                new=new,
                plan=plan,
                phase="exported",
                run=run,
                began=previous.began if previous and previous.is_on else now,
                waves=len(snapshot.waves),
                soak_hours=options.soak_hours,
                keep_days=options.keep_days,
            )
            self.journal = journals.write(self.store, entry)
            self._snapshot = snapshot
            exports.clean_up(self.store, snapshot.id, now)
        return plan

    def approve(self, plan: str, by: str) -> None:
        """Record the approval of a plan in the journal.

        Raises:
            TenantryError: it is not the current plan.
        """
        if plan != self.entry.plan:
            raise TenantryError(
                f"Plan {plan[:12] or '(none)'} was approved, but the current plan is "
                f"{self.entry.plan[:12]}. Read the current plan, and approve it."
            )
        if self.entry.phase == "exported":
            with self.locked():
                self.update_journal(phase="approved", approved_by=by)

    def check_approved(self) -> None:
        """Check that the plan is approved, and that no rollback has begun.

        Raises:
            TenantryError: the plan is not approved, or the migration is being rolled back.
        """
        self.check_not_rolling_back()
        if self.entry.phase == "exported":
            raise TenantryError(
                f"The {self.entry.label} is not approved yet: plan {self.entry.plan[:12]}."
            )

    # The waves

    @property
    def waves_left(self) -> int:
        """The number of waves that are not done."""
        return self.entry.waves - self.entry.waves_done

    def move(self, waves: int | None = None) -> int:
        """Move the people of the next waves, and return the number of waves that are left.

        Args:
            waves: the number of waves to move; all that are left if not given.

        Raises:
            TenantryError: the plan is not ready, or a person cannot be moved. Earlier waves are done.
        """
        self.check_ready_to_move()
        first, last = self.entry.waves_done, self.entry.waves
        for number in range(first, last if waves is None else min(last, first + waves)):
            with self.locked():
                people, result = self.move_wave(number)
                done = number + 1
                self.update_journal(waves_done=done, phase="moved" if done == last else "moving")
            name = self.snapshot.waves[number]
            self.report(
                f"Wave '{name}' done: {count(people, 'person', 'people')}; in this run: {result}."
            )
        return self.waves_left

    # The rollback

    def check_not_rolling_back(self) -> None:
        """Check that no rollback has begun.

        Raises:
            TenantryError: one has. The message says how it ends.
        """
        if self.is_on and self.entry.rolling_back:
            raise TenantryError(
                f"The {self.entry.label} is being rolled back. The rollback is complete when all "
                "people whose users it deleted have logged in. For people who will not return, run "
                f"{ROLL_BACK} with their user names in {EXCLUDE_USERS}."
            )

    def check_rollback_complete(self) -> None:
        """Check that no rollback was interrupted before it had undone all changes.

        Raises:
            TenantryError: one was.
        """
        if self.entry.rolling_back and not self.entry.undone:
            raise TenantryError(
                f"The rollback of the {self.entry.label} was interrupted. Run {ROLL_BACK} again."
            )

    def excluded_ids(self, exclude: tuple[str, ...]) -> list[str]:
        """Return the ids of all people for whom the rollback does not wait, including earlier ones.

        Raises:
            TenantryError: some user names are not in the snapshot.
        """
        people = self.snapshot.people
        known = {fold(person.username) for person in people}
        if unknown := [name for name in exclude if fold(name) not in known]:
            lines = [f"{EXCLUDE_USERS}: no exported user has the name '{name}'" for name in unknown]
            raise TenantryError("\n".join(lines))
        named = {person.id for person in people if is_named(person, exclude)}
        return sorted(named.union(self.entry.given_up))

    # The finish

    def check_soak_time(self, *, now: bool) -> None:
        """Check that the migration was switched, and that its soak time is over.

        Args:
            now: whether to ignore the soak time.

        Raises:
            TenantryError: it was not switched, its soak time is not over, or it is being rolled back.
        """
        self.check_not_rolling_back()
        until = self.soak_end()
        if not now and self.clock() < until:
            raise TenantryError(
                f"The soak time of the {self.entry.label} lasts until {until:%Y-%m-%d %H:%M} UTC. A "
                "rollback is possible until the finish. Nothing was changed."
            )

    def soak_end(self) -> datetime:
        """Return when the soak time is over.

        Raises:
            TenantryError: the migration was not switched yet.
        """
        if self.entry.switched_at is None:
            raise TenantryError(
                f"The {self.entry.label} is {self.entry.phase} and not switched yet, so it cannot be "
                "finished."
            )
        return self.entry.switched_at + timedelta(hours=self.entry.soak_hours)
