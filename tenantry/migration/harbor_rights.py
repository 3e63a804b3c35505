"""Restoration of direct rights in Harbor, once the people have logged in again."""

from dataclasses import dataclass

from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration import people as read
from tenantry.migration.harbor_rollback import HarborRollback
from tenantry.migration.harbor_users import HarborUsers
from tenantry.migration.options import is_named
from tenantry.migration.parameters import EXCLUDE_USERS
from tenantry.migration.snapshot import HarborUser
from tenantry.wording import count

_BATCH = 50
"""How many people are restored between two writes of the journal."""


@dataclass(frozen=True)
class HarborStatus:
    """The status of the people whose users in Harbor are deleted."""

    returned: int = 0
    """How many have logged in again, and have their rights."""
    pending: frozenset[str] = frozenset()
    """The ids of people who have not logged in since their deletion."""
    scheduled: int = 0
    """How many are in waves that are not done."""
    restored: int = 0
    """How many got their rights back in this run."""
    kept: int = 0
    """How many rights that were granted during the migration a rollback keeps."""
    is_rollback: bool = False

    @property
    def incomplete(self) -> frozenset[str]:
        """The ids of people whose wave is done, and who have not completed the migration."""
        return self.pending

    @property
    def rollback_summary(self) -> str:
        """How many people have logged in to Harbor again, in words; empty if none were deleted."""
        if not self.returned and not self.pending:
            return ""
        text = f"{count(self.returned, 'person has', 'people have')} logged in to Harbor again"
        if self.kept:
            text += f", {count(self.kept, 'right')} granted during the migration kept"
        return text

    def __str__(self) -> str:
        if self.is_rollback:
            return self.rollback_summary or "no user was deleted in Harbor"
        text = (
            f"{self.returned} logged in again, {len(self.pending)} pending, "
            f"{self.scheduled} in later waves"
        )
        return f"{text}, {self.restored} of them restored now" if self.restored else text


def follow_up(users: HarborUsers) -> HarborStatus:
    """Restore the direct rights of people who have logged in again, and return the status.

    In a rollback, users with the new subject or issuer are recorded and deleted first. Rights that
    were granted during the migration are kept. Rights that were removed after a person's rights had
    been restored stay removed.
    """
    migration, entry = users.migration, users.entry
    is_rollback = entry.rolling_back
    rollback = HarborRollback(users)
    if is_rollback:
        rollback.delete_users()
    # Read after the deletion, which writes the journal.
    entry = users.entry
    returned = dict(entry.returned_back if is_rollback else entry.returned)
    deleted = users.deleted()
    due = rollback.rights_to_restore(deleted) if is_rollback else deleted
    waiting = {id: user for id, user in due.items() if id not in returned}
    new_ids = _find_returned(users, waiting)
    ids = list(new_ids)
    for first in range(0, len(ids), _BATCH):
        batch = ids[first : first + _BATCH]
        migration.map_locked(lambda id: _restore(users, waiting[id], new_ids[id]), batch)
        returned = returned | {id: new_ids[id] for id in batch}
        migration.update_journal(**{"returned_back" if is_rollback else "returned": returned})
    pending = frozenset(set(due) - set(returned) - set(entry.given_up))
    kept = sum(_count_new_rights(deleted.get(id), user) for id, user in due.items())
    done = entry.waves_done
    scheduled = 0 if is_rollback else sum((p.wave or 0) >= done for p in users.exported)
    return HarborStatus(len(returned), pending, scheduled, len(ids), kept, is_rollback)


def check_none_pending(
    users: HarborUsers, status: HarborStatus, exclude_users: tuple[str, ...]
) -> None:
    """Check that no person is pending, except for excluded ones.

    Raises:
        TenantryError: some people are. The message says how many.
    """
    excluded = {person.id for person in users.exported if is_named(person, exclude_users)}
    pending = status.pending - excluded
    if pending or status.scheduled:
        raise TenantryError(
            f"{count(len(pending), 'person has', 'people have')} not logged in again, and "
            f"{status.scheduled} are in later waves. Their rights are restored once they log in. "
            f"Wait, or set {EXCLUDE_USERS} to their user names."
        )


def _find_returned(users: HarborUsers, waiting: dict[str, HarborUser]) -> dict[str, int]:
    """Return the new users' ids in Harbor, by the ids of people who have logged in again."""
    if not waiting:
        return {}
    entry = users.entry
    subject = users.former_subject if entry.rolling_back else users.migration.harbor_subject
    wanted = {subject(person): person.id for person in users.affected if person.id in waiting}
    known = (*entry.returned.values(), *entry.returned_back.values())
    created = users.users_since_export(known).items()
    return {wanted[subject]: id for id, subject in created if subject in wanted}


def _restore(users: HarborUsers, user: HarborUser, id: int) -> None:
    """Give a new user the direct rights of the former one. Rights granted since are kept."""
    harbor = users.harbor
    for project, role in user.members.items():
        try:
            if id in dict(read.read_memberships(harbor, project)):
                continue
            body = {"role_id": role, "member_user": {"user_id": id}}
            harbor.post(f"/projects/{project}/members", body, by_name=True)
        except SystemRefused as error:
            if error.status == 409:  # Granted a moment ago, or by a call whose answer was lost.
                continue
            if error.status == 404:
                users.migration.report(
                    "A project was deleted during the migration, so its memberships are not restored."
                )
                continue
            raise
    if user.admin and not harbor.get(f"/users/{id}").get("sysadmin_flag"):
        harbor.put(f"/users/{id}/sysadmin", {"sysadmin_flag": True})


def _count_new_rights(former: HarborUser | None, user: HarborUser) -> int:
    """Return how many rights a user has that the former user did not have."""
    former = former or HarborUser(id=0, username="", subiss="")
    roles = sum(former.members.get(project) != role for project, role in user.members.items())
    return roles + (user.admin and not former.admin)
