"""The options of a migration plan, and the waves in which people are moved."""

from collections.abc import Sequence
from dataclasses import dataclass

from tenantry.errors import TenantryError
from tenantry.migration.case import fold
from tenantry.migration.identities import Match
from tenantry.migration.parameters import (
    EXCLUDE_USERS,
    MAX_WAVE_PERCENT,
    REIMPORT_USERS,
    WAVE_PERCENT,
)
from tenantry.migration.snapshot import Person, Way

PILOT = "pilot"
"""The name of the first wave, if pilots are named."""


@dataclass(frozen=True)
class Options:
    """The options that the operator gives for a plan."""

    match: Match = "email"
    """The attribute that must be equal for a match."""
    pilot: tuple[str, ...] = ()
    """User names of the people who are moved first."""
    groups: tuple[str, ...] = ()
    """Groups whose members are moved next, one wave for each group, in this order."""
    wave_percent: int = 100
    """The size of each wave of all other people, in percent."""
    exclude_users: tuple[str, ...] = ()
    """User names of people who are not moved."""
    reimport_users: tuple[str, ...] = ()
    """User names of people who cannot be linked. They are deleted and imported with the same id."""
    recreate: bool = False
    """Whether all users are deleted and created with another id, and return to Harbor by a login."""
    soak_hours: int = 168
    """Hours between the switch and the earliest finish. A rollback is possible until the finish."""
    keep_days: int = 30
    """Days after the end of the migration in which its snapshot is kept."""
    max_wave_percent: int = 50
    """The largest part of Harbor's users that one wave may delete, in percent."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            TenantryError: a value is out of range, or two options contradict each other.
        """
        percentages = {WAVE_PERCENT: self.wave_percent, MAX_WAVE_PERCENT: self.max_wave_percent}
        for name, value in percentages.items():
            if not 1 <= value <= 100:
                raise TenantryError(f"{name} is {value}; it must be from 1 to 100.")
        if self.soak_hours < 0 or self.keep_days < 0:
            raise TenantryError("soak_hours and keep_days must not be negative.")
        excluded = {fold(name) for name in self.exclude_users}
        for option, names in (("pilot", self.pilot), (REIMPORT_USERS, self.reimport_users)):
            if both := sorted(name for name in names if fold(name) in excluded):
                raise TenantryError(
                    f"{', '.join(both)}: listed in both {option} and {EXCLUDE_USERS}. Remove each user "
                    "name from one of them."
                )
        if self.reimport_users and self.recreate:
            raise TenantryError(
                f"{REIMPORT_USERS} keeps the ids of users, and the situation 'users' gives all users another "
                "one. Use one of them."
            )


def divide(people: Sequence[Person], options: Options) -> tuple[list[Person], list[str]]:
    """Return the people with their waves and ways, and the names of the waves.

    Raises:
        TenantryError: the options name users or groups that are not to be moved. The message lists
            all of them.
    """
    _check_known(people, options)
    wave: dict[str, int | None] = {
        person.id: None for person in people if is_named(person, options.exclude_users)
    }
    names: list[str] = []

    def add_wave(name: str, members: list[Person]) -> None:
        if members:
            wave.update({person.id: len(names) for person in members})
            names.append(name)

    add_wave(PILOT, [person for person in people if is_named(person, options.pilot)])
    for group in options.groups:
        path = _path(group)
        add_wave(group, [p for p in people if p.id not in wave and path in p.groups])
    rest = [person for person in people if person.id not in wave]
    size = max(1, -(-len(rest) * options.wave_percent // 100))
    parts = [rest[first : first + size] for first in range(0, len(rest), size)]
    for number, part in enumerate(parts, start=1):
        suffix = f", part {number} of {len(parts)}" if len(parts) > 1 else ""
        add_wave(f"the others{suffix}", part)
    divided = [
        person.model_copy(update={"wave": wave[person.id], "way": _way(person, options)})
        for person in people
    ]
    return divided, names


def _way(person: Person, options: Options) -> Way:
    if options.recreate:
        return "recreate"
    return "reimport" if is_named(person, options.reimport_users) else "link"


def is_named(person: Person, names: Sequence[str]) -> bool:
    """Return whether a person is among user names, in any case: Harbor keeps capital letters."""
    return fold(person.username) in {fold(name) for name in names}


def _path(group: str) -> str:
    return group if group.startswith("/") else f"/{group}"


def _check_known(people: Sequence[Person], options: Options) -> None:
    known = {fold(person.username) for person in people}
    groups = {path for person in people for path in person.groups}
    named = {
        "pilot": options.pilot,
        EXCLUDE_USERS: options.exclude_users,
        REIMPORT_USERS: options.reimport_users,
    }
    faults = [
        f"{parameter}: no user named '{name}' is to be moved"
        for parameter, names in named.items()
        for name in names
        if fold(name) not in known
    ]
    faults += [
        f"groups: no user who is to be moved is in '{group}'"
        for group in options.groups
        if _path(group) not in groups
    ]
    if faults:
        raise TenantryError("\n".join(faults))
