"""The snapshot: who everybody was, and what they could do, before anything was changed.

It holds personal data and no secret: what Harbor calls a CLI secret is neither read from the
answer nor kept.
"""

from datetime import datetime
from itertools import count, takewhile
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tenantry.files import FileStore
from tenantry.migration.store import FOLDER, CorruptFile, keep, unsealed

Situation = Literal["provider", "users", "issuer"]
"""What changes: the external provider behind the realm, the same with the realm's users made anew,
or the issuer that Harbor trusts."""
Way = Literal["link", "reimport", "recreate"]
"""How a user of the realm gets to the new provider: by a link; deleted and imported with the same id;
or deleted and made with another id, which Harbor takes for another person."""
INSPECTION = f"{FOLDER}/inspection.csv"
"""Who is who, and what stands in whose way, as of the last look."""


class Record(BaseModel):
    """A part of the snapshot or of the journal."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Link(Record):
    """What ties a user of the realm to an external provider."""

    provider: str
    user_id: str
    user_name: str = ""


class Identity(Record):
    """Somebody at the new provider."""

    external_id: str
    external_username: str
    email: str = ""
    username: str = ""
    """The user of the realm whose it is, where somebody says so."""
    row: int | None = Field(default=None, exclude=True)
    """Where it is in the file that it comes from, as a spreadsheet counts: the header is row 1."""


class HarborUser(Record):
    """Somebody in Harbor."""

    id: int
    username: str
    email: str = ""
    subiss: str
    admin: bool = False
    members: dict[str, int] = {}
    """The role, by the project, of direct memberships."""
    owns: list[str] = []
    """Projects that the user owns."""


class Person(Record):
    """A user of the realm, and the same person in Harbor and at the new provider."""

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
    """Paths."""
    roles: list[str] = []
    """Realm roles given to the user."""
    client_roles: dict[str, list[str]] = {}
    """Roles of clients given to the user, by the client."""
    harbor: HarborUser | None = None
    new: Identity | None = None
    """Who it is at the new provider; None if nobody knows."""
    way: Way = "link"
    wave: int | None = None
    """When it is the person's turn, from 0; None if it is excluded."""

    def link(self, provider: str) -> Link | None:
        """The link to a provider."""
        return next((link for link in self.links if link.provider == provider), None)


class Snapshot(Record):
    """What was exported, who is who, and in which order they are moved: the plan itself."""

    version: Literal[1] = 1
    id: str
    made: datetime
    situation: Situation
    realm: str
    issuer: str
    """The realm's issuer, in its own words."""
    old: str
    new: str
    match: str
    people: list[Person]
    waves: list[str]
    """The waves' names, in order."""
    settings: dict[str, Any] = {}
    """How Harbor logs people in, without the client's secret, which it never shows."""

    def wave(self, number: int) -> list[Person]:
        """The people of a wave."""
        return [person for person in self.people if person.wave == number]

    @property
    def moving(self) -> list[Person]:
        """Everybody who is not excluded."""
        return [person for person in self.people if person.wave is not None]


class Wave(Record):
    """What people had right before the first of them was deleted: a wave's, or those of a way back."""

    users: list[HarborUser] = []
    """Who is deleted in Harbor."""
    people: list[Person] = []
    """Who is deleted in the realm."""
    ids: dict[str, str] = {}
    """The ids of those who are made with another one, by the former: known before they are made, so
    that whoever goes on makes nobody twice."""


def name(id: str) -> str:
    """The name of the file in the store."""
    return f"{FOLDER}/{id}/snapshot.json"


def save(store: FileStore, snapshot: Snapshot) -> str:
    """Write the snapshot, read it back, and return its checksum: the hash of the plan.

    Raises:
        NotEffective: the store returns something else than was written.
    """
    return keep(store, name(snapshot.id), snapshot.model_dump(mode="json"))


def load(store: FileStore, id: str) -> tuple[Snapshot, str]:
    """Reads it, with its checksum.

    Raises:
        CorruptFile: it is gone, not whole, or not what was written.
    """
    what = f"The snapshot {name(id)} in {store.name}"
    data = store.read(name(id))
    if data is None:
        raise CorruptFile(f"{what} is gone. Nothing was changed; bring it back from a backup.")
    content, told = unsealed(data, what)
    return _read(content, what), told


def _read(content: dict[str, Any], what: str) -> Snapshot:
    try:
        return Snapshot.model_validate(content)
    except ValidationError:
        text = f"{what} is of another version of Tenantry: use the one that wrote it."
        raise CorruptFile(text) from None


def save_wave(store: FileStore, id: str, number: int, wave: Wave) -> None:
    """Write what a wave's people have right before they are deleted, and read it back.

    Raises:
        NotEffective: the store returns something else than was written.
    """
    keep(store, _wave(id, number), wave.model_dump(mode="json"))


def save_back(store: FileStore, id: str, number: int, record: Wave) -> None:
    """Write what people have right before the way back deletes them, and read it back.

    Raises:
        NotEffective: the store returns something else than was written.
    """
    keep(store, back_name(id, number), record.model_dump(mode="json"))


def load_back(store: FileStore, id: str, number: int) -> Wave:
    """Return a record of the way back.

    Raises:
        CorruptFile: it is missing, or it is not what was written.
    """
    what = f"{back_name(id, number)} in {store.name}"
    data = store.read(back_name(id, number))
    if data is None:
        raise CorruptFile(f"{what} is gone. Nothing was changed; bring it back from a backup.")
    content, _ = unsealed(data, what)
    return Wave.model_validate(content)


def load_wave(store: FileStore, id: str, number: int) -> Wave | None:
    """The same, read; None if nobody of the wave was deleted yet.

    Raises:
        CorruptFile: it is not what was written.
    """
    data = store.read(_wave(id, number))
    if data is None:
        return None
    content, _ = unsealed(data, f"{_wave(id, number)} in {store.name}")
    return Wave.model_validate(content)


def _wave(id: str, number: int) -> str:
    return f"{FOLDER}/{id}/wave-{number}.json"


def forget(
    store: FileStore, id: str, when: datetime, waves: int, *, inspection: bool = False
) -> None:
    """Overwrites it: stores have no way to delete that all of them share.

    Args:
        store: where it is.
        id: the snapshot's.
        when: the time.
        waves: how many there were.
        inspection: the last look goes, too.
    """
    back = takewhile(store.read, (back_name(id, number) for number in count()))
    text = f"Deleted by Tenantry at {when.isoformat(timespec='seconds')}, as declared.\n"
    for file in (
        name(id),
        report_name(id),
        people_name(id),
        *(_wave(id, number) for number in range(waves)),
        *back,
        *([INSPECTION] if inspection else []),
    ):
        if store.read(file) is not None:
            store.write(file, text.encode())


def back_name(id: str, number: int) -> str:
    """The name of a file with what people had when the way back deleted them."""
    return f"{FOLDER}/{id}/back-{number}.json"


def report_name(id: str) -> str:
    """The name of the file with everybody before and after."""
    return f"{FOLDER}/{id}/report.csv"


def people_name(id: str) -> str:
    """The name of the file with how everybody stands, by team."""
    return f"{FOLDER}/{id}/people.csv"
