"""What was found before anybody is moved: who is who, and what stands in the way."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration.match import MatchResult
from tenantry.migration.options import Options
from tenantry.migration.snapshot import Person
from tenantry.systems.systems import Systems
from tenantry.wording import count

_FEW = 3
"""A wave of so few people is never too large."""
OLDEST_KEYCLOAK = (26, 7)
"""The oldest Keycloak that this was tested with."""


@dataclass(frozen=True)
class Notice:
    """Something to know before people are moved."""

    what: str
    text: str
    """A sentence without names."""
    who: tuple[str, ...] = ()
    """User names, for the file in the store; never for an artifact."""
    blocking: bool = False
    remedy: str = ""
    """What to do, in a sentence; empty if it needs nothing."""

    @property
    def sentence(self) -> str:
        """What was found, with the remedy."""
        return f"{self.text} {self.remedy}".rstrip()


@dataclass
class Inspection:
    """What was found."""

    people: list[Person]
    """All who are linked to the old provider, matched, joined with Harbor, and with their waves."""
    waves: list[str]
    matched: dict[str, MatchResult]
    notices: list[Notice] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    """How Harbor logs people in, where that is what changes."""

    @property
    def blocking(self) -> list[Notice]:
        """What must be settled first."""
        return [notice for notice in self.notices if notice.blocking]

    @property
    def summary(self) -> str:
        """The counts, in a sentence."""
        states = [each.state for each in self.matched.values()]
        told = ", ".join(
            f"{states.count(state)} {state}" for state in ("matched", "unmatched", "ambiguous")
        )
        gone = sum(person.wave is None for person in self.people)
        return f"{count(len(self.people), 'person', 'people')}: {told}; {gone} excluded; waves: {len(self.waves)}."

    def refuse(self) -> None:
        """Stops here if something must be settled first.

        Raises:
            TenantryError: and what.
        """
        if self.blocking:
            lines = [f"{notice.what}: {notice.sentence}" for notice in self.blocking]
            raise TenantryError("\n".join(["Nothing was changed. First settle this:", *lines]))


def check_versions(systems: Systems) -> None:
    """Whether Harbor and Keycloak are new enough.

    Raises:
        SystemRefused: one is not. Before Harbor 2.4 nobody who came by OIDC can be deleted.
    """
    systems.harbor_client.info()
    version = systems.keycloak_client.version()
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLDEST_KEYCLOAK:
        oldest = ".".join(map(str, OLDEST_KEYCLOAK))
        text = f"it is version {version}, and a migration was tested with {oldest} and later only"
        raise SystemRefused("keycloak", "GET /admin/serverinfo", text, advice="Update Keycloak.")


def about_matches(inspection: Inspection) -> Iterator[Notice]:
    """Who has no match, or more than one."""
    if not inspection.people:
        text = "there is nobody to move."
        yield Notice("nobody", text, blocking=True)
    for state in ("unmatched", "ambiguous"):
        found = [
            person
            for person in inspection.people
            if person.wave is not None and inspection.matched[person.id].state == state
        ]
        if found:
            text = f"{state.title()} at the new provider: {len(found)}."
            remedy = "Correct it there or here, say who is who by a mapping file, or name them in exclude_users."
            names = tuple(each.username for each in found)
            yield Notice(state, text, names, blocking=True, remedy=remedy)
    gone = [person.username for person in inspection.people if person.wave is None]
    if gone:
        text = f"Excluded: {len(gone)}. They are not moved, and cannot log in after the migration."
        yield Notice("excluded", text, tuple(gone))


def about_waves(inspection: Inspection, users: int, options: Options) -> Iterator[Notice]:
    """Whether a wave deletes more of Harbor's people than is allowed without a further word."""
    sizes = Counter(
        each.wave for each in inspection.people if each.harbor and each.wave is not None
    )
    most = max(_FEW, users * options.max_wave_percent // 100)
    large = [inspection.waves[wave] for wave, size in sizes.items() if size > most]
    if large:
        text = (
            f"Waves that would delete more than {options.max_wave_percent}% of Harbor's people at once: "
            f"{len(large)}."
        )
        remedy = "Make them smaller (wave_percent), or allow larger ones (max_wave_percent)."
        yield Notice("large wave", text, blocking=True, remedy=remedy)


def about_rights(people: Sequence[Person]) -> Iterator[Notice]:
    """Who has something in Harbor by themselves."""
    for what, chosen in (
        ("administrators", [p for p in people if p.harbor and p.harbor.admin]),
        ("owners", [p for p in people if p.harbor and p.harbor.owns]),
        ("direct members", [p for p in people if p.harbor and p.harbor.members]),
    ):
        if chosen:
            text = f"{what.capitalize()} in Harbor by themselves, not by a group: {len(chosen)}."
            yield Notice(what, text, tuple(person.username for person in chosen))


def about_losses(people: Sequence[Person]) -> Iterator[Notice]:
    """What those lose whose users in Harbor are deleted."""
    text = "Everybody's CLI secret ends: whoever uses docker by hand needs a new one."
    yield Notice("CLI secrets", text)
    owners = [p.username for p in people if p.harbor and p.harbor.owns]
    if owners:
        text = (
            f"Owners of projects: {len(owners)}. Harbor has no way to give that back. They are "
            "project admins again where they were members."
        )
        yield Notice("ownership", text, tuple(owners))
