"""What the operator asks for, and the waves that people are moved in."""

from collections.abc import Sequence
from dataclasses import dataclass

from tenantry.errors import TenantryError
from tenantry.migration.case import fold
from tenantry.migration.identities import Match
from tenantry.migration.snapshot import Person, Way

PILOT = "pilot"
"""The name of the first wave, if people are named for it."""


@dataclass(frozen=True)
class Options:
    """How a migration is to be done."""

    match: Match = "email"
    """What people are matched by."""
    pilot: tuple[str, ...] = ()
    """User names of those who are moved first."""
    groups: tuple[str, ...] = ()
    """Groups whose people come next, a wave each, in this order."""
    percent: int = 100
    """How many percent of all the others are a wave."""
    exclude_users: tuple[str, ...] = ()
    """User names of those who are left behind."""
    reimport: tuple[str, ...] = ()
    """User names of those who can't be linked: they are deleted and imported with the same id."""
    recreate: bool = False
    """Everybody is deleted and made anew with another id, and comes back in Harbor."""
    soak_hours: int = 168
    """Hours between the switch and the end, in which the way back stays open."""
    keep_days: int = 30
    """Days after the end in which the snapshot is kept."""
    max_wave_percent: int = 50
    """How many percent of Harbor's people one wave may delete at most."""

    def __post_init__(self) -> None:
        """Refuses what can't be meant."""
        for name, value in (
            ("wave_percent", self.percent),
            ("max_wave_percent", self.max_wave_percent),
        ):
            if not 1 <= value <= 100:
                raise TenantryError(f"{name} is {value}; it must be from 1 to 100.")
        if self.soak_hours < 0 or self.keep_days < 0:
            raise TenantryError("soak_hours and keep_days must not be negative.")
        exclude_users = {fold(each) for each in self.exclude_users}
        for name, users in (("pilot", self.pilot), ("reimport_users", self.reimport)):
            if both := sorted(each for each in users if fold(each) in exclude_users):
                raise TenantryError(f"{', '.join(both)}: in {name} and in exclude_users at once.")
        if self.reimport and self.recreate:
            text = "reimport_users keeps people's ids, and situation 'users' gives everybody another one."
            raise TenantryError(text)


def divide(people: Sequence[Person], options: Options) -> tuple[list[Person], list[str]]:
    """The people with their waves and ways, and the waves' names.

    Raises:
        TenantryError: the order names people or groups that nobody is, or is in; all of them.
    """
    _refuse_unknown(people, options)
    wave: dict[str, int | None] = {
        person.id: None for person in people if is_named(person, options.exclude_users)
    }
    names: list[str] = []

    def make(name: str, members: list[Person]) -> None:
        if members:
            wave.update({person.id: len(names) for person in members})
            names.append(name)

    make(PILOT, [person for person in people if is_named(person, options.pilot)])
    for group in options.groups:
        path = _path(group)
        make(group, [each for each in people if each.id not in wave and path in each.groups])
    rest = [person for person in people if person.id not in wave]
    size = max(1, -(-len(rest) * options.percent // 100))
    parts = [rest[first : first + size] for first in range(0, len(rest), size)]
    for number, part in enumerate(parts, start=1):
        more = f", part {number} of {len(parts)}" if len(parts) > 1 else ""
        make(f"the others{more}", part)
    divided = [
        person.model_copy(update={"wave": wave[person.id], "way": _way(person, options)})
        for person in people
    ]
    return divided, names


def _way(person: Person, options: Options) -> Way:
    if options.recreate:
        return "recreate"
    return "reimport" if is_named(person, options.reimport) else "link"


def is_named(person: Person, names: Sequence[str]) -> bool:
    """Whether a person is among user names, whichever way they are spelled: Harbor keeps capitals."""
    return fold(person.username) in {fold(name) for name in names}


def _path(group: str) -> str:
    return group if group.startswith("/") else f"/{group}"


def _refuse_unknown(people: Sequence[Person], options: Options) -> None:
    known = {fold(person.username) for person in people}
    held = {path for person in people for path in person.groups}
    named = {
        "pilot": options.pilot,
        "exclude_users": options.exclude_users,
        "reimport_users": options.reimport,
    }
    faults = [
        f"{parameter}: nobody of user name '{name}' is to be moved"
        for parameter, names in named.items()
        for name in names
        if fold(name) not in known
    ]
    faults += [
        f"groups: nobody who is to be moved is in '{group}'"
        for group in options.groups
        if _path(group) not in held
    ]
    if faults:
        raise TenantryError("\n".join(faults))
