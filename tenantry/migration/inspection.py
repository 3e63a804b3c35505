"""The result of an inspection: the matches of people, and the notices, some of which are blocking."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration.match import MatchResult
from tenantry.migration.options import Options
from tenantry.migration.parameters import EXCLUDE_USERS, MAX_WAVE_PERCENT, WAVE_PERCENT
from tenantry.migration.snapshot import Person
from tenantry.systems.systems import Systems
from tenantry.wording import count

_SMALL_WAVE = 3
"""A wave of at most so many users is never too large."""
OLDEST_KEYCLOAK = (26, 7)
"""The oldest version of Keycloak with which a migration was tested."""


@dataclass(frozen=True)
class Notice:
    """A fact that the operator must know before people are moved."""

    what: str
    text: str
    """A sentence without user names."""
    who: tuple[str, ...] = ()
    """The user names, for the file in the store. They never appear in an artifact."""
    blocking: bool = False
    """Whether the migration cannot be planned until this is resolved."""
    remedy: str = ""
    """A sentence that says what to do; empty if no action is needed."""

    @property
    def sentence(self) -> str:
        """The text with the remedy."""
        return f"{self.text} {self.remedy}".rstrip()


@dataclass
class Inspection:
    """The people to be moved, their matches, and the notices about them."""

    people: list[Person]
    """All people with the old provider or issuer, with their matches, Harbor users and waves."""
    waves: list[str]
    matched: dict[str, MatchResult]
    notices: list[Notice] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    """Harbor's login settings, if the issuer changes."""

    @property
    def blocking(self) -> list[Notice]:
        """The notices that must be resolved first."""
        return [notice for notice in self.notices if notice.blocking]

    @property
    def summary(self) -> str:
        """The counts, in a sentence."""
        states = [result.state for result in self.matched.values()]
        counts = ", ".join(
            f"{states.count(state)} {state}" for state in ("matched", "unmatched", "ambiguous")
        )
        excluded = sum(person.wave is None for person in self.people)
        people = count(len(self.people), "person", "people")
        return f"{people}: {counts}; {excluded} excluded; waves: {len(self.waves)}."

    def require_no_blocking(self) -> None:
        """Check that no notice is blocking.

        Raises:
            TenantryError: at least one is. The message lists all of them.
        """
        if self.blocking:
            lines = [f"{notice.what}: {notice.sentence}" for notice in self.blocking]
            raise TenantryError("\n".join(["Nothing was changed. First resolve this:", *lines]))


def check_versions(systems: Systems) -> None:
    """Check that the versions of Harbor and Keycloak are supported.

    Raises:
        SystemRefused: one is too old. Before 2.4, Harbor cannot delete a user who logged in by OIDC.
    """
    systems.harbor_client.info()
    version = systems.keycloak_client.version()
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLDEST_KEYCLOAK:
        oldest = ".".join(map(str, OLDEST_KEYCLOAK))
        text = f"it is version {version}, and a migration was tested with {oldest} and later only"
        raise SystemRefused("keycloak", "GET /admin/serverinfo", text, advice="Update Keycloak.")


def match_notices(inspection: Inspection) -> Iterator[Notice]:
    """Yield notices about people without a match, with several candidates, or excluded."""
    if not inspection.people:
        yield Notice("no users", "no user has to be moved.", blocking=True)
    for state in ("unmatched", "ambiguous"):
        found = [
            person
            for person in inspection.people
            if person.wave is not None and inspection.matched[person.id].state == state
        ]
        if found:
            text = f"{state.title()} at the new provider: {len(found)}."
            remedy = (
                "Correct the users in one of the two systems, map them with a mapping file, or name "
                f"them in {EXCLUDE_USERS}."
            )
            names = tuple(person.username for person in found)
            yield Notice(state, text, names, blocking=True, remedy=remedy)
    excluded = [person.username for person in inspection.people if person.wave is None]
    if excluded:
        text = (
            f"Excluded: {len(excluded)}. They are not moved, and cannot log in after the migration."
        )
        yield Notice("excluded", text, tuple(excluded))


def wave_notices(inspection: Inspection, users: int, options: Options) -> Iterator[Notice]:
    """Yield a notice if a wave deletes more of Harbor's users than the options allow."""
    sizes = Counter(
        person.wave for person in inspection.people if person.harbor and person.wave is not None
    )
    limit = max(_SMALL_WAVE, users * options.max_wave_percent // 100)
    large = [inspection.waves[wave] for wave, size in sizes.items() if size > limit]
    if large:
        text = (
            f"Waves that would delete more than {options.max_wave_percent}% of Harbor's users at "
            f"once: {len(large)}."
        )
        remedy = (
            f"Make the waves smaller ({WAVE_PERCENT}), or allow larger ones ({MAX_WAVE_PERCENT})."
        )
        yield Notice("large wave", text, blocking=True, remedy=remedy)


def rights_notices(people: Sequence[Person]) -> Iterator[Notice]:
    """Yield notices about people with direct rights in Harbor, which no group gives."""
    for what, chosen in (
        ("administrators", [p for p in people if p.harbor and p.harbor.admin]),
        ("owners", [p for p in people if p.harbor and p.harbor.owns]),
        ("direct members", [p for p in people if p.harbor and p.harbor.members]),
    ):
        if chosen:
            text = f"{what.capitalize()} in Harbor directly, not through a group: {len(chosen)}."
            yield Notice(what, text, tuple(person.username for person in chosen))


def loss_notices(people: Sequence[Person]) -> Iterator[Notice]:
    """Yield notices about what people lose when their users in Harbor are deleted."""
    text = (
        "All CLI secrets become invalid. People who use docker login by hand need a new one from "
        "Harbor's user profile."
    )
    yield Notice("CLI secrets", text)
    owners = [p.username for p in people if p.harbor and p.harbor.owns]
    if owners:
        text = (
            f"Owners of projects: {len(owners)}. Harbor cannot restore the ownership. They become "
            "project admins again where they were members."
        )
        yield Notice("ownership", text, tuple(owners))
