"""Users of the realm who are deleted and made once more: under another id, or with the same one.

What they had is stored before the first of them is deleted, on the way there and on the way back.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from uuid import uuid4

from tenantry.migration import people as read
from tenantry.migration.keycloak_users import replace
from tenantry.migration.machine import Migration
from tenantry.migration.snapshot import HarborUser, Person, Wave
from tenantry.systems.keycloak.client import KeycloakClient


class Recreation:
    """The users of one migration who are made once more."""

    def __init__(self, migration: Migration) -> None:
        self._migration = migration
        self._ids: tuple[tuple[str, int], dict[str, str]] | None = None

    @property
    def _keycloak(self) -> KeycloakClient:
        return self._migration.systems.keycloak_client

    @property
    def ids(self) -> dict[str, str]:
        """The new ids of those who have another one, by their former ids."""
        entry = self._migration.entry
        key = (entry.id, entry.recorded)
        if self._ids is None or self._ids[0] != key:
            found = {old: new for wave in self.waves() for old, new in wave.ids.items()}
            self._ids = (key, found)
        return self._ids[1]

    def waves(self) -> list[Wave]:
        """Return what was stored of the waves in which users were deleted."""
        if all(person.way == "link" for person in self._migration.snapshot.moving):
            return []
        numbers = range(self._migration.entry.waves)
        found = (self._migration.wave_record(number) for number in numbers)
        return [wave for wave in found if wave is not None]

    def record(
        self, number: int, people: Sequence[Person], users: Callable[[], list[HarborUser]]
    ) -> Wave:
        """Return what a wave's people had before they were deleted; store it, if that is not done.

        Args:
            number: the wave's.
            people: who is made once more, as they were exported.
            users: reads what they have in Harbor.
        """
        return self._migration.record_wave(number, lambda: self._take_down(people, users))

    def _take_down(self, people: Sequence[Person], users: Callable[[], list[HarborUser]]) -> Wave:
        held = self._migration.map_locked(lambda each: read.held(self._keycloak, each.id), people)
        now = [
            there.model_copy(update={"way": person.way, "new": person.new})
            for person, there in zip(people, held, strict=True)
            if there is not None
        ]
        if len(now) < len(people):
            text = "People who were exported are no users of the realm any more: left out: {}."
            self._migration.told(text.format(len(people) - len(now)))
        ids = {person.id: str(uuid4()) for person in now if person.way == "recreate"}
        return Wave(users=users(), people=now, ids=ids)

    # The way back

    def make_as_they_were(self, mapped: Collection[str]) -> int:
        """Give all users their former ids and links, and what they were given since.

        Args:
            mapped: groups that a login by the new provider adds people to, or removes them from.

        HarborUsers:
            How many groups and roles they were given since.
        """
        self._migration.map_locked(self._reappear, self._same_id())
        before = dict(self._other_id())
        held = self._migration.map_locked(lambda id: read.held(self._keycloak, id), before)
        if now := [person for person in held if person is not None]:
            self._migration.record_rollback(Wave(people=now))
        latest = {
            each.id: each for record in self._migration.rollback_records() for each in record.people
        }
        new = self._migration.entry.new
        merged = {id: merge(was, latest.get(id, was), mapped, new) for id, was in before.items()}
        self._migration.map_locked(lambda id: self._return(id, before[id], merged[id]), before)
        return sum(given(before[id], merged[id]) for id in before)

    def _same_id(self) -> list[Person]:
        return [each for wave in self.waves() for each in wave.people if each.id not in wave.ids]

    def _other_id(self) -> Iterator[tuple[str, Person]]:
        """Yield the new id of each person who has one, and the person as it was."""
        for wave in self.waves():
            for person in wave.people:
                if person.id in wave.ids:
                    yield wave.ids[person.id], person

    def _return(self, id: str, was: Person, merged: Person) -> None:
        replace(self._keycloak, merged.model_copy(update={"id": id}), was.id, merged.links)

    def _reappear(self, person: Person) -> None:
        """Make a user whose import did not follow its deletion."""
        if self._keycloak.get(f"users/{person.id}") is None:
            replace(self._keycloak, person, person.id, person.links)


def merge(was: Person, now: Person, mapped: Collection[str], new: str) -> Person:
    """Return a user as it was, with the groups, roles and state that it has now.

    A right that was given since stays given, and one that was taken away stays away. Groups that
    the new provider's mappers fill are the exception: a login may have removed them, so those of
    before stay. Links to other providers stay, but the one to the `new` provider.
    """
    lost = {group for group in was.groups if group in mapped}
    kept = {link.provider for link in was.links} | {new}
    return was.model_copy(
        update={
            "groups": sorted({*now.groups, *lost}),
            "roles": now.roles,
            "client_roles": now.client_roles,
            "enabled": now.enabled,
            "attributes": {**was.attributes, **now.attributes},
            "links": [*was.links, *(link for link in now.links if link.provider not in kept)],
        }
    )


def given(was: Person, now: Person) -> int:
    """Return how many groups and roles a user has now and had not before."""
    clients = (
        len({*roles} - {*was.client_roles.get(client, ())})
        for client, roles in now.client_roles.items()
    )
    return len({*now.groups} - {*was.groups}) + len({*now.roles} - {*was.roles}) + sum(clients)
