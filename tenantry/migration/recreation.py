"""Users that are deleted and re-created in the realm, with another id or with the same one.

Their state is stored before the first of them is deleted, in the waves and in a rollback.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from uuid import uuid4

from tenantry.migration import people as read
from tenantry.migration.keycloak_users import recreate_user
from tenantry.migration.machine import Migration
from tenantry.migration.snapshot import HarborUser, Person, Wave
from tenantry.systems.keycloak.client import KeycloakClient


class Recreation:
    """The re-created users of one migration."""

    def __init__(self, migration: Migration) -> None:
        self._migration = migration
        self._ids: tuple[tuple[str, int], dict[str, str]] | None = None

    @property
    def _keycloak(self) -> KeycloakClient:
        return self._migration.systems.keycloak_client

    @property
    def ids(self) -> dict[str, str]:
        """The new ids of the users that get another one, by their former ids."""
        entry = self._migration.entry
        key = (entry.id, entry.recorded)
        if self._ids is None or self._ids[0] != key:
            found = {old: new for wave in self.waves() for old, new in wave.ids.items()}
            self._ids = (key, found)
        return self._ids[1]

    def waves(self) -> list[Wave]:
        """Return the stored states of the waves in which users are deleted."""
        if all(person.way == "link" for person in self._migration.snapshot.moving):
            return []
        numbers = range(self._migration.entry.waves)
        found = (self._migration.wave_record(number) for number in numbers)
        return [wave for wave in found if wave is not None]

    def record(
        self, number: int, people: Sequence[Person], harbor_users: Callable[[], list[HarborUser]]
    ) -> Wave:
        """Return the state of a wave's people before their deletion. It is stored once.

        Args:
            number: the wave.
            people: the people to re-create, as they were exported.
            harbor_users: reads their users in Harbor.
        """
        return self._migration.record_wave(number, lambda: self._observe(people, harbor_users))

    def _observe(
        self, people: Sequence[Person], harbor_users: Callable[[], list[HarborUser]]
    ) -> Wave:
        current = self._migration.map_locked(
            lambda person: read.read_person(self._keycloak, person.id), people
        )
        existing = [
            now.model_copy(update={"way": person.way, "new": person.new})
            for person, now in zip(people, current, strict=True)
            if now is not None
        ]
        if missing := len(people) - len(existing):
            self._migration.report(
                f"Exported users that no longer exist in the realm: {missing}. They are skipped."
            )
        ids = {person.id: str(uuid4()) for person in existing if person.way == "recreate"}
        return Wave(users=harbor_users(), people=existing, ids=ids)

    # The rollback

    def restore(self, mapped: Collection[str]) -> int:
        """Re-create all users with their former ids and links, and with their current rights.

        Args:
            mapped: groups that a login with the new provider adds people to, or removes them from.

        Returns:
            The number of groups and roles that were granted during the migration, and are kept.
        """
        self._migration.map_locked(self._recreate_missing, self._with_same_id())
        former = dict(self._with_another_id())
        current = self._migration.map_locked(
            lambda id: read.read_person(self._keycloak, id), former
        )
        if existing := [person for person in current if person is not None]:
            self._migration.record_rollback(Wave(people=existing))
        latest = {
            person.id: person
            for record in self._migration.rollback_records()
            for person in record.people
        }
        new = self._migration.entry.new
        merged = {
            id: merge(person, latest.get(id, person), mapped, new) for id, person in former.items()
        }
        self._migration.map_locked(lambda id: self._restore(id, former[id], merged[id]), former)
        return sum(count_granted(former[id], merged[id]) for id in former)

    def _with_same_id(self) -> list[Person]:
        return [
            person for wave in self.waves() for person in wave.people if person.id not in wave.ids
        ]

    def _with_another_id(self) -> Iterator[tuple[str, Person]]:
        """Yield the new id and the former state of each person that gets another id."""
        for wave in self.waves():
            for person in wave.people:
                if person.id in wave.ids:
                    yield wave.ids[person.id], person

    def _restore(self, id: str, former: Person, merged: Person) -> None:
        current = merged.model_copy(update={"id": id})
        recreate_user(self._keycloak, current, former.id, merged.links)

    def _recreate_missing(self, person: Person) -> None:
        """Import a user that was deleted and not imported, because the process died in between."""
        if self._keycloak.get(f"users/{person.id}") is None:
            recreate_user(self._keycloak, person, person.id, person.links)


def merge(former: Person, current: Person, mapped: Collection[str], new: str) -> Person:
    """Return a user as it was before the migration, with its current groups, roles and state.

    Rights that were granted or removed during the migration stay granted or removed. Groups that
    the new provider's mappers fill are an exception: a login may have removed them, so the former
    ones are kept. All links are kept, except for the one to the `new` provider.

    Args:
        former: the user before the migration.
        current: the user right before the rollback.
        mapped: groups that the new provider's mappers fill.
        new: alias of the new provider.
    """
    kept_groups = {group for group in former.groups if group in mapped}
    replaced = {link.provider for link in former.links} | {new}
    return former.model_copy(
        update={
            "groups": sorted({*current.groups, *kept_groups}),
            "roles": current.roles,
            "client_roles": current.client_roles,
            "enabled": current.enabled,
            "attributes": {**former.attributes, **current.attributes},
            "links": [
                *former.links,
                *(link for link in current.links if link.provider not in replaced),
            ],
        }
    )


def count_granted(former: Person, current: Person) -> int:
    """Return how many groups and roles a user has now, and did not have before."""
    clients = (
        len({*roles} - {*former.client_roles.get(client, ())})
        for client, roles in current.client_roles.items()
    )
    groups = len({*current.groups} - {*former.groups})
    return groups + len({*current.roles} - {*former.roles}) + sum(clients)
