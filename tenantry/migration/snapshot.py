"""The snapshot: the users and their rights before anything was changed.

It holds personal data and no secret. Harbor's CLI secrets are neither read from Harbor's answers
nor stored.
"""

from datetime import datetime
from itertools import count, takewhile
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tenantry.files import FileStore
from tenantry.migration.store import FOLDER, CorruptFile, load_sealed, save_sealed

Situation = Literal["provider", "users", "issuer"]
"""What changes: the external provider behind the realm, the same with the realm's users re-created,
or the issuer that Harbor trusts."""
Way = Literal["link", "reimport", "recreate"]
"""How a user of the realm is moved to the new provider: linked; deleted and imported with the same
id; or deleted and created with another id, which Harbor takes for another user."""
INSPECTION = f"{FOLDER}/inspection.csv"
"""The people and their notices, as of the last inspection."""


class Record(BaseModel):
    """A part of the snapshot or of the journal. Its field names are stored, so they do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Link(Record):
    """A link from a user of the realm to an identity at an external provider."""

    provider: str
    user_id: str
    user_name: str = ""


class Identity(Record):
    """A user of the new provider."""

    external_id: str
    external_username: str
    email: str = ""
    username: str = ""
    """The user of the realm that it belongs to, where a mapping file says so."""
    row: int | None = Field(default=None, exclude=True)
    """The row of its file, as a spreadsheet counts: the header is row 1."""


class HarborUser(Record):
    """A user of Harbor."""

    id: int
    username: str
    email: str = ""
    subiss: str
    """Harbor's name for the subject followed by the issuer."""
    admin: bool = False
    members: dict[str, int] = {}
    """The role of each direct membership, by the project's name."""
    owns: list[str] = []
    """The projects that the user owns."""


class Person(Record):
    """A user of the realm, with the same person's users in Harbor and at the new provider."""

    id: str
    username: str
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    enabled: bool = True
    email_verified: bool = False
    required_actions: list[str] = []
    created: int = 0
    attributes: dict[str, list[str]] = {}
    links: list[Link] = []
    groups: list[str] = []
    """The paths of the groups."""
    roles: list[str] = []
    """The realm roles of the user."""
    client_roles: dict[str, list[str]] = {}
    """The client roles of the user, by client."""
    harbor: HarborUser | None = None
    new: Identity | None = None
    """The identity at the new provider; None if it is not known."""
    way: Way = "link"
    wave: int | None = None
    """The number of the person's wave, from 0; None if the person is excluded."""

    def link(self, provider: str) -> Link | None:
        """Return the link to a provider; None if there is no such link."""
        return next((link for link in self.links if link.provider == provider), None)


class Snapshot(Record):
    """The plan of a migration: the people, their matches, and the waves in which they are moved."""

    version: Literal[1] = 1
    id: str
    made: datetime
    situation: Situation
    realm: str
    issuer: str
    """The realm's issuer, as the realm itself states it."""
    old: str
    new: str
    match: str
    people: list[Person]
    waves: list[str]
    """The names of the waves, in their order."""
    settings: dict[str, Any] = {}
    """Harbor's login settings, without the client secret, which Harbor never returns."""

    def wave(self, number: int) -> list[Person]:
        """Return the people of a wave."""
        return [person for person in self.people if person.wave == number]

    @property
    def moving(self) -> list[Person]:
        """All people who are not excluded."""
        return [person for person in self.people if person.wave is not None]


class Wave(Record):
    """The state of people right before the first of them is deleted, in a wave or in a rollback."""

    users: list[HarborUser] = []
    """The users that are deleted in Harbor."""
    people: list[Person] = []
    """The users that are deleted in the realm."""
    ids: dict[str, str] = {}
    """The new ids of the users that get another one, by the former ids. They are stored before the
    users are created, so that a repeated run creates no user twice."""


def snapshot_file(id: str) -> str:
    """Return the name of the snapshot's file in the store."""
    return f"{FOLDER}/{id}/snapshot.json"


def save(store: FileStore, snapshot: Snapshot) -> str:
    """Write the snapshot, read it back, and return its checksum: the hash of the plan.

    Raises:
        NotEffective: the store returns something else than was written.
    """
    return save_sealed(store, snapshot_file(snapshot.id), snapshot.model_dump(mode="json"))


def load(store: FileStore, id: str) -> tuple[Snapshot, str]:
    """Return a snapshot and its checksum.

    Raises:
        CorruptFile: the file is missing, or it is not as it was written.
    """
    description = f"The snapshot {snapshot_file(id)} in {store.name}"
    content, checksum = _read(store, snapshot_file(id), description)
    try:
        return Snapshot.model_validate(content), checksum
    except ValidationError:
        text = f"{description} has the format of another version of Tenantry: use that version."
        raise CorruptFile(text) from None


def save_wave(store: FileStore, id: str, number: int, wave: Wave) -> None:
    """Write the state of a wave's people right before they are deleted, and read it back.

    Raises:
        NotEffective: the store returns something else than was written.
    """
    save_sealed(store, _wave_file(id, number), wave.model_dump(mode="json"))


def load_wave(store: FileStore, id: str, number: int) -> Wave | None:
    """Return the stored state of a wave's people; None if no one of the wave was deleted yet.

    Raises:
        CorruptFile: the file is not as it was written.
    """
    data = store.read(_wave_file(id, number))
    if data is None:
        return None
    content, _ = load_sealed(data, f"{_wave_file(id, number)} in {store.name}")
    return Wave.model_validate(content)


def save_rollback_record(store: FileStore, id: str, number: int, record: Wave) -> None:
    """Write the state of people right before a rollback deletes them, and read it back.

    Raises:
        NotEffective: the store returns something else than was written.
    """
    save_sealed(store, _rollback_file(id, number), record.model_dump(mode="json"))


def load_rollback_record(store: FileStore, id: str, number: int) -> Wave:
    """Return a record of the rollback.

    Raises:
        CorruptFile: the file is missing, or it is not as it was written.
    """
    name = _rollback_file(id, number)
    content, _ = _read(store, name, f"{name} in {store.name}")
    return Wave.model_validate(content)


def _read(store: FileStore, name: str, description: str) -> tuple[dict[str, Any], str]:
    data = store.read(name)
    if data is None:
        raise CorruptFile(
            f"{description} is missing. Nothing was changed. Restore the store from a backup."
        )
    return load_sealed(data, description)


def erase(
    store: FileStore, id: str, now: datetime, waves: int, *, inspection: bool = False
) -> None:
    """Overwrite the files of a snapshot: file stores have no common call that deletes a file.

    Args:
        store: the store.
        id: the id of the snapshot.
        now: the time.
        waves: the number of waves.
        inspection: whether to overwrite the file of the last inspection, too.
    """
    rollback = takewhile(store.read, (_rollback_file(id, number) for number in count()))
    text = f"Deleted by Tenantry at {now.isoformat(timespec='seconds')}, as declared.\n"
    for file in (
        snapshot_file(id),
        report_file(id),
        people_file(id),
        *(_wave_file(id, number) for number in range(waves)),
        *rollback,
        *([INSPECTION] if inspection else []),
    ):
        if store.read(file) is not None:
            store.write(file, text.encode())


def report_file(id: str) -> str:
    """Return the name of the file that compares all rights before and after."""
    return f"{FOLDER}/{id}/report.csv"


def people_file(id: str) -> str:
    """Return the name of the file that lists the state of all people, by team."""
    return f"{FOLDER}/{id}/people.csv"


def _wave_file(id: str, number: int) -> str:
    return f"{FOLDER}/{id}/wave-{number}.json"


def _rollback_file(id: str, number: int) -> str:
    # Earlier versions wrote this name: a rollback in progress must find its records.
    return f"{FOLDER}/{id}/back-{number}.json"
