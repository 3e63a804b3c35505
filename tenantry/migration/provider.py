"""An external provider behind the realm is replaced, and the realm stays.

Harbor knows a person by the realm's issuer and the realm's id of the person. Neither changes, so
Harbor needs nothing. People are linked to the new provider before anybody sees it; then it is
shown and the old one is hidden; the old one's links stay as the way back until the end.

Whoever can't be linked is deleted and imported with the same id. Whoever is to have another id is
made anew with all rights and links, and comes back in Harbor by the next login.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from tenantry.errors import ChangedMeanwhile, NotEffective, SystemRefused, TenantryError
from tenantry.migration import declare
from tenantry.migration import people as read
from tenantry.migration.harbor_users import HarborStatus, HarborUsers
from tenantry.migration.keycloak_users import check_rights, replace
from tenantry.migration.machine import Migration
from tenantry.migration.recreation import Recreation
from tenantry.migration.snapshot import HarborUser, Link, Person, Wave
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.providers import MIGRATION
from tenantry.wording import count

_PROVIDERS = "identity-provider/instances"


@dataclass(frozen=True)
class ProviderStatus:
    """How everybody stands."""

    linked: int
    to_come: int
    """Whose wave is still to come."""
    mended: int
    """Who had lost the link, and was linked again."""
    lost: frozenset[str]
    """Ids of those who were exported, and are no users of the realm any more."""
    late: int
    """Who came by the old provider after the export, and is not linked to the new one."""
    back: HarborStatus | None
    """How those stand who were made anew, if anybody is."""

    @property
    def incomplete(self) -> frozenset[str]:
        """Ids of those whose wave was done, and who are not through."""
        return self.lost | (self.back.pending if self.back else frozenset())

    @property
    def rollback_summary(self) -> str:
        """How many people are back in Harbor, in words."""
        return self.back.rollback_summary if self.back else ""

    def __str__(self) -> str:
        if self.back and self.back.is_back:
            return str(self.back)
        text = f"{self.linked} linked, {self.to_come} to come"
        for number, words in (
            (self.mended, "linked again"),
            (len(self.lost), "deleted meanwhile"),
            (self.late, "came by the old provider after the export"),
        ):
            if number:
                text += f", {number} {words}"
        return f"{text}; in Harbor {self.back}" if self.back else text


class ProviderMigration(Migration):
    """The steps of it."""

    @property
    def _keycloak(self) -> KeycloakClient:
        return self.systems.keycloak_client

    def check_ready_to_move(self) -> None:
        """Refuses to link anybody before that is approved."""
        self.check_approved()

    @property
    def is_plan_final(self) -> bool:
        """Also once people were made anew: what they had is in this plan's records only."""
        return super().is_plan_final or bool(self.recreation.waves())

    @cached_property
    def recreation(self) -> Recreation:
        """The users of the realm who are made once more."""
        return Recreation(self)

    @property
    def harbor_users(self) -> HarborUsers:
        """Whoever is made anew has to come back."""
        return HarborUsers(self, lambda person: person.way == "recreate")

    def subject(self, person: Person) -> str:
        """What Harbor knows a person by who is moved."""
        return self.recreation.ids.get(person.id, person.id) + self.snapshot.issuer

    def keycloak_id(self, person: Person) -> str:
        """The id of a person in the realm now."""
        moved = {} if self.entry.undone else self.recreation.ids
        return moved.get(person.id, person.id)

    def move_wave(self, number: int) -> tuple[int, str]:
        """Links the people of a wave, or makes them anew."""
        if self.entry.phase == "approved":
            self._mark(self.entry.id)
            self.update_journal(phase="moving")
        people = self.snapshot.wave(number)
        linked = sum(self.map_locked(self._link, [p for p in people if p.way == "link"]))
        text = f"{linked} linked"
        recreation = [person for person in people if person.way != "link"]
        if recreation:
            check_rights(self._keycloak)
            wave = self.recreation.record(
                number, recreation, partial(self.harbor_users.users_of, number)
            )
            users = {user.subiss: user for user in wave.users}
            self.map_locked(lambda person: self._remake(person, wave, users), wave.people)
            text += f", {len(wave.people)} made anew"
        return len(people), text

    def switch(self) -> None:
        """Shows the new provider, and hides the old one; the declared state says so first.

        Raises:
            TenantryError: not everybody is linked, people came by the old one since the export, or
                it is being undone.
        """
        self.check_approved()
        if self.entry.phase == "switched":
            return
        if self.entry.phase != "moved":
            text = (
                f"The {self.entry.label} is {self.entry.phase}: its waves come before the switch."
            )
            raise TenantryError(text)
        with self.locked():
            old, new = self.entry.old, self.entry.new
            # Also where an earlier try ended before the old one was hidden.
            if not (self._provider(old) or {}).get("hideOnLogin"):
                self._refuse_unlinked()
            if not self.entry.switching:
                self.update_journal(switching=True)
            self.declare(declare.shown(new, instead_of=old), f"Show {new} in place of {old}")
            self._show(new, instead_of=old)
            self.update_journal(phase="switched", switched_at=self.clock())
        self.told(f"'{new}' is shown and '{old}' hidden.")

    def follow_up(self) -> ProviderStatus:
        """Links again whoever lost the link, gives back what is due, and tells how everybody stands."""
        self.check_rollback_complete()
        self.clean_up()
        entry = self.entry
        done = [p for p in self.snapshot.moving if (p.wave or 0) < entry.waves_done]
        with self.locked():
            back = self.harbor_users.follow_up() if self.harbor_users.concerned else None
            linked = read.linked(self._keycloak, entry.new)
            incomplete = [p for p in done if self.keycloak_id(p) not in linked]
            mended = [] if entry.rolling_back else self.map_locked(self._link, incomplete)
            lost = {each.id for each, made in zip(incomplete, mended, strict=False) if not made}
            come = set(read.linked(self._keycloak, entry.old)) if not entry.finishing else set()
            late = come - self._ours - set(linked)
            if entry.rolling_back and not (back and back.pending):
                self.update_journal(phase="rolled back", over_at=self.clock())
        to_come = len(self.snapshot.moving) - len(done)
        standing = (len(done) - len(lost), to_come, sum(mended), frozenset(lost), len(late), back)
        return ProviderStatus(*standing)

    def finish(self, exclude_users: tuple[str, ...] = (), *, now: bool = False) -> None:
        """Takes the old provider away, with everybody's links to it: there is no way back.

        Args:
            exclude_users: user names of those who are waited for no longer, where people were made anew.
            now: do not wait for the soak time.

        Raises:
            TenantryError: it is too early, or somebody would lose the way in.
        """
        self.check_soak_time(now=now)
        if self.harbor_users.people and not self.entry.finishing:
            with self.locked():
                self.harbor_users.check_none_pending(self.harbor_users.follow_up(), exclude_users)
        with self.locked():
            old, new = self.entry.old, self.entry.new
            if self._provider(old) is not None:  # also where an earlier try ended before that
                self._refuse_unlinked()
            if not self.entry.finishing:
                self.update_journal(finishing=True)
            self.declare(declare.replaced(old, by=new), f"Take {old} away: {new} has replaced it")
            self.lock.check()
            self._keycloak.delete(f"{_PROVIDERS}/{old}")
            self._mark(None)
            self.update_journal(phase="finished", over_at=self.clock())

    def roll_back(self, exclude: tuple[str, ...] = (), approved: int | None = None) -> str:
        """Show the old provider, take away the links that were made, and make all users as they were.

        Who was made once more keeps the groups and roles that were given since, and returns in
        Harbor by logging in.

        Raises:
            TenantryError: the end was begun, `exclude` names users who were not exported, or more
                users than approved would be deleted in Harbor; nothing was changed.
        """
        if self.entry.finishing:
            text = f"The {self.entry.label} is being finished, and there is no way back: finish it."
            raise TenantryError(text)
        given_up = self.excluded_ids(exclude)
        with self.locked():
            old, new = self.entry.old, self.entry.new
            may_delete = self.harbor_users.allowance(approved)
            self.update_journal(rolling_back=True, given_up=given_up, may_delete=may_delete)
            if self.entry.switching:
                self.declare(declare.shown(old, instead_of=new), f"Show {old} again, not {new}")
                self._show(old, instead_of=new)
            begun = self.entry.phase not in ("exported", "approved")
            people = self.snapshot.moving if begun else []
            recreation = self.recreation.waves()
            kept = self.recreation.make_as_they_were(self._mapped(new)) if recreation else 0
            gone = sum(self.map_locked(self._unlink, [p for p in people if p.way != "recreate"]))
            self._mark(None)
            undone = f"{count(gone, 'link')} taken away"
            if kept:
                undone += f", {count(kept, 'group or role', 'groups and roles')} given since kept"
            if not recreation or not self.harbor_users.concerned:
                self.update_journal(undone=True, phase="rolled back", over_at=self.clock())
                return undone
            self.update_journal(undone=True)
        return f"{undone}; {self.follow_up().rollback_summary}"

    # One person

    def _link(self, person: Person) -> bool:
        """Links a person, unless that is done; whether it was needed."""
        assert person.new is not None
        alias, wanted, id = self.entry.new, person.new, self.keycloak_id(person)
        for _ in range(2):
            links = read.links(self._keycloak, id)
            found = next((link for link in links if link.provider == alias), None)
            if found is not None:
                self._refuse_other(person, found)
                return False
            self._refuse_held(person, id)
            if not links and self._keycloak.get(f"users/{id}") is None:
                # Deleted by somebody since the export: it has no way in to lose.
                self.told("Somebody who was exported is no user of the realm any more: left out.")
                return False
            body = {
                "identityProvider": alias,
                "userId": wanted.external_id,
                "userName": wanted.external_username,
            }
            try:
                self._keycloak.post(f"users/{id}/federated-identity/{alias}", body, status=204)
            except ChangedMeanwhile:  # linked a moment ago: by whom, the next look tells
                continue
            return True
        raise self._second_account(person)

    def _unlink(self, person: Person) -> bool:
        """Takes the link away that was made; one that was there before stays."""
        assert person.new is not None
        alias = self.entry.new
        if person.link(alias) is not None:
            return False
        links = read.links(self._keycloak, person.id)
        if not any(
            link.provider == alias and link.user_id == person.new.external_id for link in links
        ):
            return False
        self._keycloak.delete(f"users/{person.id}/federated-identity/{alias}")
        return True

    def _remake(self, person: Person, wave: Wave, users: dict[str, HarborUser]) -> None:
        """Deletes a person and imports it; with another id, Harbor's user is deleted after it."""
        assert person.new is not None
        id = wave.ids.get(person.id, person.id)
        self._refuse_held(person, id)
        new = person.new
        kept = [link for link in person.links if link.provider != self.entry.new]
        made = Link(
            provider=self.entry.new, user_id=new.external_id, user_name=new.external_username
        )
        replace(self._keycloak, person, id, [*kept, made])
        user = users.get(person.id + self.snapshot.issuer)
        if user is not None:
            self.harbor_users.delete(user)

    def _refuse_held(self, person: Person, id: str) -> None:
        """Refuses where another user of the realm has the person's new identity already."""
        assert person.new is not None
        query = {"idpAlias": self.entry.new, "idpUserId": person.new.external_id}
        holders = self._keycloak.rows("users", **query)
        if any(user["id"] not in (person.id, id) for user in holders or ()):
            raise self._second_account(person)

    def _refuse_other(self, person: Person, found: Link) -> None:
        assert person.new is not None
        if found.user_id != person.new.external_id:
            raise self._second_account(person)

    def _second_account(self, person: Person) -> SystemRefused:
        return SystemRefused(
            "keycloak",
            f"link user {person.id} to '{self.entry.new}'",
            "the identity at the new provider is another user's, or the user is linked to another",
            advice="Somebody logged in there before being linked. Delete the second account, or "
            "the wrong link, and run it again: it goes on where it stopped.",
        )

    @property
    def _ours(self) -> set[str]:
        """The ids that those who were exported have, or had."""
        return {person.id for person in self.snapshot.people} | {*self.recreation.ids.values()}

    # The providers

    def _provider(self, alias: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._keycloak.get(f"{_PROVIDERS}/{alias}")
        return found

    def _mapped(self, alias: str) -> set[str]:
        """Return the groups that a login by a provider adds people to, or removes them from."""
        mappers = self._keycloak.rows(f"{_PROVIDERS}/{alias}/mappers") or ()
        groups = {(mapper.get("config") or {}).get("group") for mapper in mappers}
        return {str(group) for group in groups if group}

    def _put(self, alias: str, provider: dict[str, Any]) -> None:
        """Changes a provider. Its secret comes masked and is sent masked, which keeps it."""
        self.lock.check()
        self._keycloak.put(f"{_PROVIDERS}/{alias}", provider)

    def _show(self, shown: str, instead_of: str) -> None:
        """Shows one before it hides the other, and sends Harbor's logins there too."""
        for alias, hidden in ((shown, False), (instead_of, True)):
            provider = self._provider(alias)
            if provider is None:
                call = f"GET {_PROVIDERS}/{alias}"
                text = f"there is no identity provider '{alias}' any more"
                raise SystemRefused("keycloak", call, text, advice="Run configure-platform.")
            if bool(provider.get("hideOnLogin")) != hidden:
                self._put(alias, {**provider, "hideOnLogin": hidden})
            if bool((self._provider(alias) or {}).get("hideOnLogin")) != hidden:
                call = f"PUT {_PROVIDERS}/{alias}"
                raise NotEffective("keycloak", call, "it is shown, or hidden, as before")
        declare.hint_harbor(self.systems.harbor_client, shown, instead_of, self.lock)

    def _mark(self, id: str | None) -> None:
        """Marks both providers as under way, so that nothing else mends what is done to them."""
        for alias in (self.entry.old, self.entry.new):
            provider = self._provider(alias)
            config = dict((provider or {}).get("config") or {})
            if provider is None or config.get(MIGRATION) == id:
                continue
            config.pop(MIGRATION, None)
            if id is not None:
                config[MIGRATION] = id
            self._put(alias, {**provider, "config": config})

    # What must hold

    def _refuse_unlinked(self) -> None:
        """Refuses to close the old way in for anybody who has no new one."""
        old = set(read.linked(self._keycloak, self.entry.old))
        new = set(read.linked(self._keycloak, self.entry.new))
        exclude_users = {person.id for person in self.snapshot.people if person.wave is None}
        ours = self._ours
        incomplete = (old & ours) - new - exclude_users
        if incomplete:
            raise TenantryError(
                f"Not linked to '{self.entry.new}' any more: {len(incomplete)}. They would be locked "
                "out: run follow-up-migration, which links them again."
            )
        late = old - ours - new
        if late:
            raise TenantryError(
                f"Came by '{self.entry.old}' for the first time after the export: {len(late)}. They "
                "would be locked out. Before the switch, run plan-migration with replan: true, "
                "which plans them too; after it, or once people were made anew, link or delete them "
                "by hand."
            )
