"""Users of Harbor that are deleted because their subject or issuer changes.

Harbor identifies a user by subject and issuer, creates no user before a login, and rejects a second
user of the same name with 409. A user whose subject or issuer changes must therefore be deleted first.
The rights of groups are back at the next login. `harbor_rights` restores the direct rights.
"""

from collections.abc import Callable, Iterable
from typing import Any

from tenantry.errors import SystemRefused
from tenantry.migration import people as read
from tenantry.migration.journal import Journal
from tenantry.migration.machine import Migration
from tenantry.migration.snapshot import HarborUser, Person, Wave
from tenantry.systems.harbor.client import HarborClient


class HarborUsers:
    """The users of Harbor that one migration deletes."""

    def __init__(
        self, migration: Migration, is_affected: Callable[[Person], bool], issuer: str = ""
    ) -> None:
        """
        Args:
            migration: the migration.
            is_affected: returns whether a person's user in Harbor must be deleted.
            issuer: the new issuer, if it changes. A rollback deletes all of its users.
        """
        self.migration = migration
        self.issuer = issuer
        self._is_affected = is_affected

    @property
    def entry(self) -> Journal:
        """The journal."""
        return self.migration.entry

    @property
    def harbor(self) -> HarborClient:
        """The client of Harbor."""
        return self.migration.systems.harbor_client

    @property
    def affected(self) -> list[Person]:
        """The people whose subject or issuer changes, with or without a user in Harbor."""
        return [person for person in self.migration.snapshot.moving if self._is_affected(person)]

    @property
    def exported(self) -> list[Person]:
        """The affected people that had a user in Harbor at the export."""
        return [person for person in self.affected if person.harbor]

    def wave_users(self, number: int) -> list[HarborUser]:
        """Return the current users of a wave, including those created since the export."""
        wave = [person for person in self.affected if person.wave == number]
        ids = {person.harbor.id for person in wave if person.harbor}
        created_later = {self.former_subject(person) for person in wave if not person.harbor}
        if created_later:
            created = self.users_since_export()
            ids |= {id for id, subject in created.items() if subject in created_later}
        return read.read_harbor_users(self.harbor, only=ids) if ids else []

    def former_subject(self, person: Person) -> str:
        """Return a person's former subject followed by the former issuer."""
        issuer = self.migration.snapshot.issuer
        return person.harbor.subiss if person.harbor else person.id + issuer

    def delete(self, user: HarborUser) -> bool:
        """Delete an exported user, and return whether it still existed.

        Raises:
            SystemRefused: the id belongs to another user.
        """
        found = self.harbor.find(f"/users/{user.id}")
        if found is None:  # Harbor does not assign an id twice.
            return False
        subiss = (found.get("oidc_user_meta") or {}).get("subiss")
        if not user.subiss or subiss != user.subiss or user.id == 1:
            raise SystemRefused(
                "harbor",
                f"DELETE /api/v2.0/users/{user.id}",
                "it is not the user that was exported, and is not deleted",
                advice="Find out which user it is, and run it again.",
            )
        self.harbor.delete(f"/users/{user.id}")
        return True

    def users_since_export(self, except_ids: Iterable[int] = ()) -> dict[int, str]:
        """Return the users created since the export: the subject and issuer of each, by its id.

        Args:
            except_ids: ids of users to leave out.
        """
        people = self.migration.snapshot.people
        known = {person.harbor.id for person in people if person.harbor}.union(except_ids)
        ids = [row["user_id"] for row in self.harbor.pages("/users")]
        created = [id for id in ids if id not in known]
        subjects = self.migration.map_locked(self._subject, created)
        return dict(zip(created, subjects, strict=True))

    def deleted(self) -> dict[str, HarborUser]:
        """Return the users that the waves have deleted, by the person's id."""
        by_subject = {self.former_subject(person): person.id for person in self.affected}
        migration, entry = self.migration, self.entry
        begun = entry.waves_done + (1 if entry.phase == "moving" else 0)
        found = {
            by_subject[user.subiss]: user
            for number in range(min(begun, entry.waves))
            for user in (migration.wave_record(number) or Wave()).users
        }
        if begun > entry.waves_done:  # Some users of a wave in progress may still exist.
            existing = {row["user_id"] for row in self.harbor.pages("/users")}
            found = {id: user for id, user in found.items() if user.id not in existing}
        return found

    def _subject(self, id: int) -> str:
        # The answer contains the CLI secret. Only its `subiss` is read.
        found: dict[str, Any] = self.harbor.find(f"/users/{id}") or {}
        return str((found.get("oidc_user_meta") or {}).get("subiss") or "")
