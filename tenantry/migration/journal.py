"""The journal: how far the migration that is on has come. It holds no names.

Two files take turns, each with a number and a checksum, so that a run that is killed while it
writes spoils nothing: the newest whole one counts.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, ValidationError

from tenantry.errors import TenantryError
from tenantry.files import FileStore
from tenantry.migration.snapshot import Record, Situation
from tenantry.migration.store import FOLDER, CorruptFile, keep, unsealed

Phase = Literal["exported", "approved", "moving", "moved", "switched", "finished", "rolled back"]
"""The last thing that was begun or done:

    exported     the snapshot is in the store
    approved     somebody has approved its plan
    moving       some waves are done, or being done
    moved        all waves are done
    switched     the new one is what people see
    finished     the old one is gone
    rolled back  all is as it was
"""
OVER = ("finished", "rolled back")
_FILES = (f"{FOLDER}/journal-0.json", f"{FOLDER}/journal-1.json")


class Journal(Record):
    """One migration."""

    version: Literal[1] = 1
    number: int = 0
    """How often it was written."""
    id: str
    situation: Situation
    realm: str
    old: str
    new: str
    plan: str
    """The hash of the plan: the snapshot's checksum."""
    phase: Phase
    run: str = ""
    """The run that made the plan: when it goes on after its approval, it makes no other."""
    began: datetime
    waves: int
    waves_done: int = 0
    recorded: int = 0
    """Of so many waves it was taken down what their people have, and read back."""
    approved_by: str = ""
    switching: bool = False
    """The switch was begun: from then on the way back leads through all of it."""
    rolling_back: bool = False
    """The way back was begun: there is no other any more."""
    undone: bool = False
    """What can be undone is: all that is left is that people come back."""
    finishing: bool = False
    """The end was begun: there is no way back any more."""
    switched_at: datetime | None = None
    soak_hours: int
    keep_days: int
    over_at: datetime | None = None
    recorded_back: int = 0
    """How many records of the way back are in the store, and read back."""
    given_up: list[str] = Field(default_factory=list)
    """Ids of the people whom the way back does not wait for."""
    may_delete: int | None = None
    """How many more users in Harbor the way back may delete, by its approval; any number if None."""
    forgotten: bool = False
    """The snapshot was deleted."""
    returned: dict[str, int] = Field(default_factory=dict)
    """Whose rights were restored: the new user's id in Harbor, by the person's."""
    returned_back: dict[str, int] = Field(default_factory=dict)
    """The same on the way back."""

    @property
    def is_on(self) -> bool:
        """Whether it is under way."""
        return self.phase not in OVER

    @property
    def label(self) -> str:
        """What it is called in a message, after an article."""
        return f"migration from '{self.old}' to '{self.new}' (begun {self.began:%Y-%m-%d})"

    @property
    def stage(self) -> str:
        """The phase, or that the migration is being rolled back."""
        return "being rolled back" if self.is_on and self.rolling_back else self.phase

    def after(self, **changes: Any) -> "Journal":
        """The next entry."""
        return self.model_copy(update=changes)


def read(store: FileStore) -> Journal | None:
    """Return the newest entry that is whole; None if there never was a migration.

    A first entry that is not whole, with no second one, means the same: the process that wrote it
    died, and nothing was approved yet.

    Raises:
        CorruptFile: there is one and it can't be read.
        TenantryError: the store can't be read.
    """
    found: list[Journal] = []
    broken: TenantryError | None = None
    data_of = {name: store.read(name) for name in _FILES}
    for name, data in data_of.items():
        if data is None:
            continue
        try:
            content, _ = unsealed(data, f"{name} in {store.name}")
            found.append(Journal.model_validate(content))
        except ValidationError:
            text = f"{name} in {store.name} is of another version of Tenantry: use that one."
            raise CorruptFile(text) from None
        except CorruptFile as error:
            broken = error
    if not found and broken and data_of[_FILES[0]] is not None:
        raise broken
    return max(found, key=lambda journal: journal.number, default=None)


def write(store: FileStore, journal: Journal) -> Journal:
    """Write the next entry over the older of the two files, read it back, and return it.

    Raises:
        NotEffective: the store returns something else than was written.
    """
    entry = journal.after(number=journal.number + 1)
    keep(store, _FILES[entry.number % 2], entry.model_dump(mode="json"))
    return entry
