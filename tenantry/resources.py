"""What the planner works with: resources as desired, as observed, and how they differ."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from tenantry.answers import ODD, not_understood
from tenantry.declared.types import quantity
from tenantry.errors import InvalidResponse, TenantryError, as_tenantry_error
from tenantry.kinds import Kind, Stage

MARK_PREFIXES = ("app.kubernetes.io/managed-by", "tenantry.io/")
"""What our marks are called, or begin with, wherever a system keeps labels or attributes."""

PLATFORM = ""
"""In place of a team's name: what is the platform's own."""

Path = tuple[str, ...]


class Id(NamedTuple):
    """The identity of a resource: its kind, its key, and its cluster where that is not the only one.

    The kind and the key may be wildcards, in ids of what could not be read (`covers`).
    """

    kind: Kind
    key: str
    cluster: str = ""

    @property
    def system(self) -> str:
        """The system that keeps the resource."""
        return self.kind.system

    @property
    def parts(self) -> tuple[str, str, str]:
        """The names of the system and the kind, and the key, as reports show them in columns."""
        return self.system, self.kind.name, self.key

    def __str__(self) -> str:
        where = f"{self.system}@{self.cluster}" if self.cluster else self.system
        return f"{where}/{self.kind}/{self.key}"

    def covers(self, other: "Id") -> bool:
        """Return whether this id stands for another one.

        The kind `*` stands for every kind of its system, and a key that ends in `*` for every key
        with that beginning.
        """
        if (self.system, self.cluster) != (other.system, other.cluster):
            return False
        if self.kind.name not in (other.kind.name, "*"):
            return False
        if self.key.endswith("*"):
            return other.key.startswith(self.key[:-1])
        return self.key == other.key


def whole_system(system: str) -> Id:
    """Return the id that covers everything in a system."""
    return Id(Kind(system, "*"), "*")


@dataclass(frozen=True)
class Resource:
    """One managed object as it is desired."""

    id: Id
    fields: Mapping[str, Any]
    """The declared fields, possibly nested. Never a secret."""
    body: Any = field(default=None, repr=False)
    """What applying it needs beyond the fields."""
    depends_on: tuple[Id, ...] = ()
    """The resources that it lies in or needs: if one of them must not be changed, neither must it."""
    cluster_wide: bool = False
    """Whether it belongs to the platform, and so is in every team's plan until it exists."""
    owner: Id | None = None
    """The resource that it lies in and whose ownership it shares: the parts of a Harbor project have
    no mark of their own."""

    @property
    def stage(self) -> Stage:
        """The stage that creates and updates it.

        Raises:
            ValueError: Tenantry only observes resources of this kind.
        """
        if self.id.kind.stage is None:
            raise ValueError(f"Tenantry does not create resources of the kind '{self.id.kind}'")
        return self.id.kind.stage


@dataclass(frozen=True)
class Live:
    """One object as it was observed."""

    fields: Mapping[str, Any]
    """In the same form as a resource's fields; may hold more than is declared."""
    ours: bool = True
    """Whether it carries Tenantry's mark, or lies inside something that does."""
    marked: bool = False
    """Whether it carries Tenantry's mark itself, and was not adopted."""
    team: str | None = None
    """The team that it belongs to by its place or its mark: if nobody declares it, it is that
    team's extra (PLATFORM: the platform's). None: it is never one."""
    handle: Any = field(default=None, repr=False)
    """What applying a change needs: numeric ids and the like. May hold secrets: never shown."""
    foreign: str = ""
    """Why it may be neither changed nor adopted: its mark is another team's, or another platform's."""
    read_only: Mapping[str, str] = field(default_factory=dict)
    """Top-level fields that cannot be changed now, and why."""
    owned: frozenset[Path] = frozenset()
    """Fields that the system says were set by us, where it keeps such a record."""

    def __getstate__(self) -> dict[str, Any]:
        """What may be kept of it, where a result is stored: the handle is for this process."""
        return {**self.__dict__, "handle": None}


class Unreadable(NamedTuple):
    """Why something could not be read."""

    error: TenantryError
    team: str | None
    """The team whose it is; None if it is no single team's."""


class Observed:
    """What was seen of some teams.

    Attributes:
        live: the objects; whatever is not in it is not there.
        unreadable: what could not be read, and why: what lies in it is not known either. Its ids
            may stand for many (`Id.covers`).
        waiting: resources that can't be made yet, and what they wait for.
        platform: what was seen of the platform's own, where a look at teams took that in: apart
            from the rest, since a mapper, say, can be a team's in something of the platform's.
    """

    def __init__(self) -> None:
        self.live: dict[Id, Live] = {}
        self.unreadable: dict[Id, Unreadable] = {}
        self.waiting: dict[Id, str] = {}
        self.platform: Observed | None = None
        self._marked: dict[str | None, list[Id]] = {}
        self._sorted = 0

    def marked(self, team: str) -> Iterator[tuple[Id, Live]]:
        """What carries a team's mark. Sorted by team once: there may be a thousand to ask for."""
        if self._sorted != len(self.live):
            self._marked = {}
            for id, live in self.live.items():
                if live.marked:
                    self._marked.setdefault(live.team, []).append(id)
            self._sorted = len(self.live)
        for id in self._marked.get(team, ()):
            live = self.live[id]  # it may have been seen anew
            if live.marked and live.team == team:
                yield id, live

    def is_known(self, id: Id) -> bool:
        """Whether it could be read, if only to see that it is not there."""
        return not any(unread.covers(id) for unread in self.unreadable)

    def failure(self, team: str) -> TenantryError | None:
        """Why a team, or the platform, could not be read in full; None if it could."""
        found = (part.error for part in self.unreadable.values() if part.team in (team, None))
        return next(found, None)

    @contextmanager
    def capture_errors(self, id: Id, team: str | None, *, odd_only: bool = False) -> Iterator[None]:
        """What fails in this context is noted as unreadable, and the look goes on.

        So is an answer that has not the form that it should have.

        Args:
            id: the resource that is read.
            team: its owner.
            odd_only: note nothing but answers that are not understood; raise all else.
        """
        try:
            yield
        except TenantryError as error:
            if odd_only and not isinstance(error, InvalidResponse):
                raise
            self.unreadable[id] = Unreadable(error, team)
        except ODD as error:
            reason = not_understood(error, id.system, f"{id.kind} {id.key}")
            self.unreadable[id] = Unreadable(reason, team)
        except Exception as error:  # noqa: BLE001 one resource's failure, whatever it is
            self.unreadable[id] = Unreadable(as_tenantry_error(error, f"reading {id}"), team)

    def add(self, other: "Observed") -> None:
        """Takes in what another look has seen."""
        self.live |= other.live
        self.unreadable |= other.unreadable
        self.waiting |= other.waiting


class Difference(NamedTuple):
    """One field that is not as declared."""

    field: str
    old: Any
    new: Any


class Amount(str):
    """A quantity that equals any other spelling of the same amount: `1000m` and `1`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        try:
            return quantity(self) == quantity(str(other))
        except (ValueError, ArithmeticError):
            return str.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


class Elapsed(str):
    """A text that changes as time passes, such as `in 3 days`.

    Attributes:
        fixed: the same fact as a text that stays, such as a moment. A plan is shown with the text,
            and compared and hashed with this one, so that an approval of it stays valid.
    """

    fixed: str

    def __new__(cls, text: str, fixed: str = "") -> Self:
        """Return the text with its fixed form."""
        made = super().__new__(cls, text)
        made.fixed = fixed
        return made


@dataclass(frozen=True)
class Exactly:
    """A desired value that is compared as a whole: what is there beyond it is a difference."""

    value: Any


def differences(desired: Any, actual: Any, path: Path = ()) -> Iterator[Difference]:
    """The declared fields that differ.

    Of a mapping only the declared keys count. Lists, and mappings declared
    empty, count as a whole. Absent and empty are the same, since servers drop
    empty values.
    """
    if isinstance(desired, Exactly):
        if not _same(desired.value, actual):
            yield from _inside(desired.value, actual, path)
    elif isinstance(desired, Mapping) and desired:
        actual = actual if isinstance(actual, Mapping) else {}
        for key, value in desired.items():
            yield from differences(value, actual.get(key), (*path, key))
    elif not _same(desired, actual):
        yield Difference(".".join(path), actual, desired)


def _inside(desired: Any, actual: Any, path: Path) -> Iterator[Difference]:
    """As deep as one mapping can be told from another."""
    if isinstance(desired, Mapping) and isinstance(actual, Mapping) and desired:
        for key in dict.fromkeys((*desired, *actual)):
            if not _same(desired.get(key), actual.get(key)):
                yield from _inside(desired.get(key), actual.get(key), (*path, key))
    else:
        yield Difference(".".join(path), actual, desired)


def _same(desired: Any, actual: Any) -> bool:
    if desired == actual:
        return True
    if isinstance(desired, Mapping) and isinstance(actual, Mapping):
        return all(_same(desired.get(key), actual.get(key)) for key in {*desired, *actual})
    if isinstance(desired, list | tuple) and isinstance(actual, list | tuple):
        return len(desired) == len(actual) and all(map(_same, desired, actual))
    empty: tuple[Any, ...] = (None, "", [], {}, ())
    return desired in empty and actual in empty


def get_path(value: Any, path: Path) -> Any:
    """What lies at a path of nested mappings; None if nothing does."""
    for step in path:
        value = value.value if isinstance(value, Exactly) else value
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value
