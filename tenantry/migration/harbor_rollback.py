"""Users of Harbor that a rollback deletes, and the rights that it restores.

A user with the new subject or issuer must be deleted before the person can log in with the old one:
Harbor rejects a second user of the same name.
"""

from collections.abc import Sequence

from tenantry.errors import TenantryError
from tenantry.migration import people as read
from tenantry.migration.harbor_users import HarborUsers
from tenantry.migration.parameters import ROLL_BACK
from tenantry.migration.snapshot import HarborUser, Wave
from tenantry.wording import count


class HarborRollback:
    """The rollback of one migration in Harbor."""

    def __init__(self, users: HarborUsers) -> None:
        self._users = users
        self._migration = users.migration

    def users_to_delete(self) -> list[HarborUser]:
        """Return the users with a new subject or issuer, which the rollback deletes."""
        users = self._users
        subjects = {self._migration.harbor_subject(person) for person in users.affected}
        created = users.users_since_export(users.entry.returned_back.values())
        ids = {
            id
            for id, subject in created.items()
            if subject in subjects or (users.issuer and subject.endswith(users.issuer))
        }
        return read.read_harbor_users(users.harbor, only=ids) if ids else []

    def delete_users(self) -> None:
        """Record the users with a new subject or issuer, and delete them.

        Raises:
            TenantryError: they are more than were approved; none was deleted.
        """
        found = self.users_to_delete()
        if found:
            unrecorded = len(self._unrecorded(found))
            left = self._users.entry.may_delete
            if left is not None and unrecorded > left:
                raise _not_approved(unrecorded, left)
            self._migration.record_rollback(Wave(users=found))
            if left is not None:
                self._migration.update_journal(may_delete=left - unrecorded)
        self._migration.map_locked(self._users.delete, found)

    def allowance(self, approved: int | None) -> int | None:
        """Return how many users the rollback may delete that are not recorded yet.

        Args:
            approved: how many users it may delete in all; None for any number.

        Raises:
            TenantryError: it would delete more.
        """
        if approved is None:
            return None
        found = self.users_to_delete() if self._users.affected else []
        if len(found) > approved:
            raise _not_approved(len(found), approved)
        return approved - (len(found) - len(self._unrecorded(found)))

    def _unrecorded(self, users: Sequence[HarborUser]) -> list[HarborUser]:
        """Return the users that no earlier run of the rollback has recorded."""
        known = {user.id for record in self._migration.rollback_records() for user in record.users}
        return [user for user in users if user.id not in known]

    def rights_to_restore(self, deleted: dict[str, HarborUser]) -> dict[str, HarborUser]:
        """Return the rights that people get back in the rollback, by the person's id.

        Args:
            deleted: the users that the waves have deleted, by the person's id.
        """
        people = self._users.affected
        ids = {self._migration.harbor_subject(person): person.id for person in people}
        recorded: dict[str, dict[int, HarborUser]] = {}
        for record in self._migration.rollback_records():
            for user in record.users:
                if user.subiss in ids:
                    recorded.setdefault(ids[user.subiss], {})[user.id] = user
        rights = dict(deleted)
        for id, users in recorded.items():
            # If the rights were restored to the new user, only its own rights count: a right that
            # was removed since stays removed.
            is_restored = self._users.entry.returned.get(id) in users
            former = [deleted[id]] if id in deleted and not is_restored else []
            merged = _merge([*former, *users.values()])
            if id in deleted or merged.members or merged.admin:
                rights[id] = merged
        return rights


def _merge(users: Sequence[HarborUser]) -> HarborUser:
    """Return the rights of all users of a person. The latest role in a project counts."""
    members = {project: role for user in users for project, role in user.members.items()}
    admin = any(user.admin for user in users)
    return users[-1].model_copy(update={"members": members, "admin": admin})


def _not_approved(number: int, approved: int) -> TenantryError:
    return TenantryError(
        f"The rollback would now delete {count(number, 'user')} in Harbor, and {approved} were "
        "approved: people have logged in since the approval. This run deleted no user. Run "
        f"{ROLL_BACK}, which asks for an approval of the new number."
    )
