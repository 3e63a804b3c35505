"""The replacement of an external provider behind the realm. The realm stays.

Harbor identifies a user by the realm's issuer and the user's id in the realm. Neither changes, so
nothing changes in Harbor. All users are linked to the new provider before the login page shows it.
Then it is shown and the old one is hidden. The links to the old one stay for a rollback until the
finish.

Users that cannot be linked are deleted and imported with the same id. Users that shall get another id
are re-created with all rights and links, and return to Harbor by their next login.
"""

from dataclasses import dataclass
from functools import cached_property, partial

from tenantry.errors import TenantryError
from tenantry.migration import declare, harbor_rights
from tenantry.migration import people as read
from tenantry.migration.harbor_rights import HarborStatus
from tenantry.migration.harbor_rollback import HarborRollback
from tenantry.migration.harbor_users import HarborUsers
from tenantry.migration.keycloak_users import check_import_rights, recreate_user
from tenantry.migration.machine import Migration
from tenantry.migration.parameters import FOLLOW_UP, PLAN, REPLAN
from tenantry.migration.provider_links import ProviderLinks
from tenantry.migration.provider_settings import ProviderSettings
from tenantry.migration.recreation import Recreation
from tenantry.migration.snapshot import HarborUser, Person, Wave
from tenantry.migration.status import explain_no_rollback
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.wording import count


@dataclass(frozen=True)
class ProviderStatus:
    """The status of all people."""

    linked: int
    scheduled: int
    """How many are in waves that are not done."""
    relinked: int
    """How many had lost their link, and were linked again."""
    lost: frozenset[str]
    """The ids of people whose users no longer exist in the realm."""
    late: int
    """How many logged in with the old provider after the export, and have no link to the new one."""
    harbor: HarborStatus | None
    """The status in Harbor, if users are re-created with other ids."""

    @property
    def incomplete(self) -> frozenset[str]:
        """The ids of people whose wave is done, and who have not completed the migration."""
        return self.lost | (self.harbor.pending if self.harbor else frozenset())

    @property
    def rollback_summary(self) -> str:
        """How many people have logged in to Harbor again, in words."""
        return self.harbor.rollback_summary if self.harbor else ""

    def __str__(self) -> str:
        if self.harbor and self.harbor.is_rollback:
            return str(self.harbor)
        text = f"{self.linked} linked, {self.scheduled} in later waves"
        for number, words in (
            (self.relinked, "linked again"),
            (len(self.lost), "deleted in the realm since the export"),
            (self.late, "logged in with the old provider after the export"),
        ):
            if number:
                text += f", {number} {words}"
        return f"{text}; in Harbor: {self.harbor}" if self.harbor else text


class ProviderMigration(Migration):
    """A migration that replaces an external provider. `old` and `new` are aliases of providers."""

    @property
    def _keycloak(self) -> KeycloakClient:
        return self.systems.keycloak_client

    @property
    def _links(self) -> ProviderLinks:
        return ProviderLinks(self._keycloak, self.entry.new)

    @property
    def _providers(self) -> ProviderSettings:
        return ProviderSettings(self._keycloak, self.systems.harbor_client, self.lock)

    @property
    def is_plan_final(self) -> bool:
        """Whether the migration cannot be planned again.

        This includes a plan by which users were re-created: only its records have their former state.
        """
        return super().is_plan_final or bool(self.recreation.waves())

    @cached_property
    def recreation(self) -> Recreation:
        """The users that are re-created in the realm."""
        return Recreation(self)

    @property
    def harbor_users(self) -> HarborUsers:
        """The users that are deleted in Harbor, because they get other ids in the realm."""
        return HarborUsers(self, lambda person: person.way == "recreate")

    def harbor_subject(self, person: Person) -> str:
        """Return a moved person's subject followed by the issuer, as Harbor stores them."""
        return self.recreation.ids.get(person.id, person.id) + self.snapshot.issuer

    def keycloak_id(self, person: Person) -> str:
        """Return the current id of a person in the realm."""
        ids = {} if self.entry.undone else self.recreation.ids
        return ids.get(person.id, person.id)

    def check_ready_to_move(self) -> None:
        """Check that the plan is approved."""
        self.check_approved()

    def move_wave(self, number: int) -> tuple[int, str]:
        """Link the people of a wave, or re-create their users."""
        if self.entry.phase == "approved":
            self._mark(self.entry.id)
            self.update_journal(phase="moving")
        people = self.snapshot.wave(number)
        linked = sum(self.map_locked(self._link, [p for p in people if p.way == "link"]))
        text = f"{linked} linked"
        recreated = [person for person in people if person.way != "link"]
        if recreated:
            check_import_rights(self._keycloak)
            harbor_users = partial(self.harbor_users.wave_users, number)
            wave = self.recreation.record(number, recreated, harbor_users)
            users = {user.subiss: user for user in wave.users}
            self.map_locked(lambda person: self._recreate(person, wave, users), wave.people)
            text += f", {len(wave.people)} re-created"
        return len(people), text

    def switch(self) -> None:
        """Show the new provider and hide the old one, first in the declared state.

        Raises:
            TenantryError: some people are not linked, people logged in with the old provider since
                the export, or the migration is being rolled back.
        """
        self.check_approved()
        if self.entry.phase == "switched":
            return
        if self.entry.phase != "moved":
            raise TenantryError(
                f"The {self.entry.label} is {self.entry.phase}: all waves must be done before the "
                "switch."
            )
        with self.locked():
            old, new = self.entry.old, self.entry.new
            # An earlier run may have stopped before it hid the old provider: check again then.
            if not self._providers.is_hidden(old):
                self._check_all_linked()
            if not self.entry.switching:
                self.update_journal(switching=True)
            self.declare(declare.show_provider(new, instead_of=old), f"Show {new} instead of {old}")
            self._providers.show(new, instead_of=old)
            self.update_journal(phase="switched", switched_at=self.clock())
        self.report(f"The login page shows '{new}' and hides '{old}'.")

    def follow_up(self) -> ProviderStatus:
        """Link people again who lost their link, restore rights, and return the status."""
        self.check_rollback_complete()
        self.clean_up()
        entry = self.entry
        done = [p for p in self.snapshot.moving if (p.wave or 0) < entry.waves_done]
        with self.locked():
            users = self.harbor_users
            harbor = harbor_rights.follow_up(users) if users.affected else None
            linked = read.linked_users(self._keycloak, entry.new)
            unlinked = [p for p in done if self.keycloak_id(p) not in linked]
            relinked = [] if entry.rolling_back else self.map_locked(self._link, unlinked)
            lost = {
                person.id
                for person, was_linked in zip(unlinked, relinked, strict=False)
                if not was_linked
            }
            with_old = {} if entry.finishing else read.linked_users(self._keycloak, entry.old)
            late = set(with_old) - self._known_ids - set(linked)
            if entry.rolling_back and not (harbor and harbor.pending):
                self.update_journal(phase="rolled back", over_at=self.clock())
        scheduled = len(self.snapshot.moving) - len(done)
        return ProviderStatus(
            len(done) - len(lost), scheduled, sum(relinked), frozenset(lost), len(late), harbor
        )

    def finish(self, exclude_users: tuple[str, ...] = (), *, now: bool = False) -> None:
        """Delete the old provider with all links to it. A rollback is not possible afterwards.

        Args:
            exclude_users: user names of people for whom the finish does not wait, if users were
                re-created.
            now: whether to finish before the soak time is over.

        Raises:
            TenantryError: it is too early, or a person could not log in afterwards.
        """
        self.check_soak_time(now=now)
        if self.harbor_users.exported and not self.entry.finishing:
            with self.locked():
                users = self.harbor_users
                harbor_rights.check_none_pending(
                    users, harbor_rights.follow_up(users), exclude_users
                )
        with self.locked():
            old, new = self.entry.old, self.entry.new
            if self._providers.read(old) is not None:  # An earlier run may have deleted it.
                self._check_all_linked()
            if not self.entry.finishing:
                self.update_journal(finishing=True)
            message = f"Remove {old}: {new} has replaced it"
            self.declare(declare.remove_provider(old, replacement=new), message)
            self._providers.delete(old)
            self._mark(None)
            self.update_journal(phase="finished", over_at=self.clock())

    def roll_back(self, exclude: tuple[str, ...] = (), approved: int | None = None) -> str:
        """Show the old provider, remove the added links, and restore the former users.

        Re-created users keep groups and roles that were granted since. They return to Harbor by
        their next login.

        Raises:
            TenantryError: the finish has begun, `exclude` names users that were not exported, or
                more users than approved would be deleted in Harbor. Nothing was changed.
        """
        if self.entry.finishing:
            raise TenantryError(explain_no_rollback(self.entry))
        excluded = self.excluded_ids(exclude)
        with self.locked():
            old, new = self.entry.old, self.entry.new
            may_delete = HarborRollback(self.harbor_users).allowance(approved)
            self.update_journal(rolling_back=True, given_up=excluded, may_delete=may_delete)
            if self.entry.switching:
                edit = declare.show_provider(old, instead_of=new)
                self.declare(edit, f"Show {old} again instead of {new}")
                self._providers.show(old, instead_of=new)
            begun = self.entry.phase not in ("exported", "approved")
            people = self.snapshot.moving if begun else []
            recreated = self.recreation.waves()
            mapped = self._providers.mapped_groups(new) if recreated else set()
            kept = self.recreation.restore(mapped) if recreated else 0
            linked = [person for person in people if person.way != "recreate"]
            removed = sum(self.map_locked(self._links.remove, linked))
            self._mark(None)
            result = f"{count(removed, 'link')} removed"
            if kept:
                result += f", {count(kept, 'group or role', 'groups and roles')} granted since kept"
            if not recreated or not self.harbor_users.affected:
                self.update_journal(undone=True, phase="rolled back", over_at=self.clock())
                return result
            self.update_journal(undone=True)
        return f"{result}; {self.follow_up().rollback_summary}"

    def _link(self, person: Person) -> bool:
        """Link a person, and return whether the link was missing and was added."""
        added = self._links.add(person, self.keycloak_id(person))
        if added is None:  # The user was deleted since the export, so there is no login to lose.
            self.report("An exported user no longer exists in the realm, and is skipped.")
        return bool(added)

    def _recreate(self, person: Person, wave: Wave, users: dict[str, HarborUser]) -> None:
        """Re-create a user; if it gets another id, delete its user in Harbor afterwards."""
        id = wave.ids.get(person.id, person.id)
        self._links.check_not_taken(person, id)
        kept = [link for link in person.links if link.provider != self.entry.new]
        recreate_user(self._keycloak, person, id, [*kept, self._links.new_link(person)])
        user = users.get(person.id + self.snapshot.issuer)
        if user is not None:
            self.harbor_users.delete(user)

    def _mark(self, id: str | None) -> None:
        self._providers.mark((self.entry.old, self.entry.new), id)

    @property
    def _known_ids(self) -> set[str]:
        """The former and the current ids of all exported people."""
        return {person.id for person in self.snapshot.people} | {*self.recreation.ids.values()}

    def _check_all_linked(self) -> None:
        """Check that the old provider can be hidden or deleted without locking out a person.

        Raises:
            TenantryError: some people have a link to the old provider only.
        """
        old = set(read.linked_users(self._keycloak, self.entry.old))
        new = set(read.linked_users(self._keycloak, self.entry.new))
        excluded = {person.id for person in self.snapshot.people if person.wave is None}
        known = self._known_ids
        unlinked = (old & known) - new - excluded
        if unlinked:
            raise TenantryError(
                f"People who have lost their link to '{self.entry.new}': {len(unlinked)}. They would "
                f"be locked out. Run {FOLLOW_UP}, which links them again."
            )
        late = old - known - new
        if late:
            raise TenantryError(
                f"People who logged in with '{self.entry.old}' for the first time after the export: "
                f"{len(late)}. They would be locked out. Before the switch, run {PLAN} with "
                f"{REPLAN}: true, which plans them, too. After the switch, or if users were "
                "re-created, link or delete them by hand."
            )
