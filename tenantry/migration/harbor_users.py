"""Users of Harbor who are deleted, and get back what they had directly once they have logged in again.

Harbor knows people by subject and issuer, makes no user ahead, and refuses a second one of the same
name with 409: whoever's subject or issuer changes has to be deleted there first. What a group gives
is there at the next login; the rest is given back here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration import people as read
from tenantry.migration import snapshot as snapshots
from tenantry.migration.journal import Journal
from tenantry.migration.machine import Migration
from tenantry.migration.options import is_named
from tenantry.migration.snapshot import HarborUser, Person
from tenantry.systems.harbor.client import HarborClient
from tenantry.wording import count

_BATCH = 50


@dataclass(frozen=True)
class HarborStatus:
    """How those stand who had, or will have, to come back."""

    returned: int = 0
    pending: frozenset[str] = frozenset()
    """Ids of those who were deleted, and have not logged in since."""
    to_come: int = 0
    """Whose wave is still to come."""
    restored: int = 0
    """Whose rights were given back by this look."""
    kept: int = 0
    """Rights that people were given during the migration, and keep on the way back."""
    is_back: bool = False
    """Whether this is the way back."""

    @property
    def incomplete(self) -> frozenset[str]:
        """Ids of those whose wave was done, and who are not through."""
        return self.pending

    @property
    def rollback_summary(self) -> str:
        """How many people are back in Harbor, in words; empty if none were deleted."""
        if not self.returned and not self.pending:
            return ""
        text = f"{count(self.returned, 'person is', 'people are')} back in Harbor"
        if self.kept:
            text += f", {count(self.kept, 'right')} given during the migration kept"
        return text

    def __str__(self) -> str:
        if self.is_back:
            return self.rollback_summary or "nobody was deleted in Harbor"
        text = f"{self.returned} returned, {len(self.pending)} pending, {self.to_come} to come"
        return f"{text}, {self.restored} of them restored now" if self.restored else text


class HarborUsers:
    """What is done in Harbor to those of a migration who have to come back."""

    def __init__(
        self, migration: Migration, concerns: Callable[[Person], bool], issuer: str = ""
    ) -> None:
        """
        Args:
            migration: whose people they are. Its `subject` says what Harbor knows each by afterwards.
            concerns: whether a person who has a user in Harbor has to come back.
            issuer: the new one, if it changes: who came by it can't stay on the way back.
        """
        self._migration = migration
        self._concerns = concerns
        self._issuer = issuer

    @property
    def _harbor(self) -> HarborClient:
        return self._migration.systems.harbor_client

    @property
    def _entry(self) -> Journal:
        return self._migration.entry

    @property
    def concerned(self) -> list[Person]:
        """Whom Harbor will know by something else, whether it knew them at the export or not."""
        return [person for person in self._migration.snapshot.moving if self._concerns(person)]

    @property
    def people(self) -> list[Person]:
        """Who has to come back, or will have to."""
        return [person for person in self.concerned if person.harbor]

    def users_of(self, number: int) -> list[HarborUser]:
        """What those of a wave have in Harbor now: also who came there after the export."""
        wave = [person for person in self.concerned if person.wave == number]
        ids = {person.harbor.id for person in wave if person.harbor}
        bare = {self._former(person) for person in wave if not person.harbor}
        if bare:
            ids |= {id for id, subject in self.newcomers().items() if subject in bare}
        return read.read_harbor(self._harbor, only=ids) if ids else []

    def _former(self, person: Person) -> str:
        """What Harbor knows a person by before the migration, or would."""
        issuer = self._migration.snapshot.issuer
        return person.harbor.subiss if person.harbor else person.id + issuer

    def delete(self, user: HarborUser) -> bool:
        """Deletes a user who was exported, unless that is done; whether it was needed.

        Raises:
            SystemRefused: it is somebody else by now.
        """
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

    def follow_up(self) -> HarborStatus:
        """Gives back what people had directly, to those who have logged in since.

        On the way back, whoever came under the new subject or issuer is deleted before: the same
        name could not come back by the old. What they have then is stored before, and given back:
        a right that was given during the migration is kept, and one that was taken away since the
        person's return stays away. It is over once nobody is pending.
        """
        back = self._entry.rolling_back
        if back:
            self._delete_returned()
        returned = self._returned
        deleted = self._deleted()
        users = self._due(deleted) if back else deleted
        waiting = {id: user for id, user in users.items() if id not in returned}
        come = self._come(waiting)
        ids = list(come)
        for first in range(0, len(ids), _BATCH):
            part = ids[first : first + _BATCH]
            self._migration.map_locked(lambda id: self._restore(waiting[id], come[id]), part)
            returned = returned | {id: come[id] for id in part}
            self._migration.update_journal(**{"returned_back" if back else "returned": returned})
        pending = frozenset(set(users) - set(returned) - set(self._entry.given_up))
        kept = sum(_given(deleted.get(id), user) for id, user in users.items())
        done = self._entry.waves_done
        to_come = 0 if back else sum((person.wave or 0) >= done for person in self.people)
        return HarborStatus(len(returned), pending, to_come, len(ids), kept, back)

    def check_none_pending(self, standing: HarborStatus, exclude_users: tuple[str, ...]) -> None:
        """Refuses to end what somebody is still to come back from, who is not let go.

        Raises:
            TenantryError: and how many they are.
        """
        gone = {person.id for person in self.people if is_named(person, exclude_users)}
        pending = standing.pending - gone
        if pending or standing.to_come:
            raise TenantryError(
                f"Not come back yet: {len(pending)}; still to come: {standing.to_come}. What they had "
                "is given back once they log in. Wait, or name them in exclude_users."
            )

    def newcomers(self, known: Iterable[int] = ()) -> dict[int, str]:
        """What Harbor knows those by, by their ids, who were not exported and are not `known`."""
        people = self._migration.snapshot.people
        old = {person.harbor.id for person in people if person.harbor}.union(known)
        ids = [row["user_id"] for row in self._harbor.pages("/users")]
        fresh = [id for id in ids if id not in old]
        return dict(zip(fresh, self._migration.map_locked(self._subject, fresh), strict=True))

    # One person

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
                    text = "A project of somebody who came back is gone: nothing to give back."
                    self._migration.told(text)
                    continue
                raise
        if user.admin and not self._harbor.get(f"/users/{id}").get("sysadmin_flag"):
            self._harbor.put(f"/users/{id}/sysadmin", {"sysadmin_flag": True})

    def _delete_returned(self) -> None:
        """Delete who came under the new subject or issuer, once it is stored what they have."""
        if users := self.users_to_delete():
            fresh = len(self._not_recorded(users))
            left = self._entry.may_delete
            if left is not None and fresh > left:
                raise _not_approved(fresh, left)
            self._migration.record_rollback(snapshots.Wave(users=users))
            if left is not None:
                self._migration.update_journal(may_delete=left - fresh)
        self._migration.map_locked(self.delete, users)

    def allowance(self, approved: int | None) -> int | None:
        """Return how many users a roll back may delete that it has not recorded yet.

        Args:
            approved: how many users it may delete in all; None for any number.

        Raises:
            TenantryError: it would delete more.
        """
        if approved is None:
            return None
        users = self.users_to_delete() if self.concerned else []
        if len(users) > approved:
            raise _not_approved(len(users), approved)
        return approved - (len(users) - len(self._not_recorded(users)))

    def _not_recorded(self, users: Sequence[HarborUser]) -> list[HarborUser]:
        """Return the users that an earlier try of the way back did not record."""
        known = {user.id for record in self._migration.rollback_records() for user in record.users}
        return [user for user in users if user.id not in known]

    def users_to_delete(self) -> list[HarborUser]:
        """Return who came under the new subject or issuer: whom a roll back deletes in Harbor."""
        subjects = {self._migration.subject(person) for person in self.concerned}
        newcomers = self.newcomers(self._entry.returned_back.values())
        wrong = {
            id
            for id, subject in newcomers.items()
            if subject in subjects or (self._issuer and subject.endswith(self._issuer))
        }
        return read.read_harbor(self._harbor, only=wrong) if wrong else []

    # Who is where

    @property
    def _returned(self) -> dict[str, int]:
        entry = self._entry
        return dict(entry.returned_back if entry.rolling_back else entry.returned)

    def _deleted(self) -> dict[str, HarborUser]:
        """What those had who were deleted, by the person's id."""
        by_subject = {self._former(person): person.id for person in self.concerned}
        migration, entry = self._migration, self._entry
        begun = entry.waves_done + (1 if entry.phase == "moving" else 0)
        found = {
            by_subject[user.subiss]: user
            for number in range(min(begun, entry.waves))
            for user in (migration.wave_record(number) or _NOBODY).users
        }
        if begun > entry.waves_done:  # of a wave that is under way, some may still be there
            there = {row["user_id"] for row in self._harbor.pages("/users")}
            found = {id: user for id, user in found.items() if user.id not in there}
        return found

    def _due(self, deleted: dict[str, HarborUser]) -> dict[str, HarborUser]:
        """Return what people get back on the way back, by the person's id.

        Args:
            deleted: what those had whom the migration deleted on the way there.
        """
        ids = {self._migration.subject(person): person.id for person in self.concerned}
        back: dict[str, dict[int, HarborUser]] = {}
        for record in self._migration.rollback_records():
            for user in record.users:
                if user.subiss in ids:
                    back.setdefault(ids[user.subiss], {})[user.id] = user
        due = dict(deleted)
        for id, users in back.items():
            # Once a person's rights were restored, what the new user has is all that is due.
            is_restored = self._entry.returned.get(id) in users
            before = [deleted[id]] if id in deleted and not is_restored else []
            user = _merged([*before, *users.values()])
            if id in deleted or user.members or user.admin:
                due[id] = user
        return due

    def _come(self, waiting: dict[str, HarborUser]) -> dict[str, int]:
        """Who of those has a user again, under what Harbor knows the person by now."""
        if not waiting:
            return {}
        back = self._entry.rolling_back
        wanted = {
            self._former(person) if back else self._migration.subject(person): person.id
            for person in self.concerned
            if person.id in waiting
        }
        known = (*self._entry.returned.values(), *self._entry.returned_back.values())
        newcomers = self.newcomers(known).items()
        return {wanted[subject]: id for id, subject in newcomers if subject in wanted}

    def _subject(self, id: int) -> str:
        # The answer holds the CLI secret: only this one field of it is looked at.
        found: dict[str, Any] = self._harbor.find(f"/users/{id}") or {}
        return str((found.get("oidc_user_meta") or {}).get("subiss") or "")


def _merged(users: Sequence[HarborUser]) -> HarborUser:
    """Return the rights of all users of a person; the latest role in a project counts."""
    members = {project: role for user in users for project, role in user.members.items()}
    admin = any(user.admin for user in users)
    return users[-1].model_copy(update={"members": members, "admin": admin})


def _given(before: HarborUser | None, now: HarborUser) -> int:
    """Return how many rights a user has now that the former user had not."""
    before = before or HarborUser(id=0, username="", subiss="")
    roles = sum(before.members.get(project) != role for project, role in now.members.items())
    return roles + (now.admin and not before.admin)


def _not_approved(number: int, approved: int) -> TenantryError:
    return TenantryError(
        f"{count(number, 'user')} would be deleted in Harbor now, and {approved} were approved: "
        "people have logged in since. No user was deleted by this run. Run roll-back-migration, "
        "which asks for an approval of the new number."
    )


_NOBODY = snapshots.Wave()
