"""What the planner works with: resources as desired, as observed, and how they differ."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

from tenantry.answers import ODD, not_understood
from tenantry.declared.types import quantity
from tenantry.errors import OddAnswer, TenantryError, readable

Stage = Literal[
    "Kubernetes", "Keycloak", "Harbor", "Credentials", "Istio", "Clean up", "Mark as applied"
]
STAGES: tuple[Stage, ...] = (
    "Kubernetes",
    "Keycloak",
    "Harbor",
    "Credentials",
    "Istio",
    "Clean up",
    "Mark as applied",
)
"""The order in which a team is onboarded, and the platform configured.

The namespace comes first, since it holds the intent marks; a project comes
before its robots, whose secrets go into the namespace; what logins no longer
need goes when nothing asks for it any more; and the mark that all is applied
comes last.
"""

MARKS = ("app.kubernetes.io/managed-by", "tenantry.io/")
"""What our marks are called, or begin with, wherever a system keeps labels or attributes."""

PLATFORM = ""
"""In place of a team's name: what is the platform's own."""

Path = tuple[str, ...]


class Id(NamedTuple):
    """What a resource is known by."""

    system: str
    kind: str
    key: str

    def __str__(self) -> str:
        return "/".join(self)

    def covers(self, other: "Id") -> bool:
        """Whether it stands for another: `*` is any kind, and a key that ends in it a beginning."""
        if self.system != other.system or self.kind not in (other.kind, "*"):
            return False
        if self.key.endswith("*"):
            return other.key.startswith(self.key[:-1])
        return self.key == other.key


def whole(system: str) -> Id:
    """All that there is in a system."""
    return Id(system, "*", "*")


@dataclass(frozen=True)
class Resource:
    """One managed object as it is desired."""

    id: Id
    stage: Stage
    fields: Mapping[str, Any]
    """What is declared of it, possibly nested. Never a secret."""
    body: Any = field(default=None, repr=False)
    """What applying it needs beyond the fields."""
    fixed: tuple[str, ...] = ()
    """Top-level fields that can't be changed in place: the object is replaced instead."""
    working: tuple[str, ...] = ()
    """Top-level fields that tell whether it works: it is broken, not changed, if one differs."""
    inside: tuple[Id, ...] = ()
    """What it lies in, or hangs on: where one of them may not be touched, neither may this."""
    shared: bool = False
    """Whether it is the platform's, and so in every team's plan until it is made."""
    shares: Id | None = None
    """What it lies in and has its owner from: what is in a Harbor project bears no mark itself."""


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
    locked: Mapping[str, str] = field(default_factory=dict)
    """Top-level fields that the system lets nobody change now, and why."""
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
    def noting(self, id: Id, team: str | None, *, odd_only: bool = False) -> Iterator[None]:
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
            if odd_only and not isinstance(error, OddAnswer):
                raise
            self.unreadable[id] = Unreadable(error, team)
        except ODD as error:
            reason = not_understood(error, id.system, f"{id.kind} {id.key}")
            self.unreadable[id] = Unreadable(reason, team)
        except Exception as error:  # noqa: BLE001 one resource's failure, whatever it is
            self.unreadable[id] = Unreadable(readable(error, f"reading {id}"), team)

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


def reach(value: Any, path: Path) -> Any:
    """What lies at a path of nested mappings; None if nothing does."""
    for step in path:
        value = value.value if isinstance(value, Exactly) else value
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value
