"""Runs the catalogue of drift against any systems, simulated or real."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Protocol

from tenantry.declared import Team
from tenantry.drift import Detected
from tenantry.resources import Id
from tenantry.systems.kubernetes.kinds import SECRET
from tenantry.systems.systems import Systems
from tests.drift.catalogue import consequences, findings_of, mutations
from tests.drift.extras import extras
from tests.drift.mutation import Mutation
from tests.drift.watch import remediate


class Watched(Protocol):
    """Onboarded teams. Drift is injected into the resources of team `shop`."""

    systems: Systems

    def team(self, name: str) -> Team:
        """Return the team with this name."""

    def detect(self) -> Detected:
        """Detect drift for all teams."""


def catalogue(watched: Watched, seen: Detected) -> list[Mutation]:
    """Return all changes that can be made by hand to the team's declared resources."""
    return mutations(watched.systems, watched.team("shop"), seen.observed)


def rounds(found: Sequence[Mutation]) -> list[list[str]]:
    """Return the names of the mutations in as few rounds as possible: one per resource in a round.

    Secrets have their own rounds, because a change of a robot also changes its Secret.
    """
    columns: list[list[str]] = []
    for secrets in (False, True):
        by_id: dict[Id, list[str]] = {}
        for each in found:
            if not each.alone and (each.id.kind == SECRET) == secrets:
                by_id.setdefault(each.id, []).append(each.name)
        columns += [[name for name in column if name] for column in zip_longest(*by_id.values())]
    return columns


def drawn(watched: Watched, numbers: Sequence[int], seen: Detected) -> list[Mutation]:
    """Return mutations and extras by number: one per resource.

    A Secret is left out if its robot or client is among them.
    """
    everything = [each for each in catalogue(watched, seen) if not each.alone]
    everything += extras(watched.team("shop"))
    chosen = {each.id: each for each in (everything[n % len(everything)] for n in numbers)}
    wanted = watched.systems.desired(watched.team("shop"), seen.observed)
    secrets = [resource for resource in wanted if resource.id.kind == SECRET]
    hidden = {each.id for each in secrets if not chosen.keys().isdisjoint(each.depends_on)}
    return [each for each in chosen.values() if each.id not in hidden]


def check(watched: Watched, done: Sequence[Mutation], seen: Detected) -> Detected:
    """Apply mutations, and assert that exactly these are reported and remediated.

    Returns:
        The last detection, after everything is in sync again.
    """
    wanted = watched.systems.desired(watched.team("shop"), seen.observed)
    for each in done:
        each.act(watched.systems)
    detected = watched.detect()
    expected = set().union(*(each.expected for each in done))
    found = findings_of(detected.report)
    assert expected <= found, [each.name for each in done]
    assert found - expected <= consequences(done, wanted)
    remediate(watched.systems, detected)
    left = watched.detect()
    stays = [each for each in done if not each.is_remediated]
    expected = set().union(*(each.expected for each in stays))
    found = findings_of(left.report)
    assert found == expected, found ^ expected
    if stays:
        remediate(watched.systems, left, "none", [str(each.id) for each in stays])
        left = watched.detect()
        assert findings_of(left.report) == set()
    return left
