"""The values of the planner: desired resources, observed ones, and their differences."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from tenantry.answers import ODD, not_understood
from tenantry.declared.types import quantity
from tenantry.errors import InvalidResponse, TenantryError, as_tenantry_error
from tenantry.kinds import Kind, Stage

MARK_PREFIXES = ("app.kubernetes.io/managed-by", "tenantry.io/")
"""The prefixes of the names of marks in labels, annotations and attributes."""

PLATFORM = ""
"""The owner of the platform's own resources, in place of a team's name."""

Path = tuple[str, ...]


class Id(NamedTuple):
    """The identity of a resource: its kind, its key, and its cluster.

    An empty cluster is the home cluster, or no cluster. Kind and key can be wildcards, in the ids
    of resources that could not be read (`covers`).
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
        """System, kind and key, for the columns of reports."""
        return self.system, self.kind.name, self.key

    def __str__(self) -> str:
        where = f"{self.system}@{self.cluster}" if self.cluster else self.system
        return f"{where}/{self.kind}/{self.key}"

    def covers(self, other: "Id") -> bool:
        """Return whether this id includes another one.

        The kind `*` includes all kinds of its system. A key that ends in `*` includes all keys with
        this prefix.
        """
        if (self.system, self.cluster) != (other.system, other.cluster):
            return False
        if self.kind.name not in (other.kind.name, "*"):
            return False
        if self.key.endswith("*"):
            return other.key.startswith(self.key[:-1])
        return self.key == other.key


def whole_system(system: str) -> Id:
    """Return the id that covers all resources of a system."""
    return Id(Kind(system, "*"), "*")


@dataclass(frozen=True)
class Resource:
    """A desired resource."""

    id: Id
    fields: Mapping[str, Any]
    """The declared fields, which can be nested. They never contain a secret."""
    body: Any = field(default=None, repr=False)
    """The values that applying it needs in addition to the fields."""
    depends_on: tuple[Id, ...] = ()
    """The resources that it needs: if one of them must not be changed, it must not be changed
    either."""
    cluster_wide: bool = False
    """Whether all teams share it. It is in the plan of each team until it exists."""
    owner: Id | None = None
    """The resource that contains it, and whose ownership it shares. The resources in a Harbor
    project have no marks of their own."""
    parts: tuple[Id, ...] = ()
    """The ids of its parts that Tenantry records, and that are removed one by one."""

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
    """An observed resource."""

    fields: Mapping[str, Any]
    """The fields in the form of the desired ones. There can be more of them."""
    ours: bool = True
    """Whether it carries Tenantry's mark, or is in a resource that does."""
    marked: bool = False
    """Whether it carries Tenantry's mark itself, and was not adopted."""
    adopted: bool = False
    """Whether it existed before, and Tenantry adopted it."""
    team: str | None = None
    """The team that it belongs to by its place or its mark: if it is not declared, it is an extra
    of this team (PLATFORM: of the platform). None: it is never an extra."""
    handle: Any = field(default=None, repr=False)
    """The values that applying a change needs, such as numeric ids. It can contain secrets, and is
    never shown."""
    foreign: str = ""
    """Why it must not be changed or adopted: it carries the mark of another team or platform."""
    read_only: Mapping[str, str] = field(default_factory=dict)
    """The top-level fields that cannot be changed now, with the reasons."""
    owned: frozenset[Path] = frozenset()
    """The fields that Tenantry has set, if the system records that."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickling, without the handle, which must not leave the process."""
        return {**self.__dict__, "handle": None}


class Unreadable(NamedTuple):
    """The reason why a resource could not be read."""

    error: TenantryError
    team: str | None
    """The team that it belongs to; None if it does not belong to one team."""


class Observed:
    """The observed state of some teams.

    Attributes:
        live: the resources that exist, by id.
        unreadable: the resources that could not be read, with the errors. Nothing in them is known.
            An id can cover several resources (`Id.covers`).
        waiting: the resources that cannot be created yet, with the reasons.
        platform: the observed state of the platform's own resources, if it was observed too. It is
            separate since a resource of a team, such as a mapper, can be in a resource of the
            platform.
    """

    def __init__(self) -> None:
        self.live: dict[Id, Live] = {}
        self.unreadable: dict[Id, Unreadable] = {}
        self.waiting: dict[Id, str] = {}
        self.platform: Observed | None = None
        self._marked: dict[str | None, list[Id]] = {}
        self._sorted = 0

    def marked(self, team: str) -> Iterator[tuple[Id, Live]]:
        """Yield the resources with a team's mark. They are indexed once, for thousands of teams."""
        if self._sorted != len(self.live):
            self._marked = {}
            for id, live in self.live.items():
                if live.marked:
                    self._marked.setdefault(live.team, []).append(id)
            self._sorted = len(self.live)
        for id in self._marked.get(team, ()):
            live = self.live[id]  # it may have been observed again
            if live.marked and live.team == team:
                yield id, live

    def is_known(self, id: Id) -> bool:
        """Return whether it is known if a resource exists, and in which state."""
        return not any(unread.covers(id) for unread in self.unreadable)

    def failure(self, team: str) -> TenantryError | None:
        """Return the error if a team, or the platform, could not be read completely; otherwise
        None."""
        found = (part.error for part in self.unreadable.values() if part.team in (team, None))
        return next(found, None)

    @contextmanager
    def capture_errors(
        self, id: Id, team: str | None, *, invalid_only: bool = False
    ) -> Iterator[None]:
        """Record errors in this context as an unreadable resource, and continue.

        Args:
            id: the resource that is read.
            team: its team.
            invalid_only: record only responses of an unknown form, and raise other errors of
                Tenantry.
        """
        try:
            yield
        except TenantryError as error:
            if invalid_only and not isinstance(error, InvalidResponse):
                raise
            self.unreadable[id] = Unreadable(error, team)
        except ODD as error:
            reason = not_understood(error, id.system, f"{id.kind} {id.key}")
            self.unreadable[id] = Unreadable(reason, team)
        except Exception as error:  # noqa: BLE001 one resource's failure, whatever it is
            self.unreadable[id] = Unreadable(as_tenantry_error(error, f"reading {id}"), team)

    def add(self, other: "Observed") -> None:
        """Add what was observed elsewhere."""
        self.live |= other.live
        self.unreadable |= other.unreadable
        self.waiting |= other.waiting


class Difference(NamedTuple):
    """A field that differs from its declared value."""

    field: str
    old: Any
    new: Any


class Amount(str):
    """A quantity, which equals all other spellings of the same amount, such as `1000m` and `1`."""

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
        fixed: the same fact as a text that does not change, such as a date. A plan is shown with
            the text, and is compared and hashed with this one, so that an approval stays valid.
    """

    fixed: str

    def __new__(cls, text: str, fixed: str = "") -> Self:
        """Return the text with its fixed form."""
        made = super().__new__(cls, text)
        made.fixed = fixed
        return made


@dataclass(frozen=True)
class Exactly:
    """A desired value that is compared as a whole: additional members are a difference, too."""

    value: Any


def differences(desired: Any, actual: Any, path: Path = ()) -> Iterator[Difference]:
    """Yield the declared fields that differ.

    Only the declared keys of a mapping are compared. Lists, and mappings that are declared empty,
    are compared as a whole. Missing and empty values are equal, since servers drop empty values.
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
    """Yield the differences of two values at the deepest level at which both are mappings."""
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
    """Return the value at a path of nested mappings; None if it does not exist."""
    for step in path:
        value = value.value if isinstance(value, Exactly) else value
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value
