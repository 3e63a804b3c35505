"""The journal: how far the migration in progress has come. It holds no names of users.

Two files are written in turn, each with a number and a checksum. A run that is killed while it
writes one leaves the other intact. The complete file with the highest number is the journal.

The names and values of the fields are stored, so they stay as they are: a migration in progress
continues after an update of Tenantry.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, ValidationError

from tenantry.errors import TenantryError
from tenantry.files import FileStore
from tenantry.migration.snapshot import Record, Situation
from tenantry.migration.store import FOLDER, CorruptFile, load_sealed, save_sealed

Phase = Literal["exported", "approved", "moving", "moved", "switched", "finished", "rolled back"]
"""The last step that has begun or is complete:

    exported     the snapshot is stored
    approved     a person has approved its plan
    moving       some waves are done or in progress
    moved        all waves are done
    switched     the new provider or issuer is in use
    finished     the migration is complete, and the old provider is deleted
    rolled back  everything is as before
"""
OVER = ("finished", "rolled back")
_FILES = (f"{FOLDER}/journal-0.json", f"{FOLDER}/journal-1.json")


class Journal(Record):
    """The progress of one migration."""

    version: Literal[1] = 1
    number: int = 0
    """How often the journal was written."""
    id: str
    """The id of the snapshot."""
    situation: Situation
    realm: str
    old: str
    """The alias of the old provider, or the old issuer."""
    new: str
    """The alias of the new provider, or the new issuer."""
    plan: str
    """The hash of the plan: the checksum of the snapshot."""
    phase: Phase
    run: str = ""
    """The run that made the plan. If that run is started again, it keeps its plan."""
    began: datetime
    waves: int
    """The number of waves."""
    waves_done: int = 0
    recorded: int = 0
    """The number of waves whose people's state is stored, and was read back."""
    approved_by: str = ""
    switching: bool = False
    """Whether the switch has begun. A rollback then undoes it."""
    rolling_back: bool = False
    """Whether a rollback has begun. The migration cannot continue then."""
    undone: bool = False
    """Whether the rollback has undone all changes, and only waits for people to log in."""
    finishing: bool = False
    """Whether the finish has begun. A rollback is not possible then."""
    switched_at: datetime | None = None
    soak_hours: int
    keep_days: int
    over_at: datetime | None = None
    """When the migration was finished or rolled back."""
    recorded_back: int = 0
    """The number of rollback records that are stored, and were read back."""
    given_up: list[str] = Field(default_factory=list)
    """The ids of people for whom the rollback does not wait."""
    may_delete: int | None = None
    """How many more users the rollback may delete in Harbor, by its approval; None for any number."""
    forgotten: bool = False
    """Whether the snapshot was deleted."""
    returned: dict[str, int] = Field(default_factory=dict)
    """The people whose rights were restored: the new user's id in Harbor, by the person's id."""
    returned_back: dict[str, int] = Field(default_factory=dict)
    """The same for the rollback."""

    @property
    def is_on(self) -> bool:
        """Whether the migration is in progress."""
        return self.phase not in OVER

    @property
    def label(self) -> str:
        """The migration as a message names it, after an article."""
        return f"migration from '{self.old}' to '{self.new}' (begun {self.began:%Y-%m-%d})"

    @property
    def stage(self) -> str:
        """The phase, or `being rolled back`."""
        return "being rolled back" if self.is_on and self.rolling_back else self.phase

    def after(self, **changes: Any) -> "Journal":
        """Return the next entry: this one with changes."""
        return self.model_copy(update=changes)


def read(store: FileStore) -> Journal | None:
    """Return the newest complete entry; None if there never was a migration.

    If the first file is not complete and the second does not exist, the process that wrote the first
    entry died. No plan was approved then, so the result is None, too.

    Raises:
        CorruptFile: a journal exists, and it cannot be used.
        TenantryError: the store cannot be read.
    """
    found: list[Journal] = []
    corrupt: TenantryError | None = None
    data_of = {name: store.read(name) for name in _FILES}
    for name, data in data_of.items():
        if data is None:
            continue
        try:
            content, _ = load_sealed(data, f"{name} in {store.name}")
            found.append(Journal.model_validate(content))
        except ValidationError:
            raise CorruptFile(
                f"{name} in {store.name} has the format of another version of Tenantry: use that "
                "version."
            ) from None
        except CorruptFile as error:
            corrupt = error
    # The first entry is written to the file with number 1.
    if not found and corrupt and data_of[_FILES[0]] is not None:
        raise corrupt
    return max(found, key=lambda journal: journal.number, default=None)


def write(store: FileStore, journal: Journal) -> Journal:
    """Write the next entry over the older of the two files, read it back, and return it.

    Raises:
        NotEffective: the store returns something else than was written.
    """
    entry = journal.after(number=journal.number + 1)
    save_sealed(store, _FILES[entry.number % 2], entry.model_dump(mode="json"))
    return entry
