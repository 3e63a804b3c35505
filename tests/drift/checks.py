"""How the catalogue of drift is gone through, wherever the systems are."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Protocol

from tenantry.declared import Team
from tenantry.drift import Detected
from tenantry.resources import Id
from tenantry.systems.kubernetes.kinds import SECRET
from tenantry.systems.systems import Systems
from tests.drift.catalogue import Mutation, consequences, extras, mutations, told
from tests.drift.watch import mend


class Watched(Protocol):
    """Teams that are onboarded; drift is done to the one named `shop`."""

    systems: Systems

    def team(self, name: str) -> Team:
        """The team that goes by this name."""

    def detect(self) -> Detected:
        """Looks at all teams."""


def catalogue(watched: Watched, seen: Detected) -> list[Mutation]:
    """All that can be done to what is declared of the team."""
    return mutations(watched.systems, watched.team("shop"), seen.observed)


def rounds(found: Sequence[Mutation]) -> list[list[str]]:
    """The names of the mutations in few rounds: one of each resource in a round.

    The Secrets have their own rounds: a change of a robot changes its Secret as well.
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
    """Mutations and extras by their numbers: one of each resource, and no Secret whose robot or
    client is among them."""
    everything = [each for each in catalogue(watched, seen) if not each.alone]
    everything += extras(watched.team("shop"))
    chosen = {each.id: each for each in (everything[n % len(everything)] for n in numbers)}
    wanted = watched.systems.desired(watched.team("shop"), seen.observed)
    secrets = [resource for resource in wanted if resource.id.kind == SECRET]
    hidden = {each.id for each in secrets if not chosen.keys().isdisjoint(each.depends_on)}
    return [each for each in chosen.values() if each.id not in hidden]


def check(watched: Watched, done: Sequence[Mutation], seen: Detected) -> Detected:
    """What was done is told of, and nothing else; mending it leaves nothing that can be mended.

    Returns:
        The last look, after everything is in sync again.
    """
    wanted = watched.systems.desired(watched.team("shop"), seen.observed)
    for each in done:
        each.act(watched.systems)
    detected = watched.detect()
    expected = set().union(*(each.tells for each in done))
    found = told(detected.report)
    assert expected <= found, [each.name for each in done]
    assert found - expected <= consequences(done, wanted)
    mend(watched.systems, detected)
    left = watched.detect()
    stays = [each for each in done if not each.mends]
    expected = set().union(*(each.tells for each in stays))
    found = told(left.report)
    assert found == expected, found ^ expected
    if stays:
        mend(watched.systems, left, "none", [str(each.id) for each in stays])
        left = watched.detect()
        assert told(left.report) == set()
    return left
