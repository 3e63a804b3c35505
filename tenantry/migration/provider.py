"""An external provider behind the realm is replaced, and the realm stays.

Harbor knows a person by the realm's issuer and the realm's id of the person. Neither changes, so
Harbor needs nothing. People are linked to the new provider before anybody sees it; then it is
shown and the old one is hidden; the old one's links stay as the way back until the end.
"""

from dataclasses import dataclass
from typing import Any

from tenantry.errors import BrokenPromise, ChangedMeanwhile, SystemRefused, TenantryError
from tenantry.migration import declare
from tenantry.migration import people as read
from tenantry.migration.machine import Migration
from tenantry.migration.snapshot import Link, Person
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.providers import MIGRATION

_PROVIDERS = "identity-provider/instances"


@dataclass(frozen=True)
class Standing:
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

    @property
    def lacking(self) -> frozenset[str]:
        """Ids of those whose wave was done, and who are not through."""
        return self.lost

    def __str__(self) -> str:
        text = f"{self.linked} linked, {self.to_come} to come"
        for number, words in (
            (self.mended, "linked again"),
            (len(self.lost), "deleted meanwhile"),
            (self.late, "came by the old provider after the export"),
        ):
            if number:
                text += f", {number} {words}"
        return text


class ProviderMigration(Migration):
    """The steps of it."""

    @property
    def _keycloak(self) -> KeycloakClient:
        return self.systems.keycloak_client

    def refuse_to_move(self) -> None:
        """Refuses to link anybody before that is approved."""
        self.refuse_unless_approved()

    def move_wave(self, number: int) -> tuple[int, str]:
        """Links the people of a wave."""
        if self.entry.phase == "approved":
            self._mark(self.entry.id)
            self.note(phase="moving")
        people = self.snapshot.wave(number)
        made = sum(self.for_each(self._link, people))
        return len(people), f"{made} linked"

    def switch(self) -> None:
        """Shows the new provider, and hides the old one; the declared state says so first.

        Raises:
            TenantryError: not everybody is linked, or people came by the old one since the export.
        """
        if self.entry.phase == "switched":
            return
        if self.entry.phase != "moved":
            text = f"The {self.entry.told} is {self.entry.phase}: its waves come before the switch."
            raise TenantryError(text)
        with self.lock:
            if not self.entry.switching:
                self._refuse_unlinked()
                self.note(switching=True)
            old, new = self.entry.old, self.entry.new
            self.declare(declare.shown(new, instead_of=old), f"Show {new} in place of {old}")
            self._show(new, instead_of=old)
            self.note(phase="switched", switched_at=self.clock())
        self.told(f"'{new}' is shown and '{old}' hidden.")

    def follow_up(self) -> Standing:
        """Links again whoever lost the link that was made, and tells how everybody stands."""
        entry = self.entry
        done = [p for p in self.snapshot.moving if (p.wave or 0) < entry.waves_done]
        with self.lock:
            linked = read.linked(self._keycloak, entry.new)
            lacking = [person for person in done if person.id not in linked]
            mended = [] if entry.rolling_back else self.for_each(self._link, lacking)
        lost = {each.id for each, made in zip(lacking, mended, strict=False) if not made}
        come = set(read.linked(self._keycloak, entry.old)) if not entry.finishing else set()
        late = come - {person.id for person in self.snapshot.people} - set(linked)
        to_come = len(self.snapshot.moving) - len(done)
        return Standing(len(done) - len(lost), to_come, sum(mended), frozenset(lost), len(late))

    def finish(self, let_go: tuple[str, ...] = (), *, now: bool = False) -> None:
        """Takes the old provider away, with everybody's links to it: there is no way back.

        Args:
            let_go: nobody is waited for here; whoever is left behind was let go by the plan.
            now: do not wait for the soak time.

        Raises:
            TenantryError: it is too early, or somebody would lose the way in.
        """
        self.refuse_early(now=now)
        with self.lock:
            old, new = self.entry.old, self.entry.new
            if not self.entry.finishing:
                self._refuse_unlinked()
                self.note(finishing=True)
            self.declare(declare.replaced(old, by=new), f"Take {old} away: {new} has replaced it")
            self.lock.check()
            self._keycloak.delete(f"{_PROVIDERS}/{old}")
            self._mark(None)
            self.note(phase="finished", over_at=self.clock())

    def roll_back(self) -> str:
        """Undoes all of it: the old provider is shown, and the links that were made are taken away.

        Returns:
            How many links were taken away, in words.

        Raises:
            TenantryError: the end was begun.
        """
        if self.entry.finishing:
            text = f"The {self.entry.told} is being finished, and there is no way back: finish it."
            raise TenantryError(text)
        with self.lock:
            old, new = self.entry.old, self.entry.new
            if not self.entry.rolling_back:
                self.note(rolling_back=True)
            if self.entry.switching:
                self.declare(declare.shown(old, instead_of=new), f"Show {old} again, not {new}")
                self._show(old, instead_of=new)
            begun = self.entry.phase not in ("exported", "approved")
            people = self.snapshot.moving if begun else []
            gone = sum(self.for_each(self._unlink, people))
            self._mark(None)
            self.note(phase="rolled back", over_at=self.clock())
        return f"{gone} links taken away"

    # One person

    def _link(self, person: Person) -> bool:
        """Links a person, unless that is done; whether it was needed."""
        assert person.new is not None
        alias, wanted = self.entry.new, person.new
        for _ in range(2):
            links = read.links(self._keycloak, person.id)
            found = next((link for link in links if link.provider == alias), None)
            if found is not None:
                self._refuse_other(person, found)
                return False
            holders = self._keycloak.get("users", idpAlias=alias, idpUserId=wanted.external_id)
            if any(user["id"] != person.id for user in holders or ()):
                raise self._second_account(person)
            if not links and self._keycloak.get(f"users/{person.id}") is None:
                # Deleted by somebody since the export: it has no way in to lose.
                self.told("Somebody who was exported is no user of the realm any more: left out.")
                return False
            body = {
                "identityProvider": alias,
                "userId": wanted.external_id,
                "userName": wanted.external_username,
            }
            try:
                self._keycloak.post(f"users/{person.id}/federated-identity/{alias}", body)
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

    # The providers

    def _provider(self, alias: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._keycloak.get(f"{_PROVIDERS}/{alias}")
        return found

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
                raise BrokenPromise("keycloak", call, "it is shown, or hidden, as before")
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
        let_go = {person.id for person in self.snapshot.people if person.wave is None}
        ours = {person.id for person in self.snapshot.people}
        lacking = (old & ours) - new - let_go
        if lacking:
            raise TenantryError(
                f"Not linked to '{self.entry.new}' any more: {len(lacking)}. They would be locked "
                "out: run 'follow up', which links them again."
            )
        late = old - ours - new
        if late:
            raise TenantryError(
                f"Came by '{self.entry.old}' for the first time after the export: {len(late)}. They "
                "would be locked out. Before the switch, run 'migrate' with anew: true, "
                "which plans them too; after it, link or delete them by hand."
            )
