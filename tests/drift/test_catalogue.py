"""Every sort of drift is found as what it is, with nothing else told of, and mended."""

from collections.abc import Sequence
from itertools import zip_longest

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenantry.drift import Detected
from tenantry.resources import Id
from tests.drift.catalogue import Mutation, consequences, extras, mutations, told
from tests.drift.watch import Watched, mend

KINDS = {
    "kubernetes": {
        *("Namespace", "Namespace mark", "ResourceQuota", "LimitRange", "NetworkPolicy"),
        *("RoleBinding", "ClusterRole", "Secret", "ServiceAccount"),
    },
    "keycloak": {"group", "group member", "identity provider mapper", "client"},
    "harbor": {"project", "member", "robot", "retention policy", "immutable-tag rule"},
    "istio": {"VirtualService"},
}


def catalogue(watched: Watched, seen: Detected | None = None) -> list[Mutation]:
    observed = (seen or watched.detect()).observed
    return mutations(watched.systems, watched.team("shop"), observed)


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
    assert told(left.report) == set().union(*(each.tells for each in stays))
    if stays:
        mend(watched.systems, left, "none", [str(each.id) for each in stays])
        left = watched.detect()
        assert told(left.report) == set()
    return left


def rounds(found: Sequence[Mutation]) -> list[list[str]]:
    """The names of the mutations in few rounds: one of each resource in a round.

    The Secrets have rounds of their own: what befalls a robot befalls its Secret as well.
    """
    columns: list[list[str]] = []
    for secrets in (False, True):
        by_id: dict[Id, list[str]] = {}
        for each in found:
            if not each.alone and (each.id.kind == "Secret") == secrets:
                by_id.setdefault(each.id, []).append(each.name)
        columns += [[name for name in column if name] for column in zip_longest(*by_id.values())]
    return columns


def test_every_kind_of_resource_is_in_the_catalogue(watched: Watched) -> None:
    found = catalogue(watched)
    kinds: dict[str, set[str]] = {}
    for each in found:
        kinds.setdefault(each.id.system, set()).add(each.id.kind)

    assert kinds == KINDS
    assert len(found) > 200


def test_what_was_just_onboarded_is_in_sync(watched: Watched) -> None:
    assert told(watched.report()) == set()


def test_every_change_and_deletion_is_found_and_mended(watched: Watched) -> None:
    seen = watched.detect()
    for names in rounds(catalogue(watched, seen)):
        done = [each for each in catalogue(watched, seen) if each.name in names]
        seen = check(watched, done, seen)


def test_every_extra_is_found_and_removed(watched: Watched) -> None:
    check(watched, extras(watched.team("shop")), watched.detect())


@pytest.mark.parametrize("kind", ["Namespace", "project", "group"])
def test_what_holds_others_takes_them_with_it(kind: str, watched: Watched) -> None:
    (first, *_) = (m for m in catalogue(watched) if m.id.kind == kind and m.name[:6] == "delete")
    check(watched, [first], watched.detect())


@pytest.mark.parametrize("kind", ["Namespace", "group", "client", "NetworkPolicy"])
def test_what_has_lost_its_mark_is_told_of_and_left_alone(kind: str, watched: Watched) -> None:
    (first, *_) = (m for m in catalogue(watched) if m.id.kind == kind and m.alone and not m.mends)
    first.act(watched.systems)
    detected = watched.detect()
    assert told(detected.report) == first.tells
    mend(watched.systems, detected)
    assert told(watched.report()) == first.tells


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(numbers=st.lists(st.integers(0, 999), min_size=1, max_size=12, unique=True))
def test_any_set_of_them_is_found_and_mended(watched: Watched, numbers: list[int]) -> None:
    seen = watched.detect()
    everything = [each for each in catalogue(watched, seen) if not each.alone]
    everything += extras(watched.team("shop"))
    drawn = {each.id: each for each in (everything[n % len(everything)] for n in numbers)}
    wanted = watched.systems.desired(watched.team("shop"), seen.observed)
    secrets = [resource for resource in wanted if resource.id.kind == "Secret"]
    hidden = {each.id for each in secrets if not drawn.keys().isdisjoint(each.inside)}
    check(watched, [each for each in drawn.values() if each.id not in hidden], seen)
