"""The issuer that Harbor trusts changes: another realm, another host, another provider altogether.

Harbor then knows nobody any more: it knows people by subject and issuer, and refuses a second user
of the same name with 409. So Harbor trusts the new issuer first (whoever is deleted before could
come back under the old one), then its users are deleted, wave by wave, and what each had directly
is given back once the person has logged in. What a group gives is there at that login.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from tenantry.errors import ChangedMeanwhile, SystemRefused, TenantryError
from tenantry.migration import declare
from tenantry.migration import people as read
from tenantry.migration import snapshot as snapshots
from tenantry.migration.machine import Migration
from tenantry.migration.snapshot import HarborUser, Person
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.keycloak.harbors_client import secret_of

SETTINGS = (
    *("oidc_endpoint", "oidc_client_id", "oidc_name", "oidc_scope", "oidc_groups_claim"),
    *("oidc_user_claim", "oidc_auto_onboard", "oidc_admin_group", "oidc_group_filter"),
    *("oidc_logout", "oidc_verify_cert", "oidc_extra_redirect_parms"),
)
"""Harbor's settings that say how people log in; not the secret, which it never shows."""
_BATCH = 50


@dataclass(frozen=True)
class Returned:
    """How everybody stands."""

    returned: int
    pending: frozenset[str]
    """Ids of those who were deleted, and have not logged in since."""
    to_come: int
    """Whose wave is still to come."""
    restored: int = 0
    """Whose rights were given back by this look."""

    @property
    def lacking(self) -> frozenset[str]:
        """Ids of those whose wave was done, and who are not through."""
        return self.pending

    def __str__(self) -> str:
        text = f"{self.returned} returned, {len(self.pending)} pending, {self.to_come} to come"
        return f"{text}, {self.restored} of them restored now" if self.restored else text


class IssuerMigration(Migration):
    """The steps of it. The aliases of the journal, `old` and `new`, are issuers here."""

    @property
    def _harbor(self) -> HarborClient:
        return self.systems.harbor_client

    def switch(self) -> None:
        """Lets Harbor trust the new issuer. Whoever is logged in stays so till the session ends."""
        if self.entry.switched_at is not None:
            return
        self.refuse_unless_approved()
        with self.lock:
            if not self.entry.switching:
                self._refuse_late()
                self.note(switching=True)
            self.lock.check()
            secret = partial(secret_of, self.systems.keycloak_client)
            self.systems.harbor_configuration.switch(self.entry.new, secret)
            self.note(phase="switched", switched_at=self.clock())
        self.told("Harbor trusts the new issuer.")

    def refuse_to_move(self) -> None:
        """Refuses to delete anybody before that is approved, and Harbor trusts the new issuer."""
        self.refuse_unless_approved()
        if self.entry.switched_at is None:
            text = (
                f"The {self.entry.told} is {self.entry.phase}: nobody is deleted before the switch."
            )
            raise TenantryError(text)

    def move_wave(self, number: int) -> tuple[int, str]:
        """Deletes the users of a wave, so that they can come back."""
        users = self._record(number)
        if self.entry.phase == "switched":
            self.note(phase="moving")
        gone = sum(self.for_each(self._delete, users))
        return len(users), f"{gone} deleted"

    def follow_up(self) -> Returned:
        """Gives back what people had directly, to those who have logged in since."""
        with self.lock:
            if self.entry.rolling_back and self.entry.switching:
                self._delete_returned()
            returned = self._returned
            users = self._deleted()
            waiting = {id: user for id, user in users.items() if id not in returned}
            come = self._come(waiting)
            restored = 0
            ids = list(come)
            for first in range(0, len(ids), _BATCH):
                part = ids[first : first + _BATCH]
                self.for_each(lambda id: self._restore(waiting[id], come[id]), part)
                restored += len(part)
                returned = returned | {id: come[id] for id in part}
                self._note_returned(returned)
            pending = frozenset(set(users) - set(returned))
            if self.entry.rolling_back and not pending:
                self.note(phase="rolled back", over_at=self.clock())
                return Returned(len(returned), pending, 0, restored)
        to_come = 0
        if not self.entry.rolling_back:
            to_come = sum((p.wave or 0) >= self.entry.waves_done for p in self.snapshot.moving)
        return Returned(len(returned), pending, to_come, restored)

    def finish(self, let_go: tuple[str, ...] = (), *, now: bool = False) -> None:
        """Ends it, once the soak time is over and everybody has come back.

        Args:
            let_go: user names of those who are waited for no longer.
            now: do not wait for the soak time.

        Raises:
            TenantryError: it is too early, or somebody is pending.
        """
        self.refuse_early(now=now)
        standing = self.follow_up()
        gone = {person.id for person in self.snapshot.people if person.username in let_go}
        pending = standing.pending - gone
        if pending or standing.to_come:
            raise TenantryError(
                f"Not come back yet: {len(pending)}; still to come: {standing.to_come}. "
                "What they had is given back once they log in. Wait, or let them go by "
                "name (let_go)."
            )
        with self.lock:
            self.note(phase="finished", over_at=self.clock())

    def roll_back(self) -> str:
        """Lets Harbor trust the old issuer again. Who was deleted comes back by logging in there.

        Returns:
            How everybody stands, in words: it is over once all have come back, which `follow_up`
            sees.

        Raises:
            TenantryError: the old realm is out of reach.
        """
        with self.lock:
            if not self.entry.rolling_back:
                self.note(rolling_back=True)
            if self.entry.switching:
                old = old_realm(self.systems.keycloak_client, self.entry.old)
                if old is None:
                    raise TenantryError(no_way_back(self.entry.old))
                realm = old.realm
                try:
                    self.declare(declare.realm(realm), f"Let people log in by {realm} again")
                    self.lock.check()
                    self.systems.harbor_configuration.trust(
                        self.snapshot.settings, partial(secret_of, old)
                    )
                finally:
                    old.close()
        return str(self.follow_up())

    def _refuse_late(self) -> None:
        """Refuses to lock out whoever came by the old issuer after the export."""
        newcomers = self._newcomers().values()
        late = sum(subject.endswith(self.entry.old) for subject in newcomers)
        if late:
            raise TenantryError(
                f"Came by '{self.entry.old}' for the first time after the export: {late}. They would "
                "be locked out. Run 'migrate' with anew: true, which plans them too."
            )

    # One person

    def _record(self, number: int) -> list[HarborUser]:
        """What a wave's people have, as it was right before the first of them was deleted."""
        id = self.entry.id
        found = snapshots.load_wave(self.store, id, number)
        if found is None:
            wave = {p.harbor.id for p in self.snapshot.wave(number) if p.harbor}
            found = read.read_harbor(self._harbor, only=wave)
            snapshots.save_wave(self.store, id, number, found)
        return found

    def _delete(self, user: HarborUser) -> bool:
        """Deletes a user who was exported, unless that is done; whether it was needed."""
        found = self._harbor.find(f"/users/{user.id}")
        if found is None:  # Harbor gives no id twice
            return False
        subiss = (found.get("oidc_user_meta") or {}).get("subiss")
        if not user.subiss or subiss != user.subiss or user.id == 1:
            call = f"DELETE /api/v2.0/users/{user.id}"
            text = "it is not the user who was exported, and is not deleted"
            raise SystemRefused("harbor", call, text, advice="Look who that is, and run it again.")
        self._harbor.delete(f"/users/{user.id}")
        return True

    def _delete_returned(self) -> None:
        """Deletes who came under the new issuer: the same name could not come back by the old."""
        subjects = {subject_after(p, self.entry.new) for p in self.snapshot.moving}
        wrong = [
            HarborUser(id=id, username="", subiss=subject)
            for id, subject in self._newcomers(self.entry.returned_back.values()).items()
            if subject in subjects
        ]
        self.for_each(self._delete, wrong)

    def _restore(self, user: HarborUser, id: int) -> None:
        """Gives a person what the former user had directly. What somebody gave since stays."""
        for project, role in user.members.items():
            try:
                if id in dict(read.memberships(self._harbor, project)):
                    continue
                body = {"role_id": role, "member_user": {"user_id": id}}
                self._harbor.post(f"/projects/{project}/members", body, by_name=True)
            except SystemRefused as error:
                if error.status == 409:  # a moment ago, or by a call whose answer was lost
                    continue
                if error.status == 404:
                    self.told("A project of somebody who came back is gone: nothing to give back.")
                    continue
                raise
        if user.admin and not self._harbor.get(f"/users/{id}").get("sysadmin_flag"):
            self._harbor.put(f"/users/{id}/sysadmin", {"sysadmin_flag": True})

    # Who is where

    @property
    def _returned(self) -> dict[str, int]:
        entry = self.entry
        return dict(entry.returned_back if entry.rolling_back else entry.returned)

    def _note_returned(self, returned: dict[str, int]) -> None:
        key = "returned_back" if self.entry.rolling_back else "returned"
        self.note(**{key: returned})

    def _deleted(self) -> dict[str, HarborUser]:
        """What those had who were deleted, by the person's id."""
        by_id = {p.harbor.id: p.id for p in self.snapshot.moving if p.harbor}
        entry = self.entry
        begun = entry.waves_done + (1 if entry.phase == "moving" else 0)
        found = {
            by_id[user.id]: user
            for number in range(min(begun, entry.waves))
            for user in snapshots.load_wave(self.store, entry.id, number) or ()
        }
        if begun > entry.waves_done:  # of a wave that is under way, some may still be there
            there = {row["user_id"] for row in self._harbor.pages("/users")}
            found = {id: user for id, user in found.items() if user.id not in there}
        return found

    def _come(self, waiting: dict[str, HarborUser]) -> dict[str, int]:
        """Who of those has a user again, under the issuer that Harbor trusts now."""
        if not waiting:
            return {}
        subjects = self._subjects()
        wanted = {subjects[id]: id for id in waiting}
        known = (*self.entry.returned.values(), *self.entry.returned_back.values())
        newcomers = self._newcomers(known).items()
        return {wanted[subject]: id for id, subject in newcomers if subject in wanted}

    def _newcomers(self, known: Iterable[int] = ()) -> dict[int, str]:
        """What Harbor knows those by, by their ids, who were not exported and are not `known`."""
        old = {p.harbor.id for p in self.snapshot.people if p.harbor}.union(known)
        ids = [row["user_id"] for row in self._harbor.pages("/users")]
        fresh = [id for id in ids if id not in old]
        return dict(zip(fresh, self.for_each(self._subject, fresh), strict=True))

    def _subject(self, id: int) -> str:
        # The answer holds the CLI secret: only this one field of it is looked at.
        found = self._harbor.find(f"/users/{id}") or {}
        return str((found.get("oidc_user_meta") or {}).get("subiss") or "")

    def _subjects(self) -> dict[str, str]:
        """What Harbor will know everybody by, by the person's id."""
        back = self.entry.rolling_back
        return {
            person.id: person.harbor.subiss if back else subject_after(person, self.entry.new)
            for person in self.snapshot.moving
            if person.harbor
        }


def subject_after(person: Person, issuer: str) -> str:
    """What Harbor knows a person by under the new issuer: both in one, with nothing between."""
    return person.new.external_id + issuer if person.new else ""


def old_realm(client: KeycloakClient, issuer: str) -> KeycloakClient | None:
    """The realm of the old issuer, where it is one of the same Keycloak; None if not."""
    realm = issuer.rpartition("/realms/")[2]
    found = KeycloakClient(client.account, realm)
    try:
        if found.realm_exists() and found.issuer == issuer:
            return found
    except ChangedMeanwhile:
        raise
    except SystemRefused:
        pass
    found.close()
    return None


def no_way_back(issuer: str) -> str:
    """Why it can't be undone from here."""
    return (
        f"'{issuer}' is no realm of the Keycloak that the connection leads to, so its client's "
        "secret, which Harbor never shows, can't be read: there is no way back by this flow."
    )
