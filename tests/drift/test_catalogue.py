"""Every kind of drift is reported with the right class, without other findings, and remediated."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenantry.systems.istio.kinds import HTTP_ROUTE
from tenantry.systems.kubernetes.kinds import PULL_SECRET
from tests.drift.catalogue import findings_of
from tests.drift.checks import catalogue, check, drawn, rounds
from tests.drift.extras import extras
from tests.drift.watch import Watched, remediate
from tests.support.demands import Figure


def test_every_kind_of_resource_is_in_the_catalogue(watched: Watched) -> None:
    found = catalogue(watched, watched.detect())
    kinds = {kind for adapter in watched.systems.team_adapters for kind in adapter.kinds}
    created = {kind for kind in kinds if kind.stage}

    # The platform declares one of the two kinds for the team's routes. The reference to a Secret is
    # declared as a part of its ServiceAccount; tests/lifecycle/test_removal.py takes it out.
    assert {each.id.kind for each in found} == created - {HTTP_ROUTE, PULL_SECRET}
    assert len(found) > 200


@pytest.mark.demand("drift", "teams that were just onboarded have no findings")
def test_newly_onboarded_teams_are_in_sync(watched: Watched) -> None:
    assert findings_of(watched.report()) == set()


@pytest.mark.demand(
    "drift",
    "every drift of the catalogue is found as the right class, and nothing else is "
    "reported; after remediate=all only unmarked extras are left, and they are "
    "deleted when named",
    "figure",
)
@pytest.mark.long
def test_every_change_and_deletion_is_found_and_remediated(
    watched: Watched, figure: Figure
) -> None:
    seen = watched.detect()
    everything = catalogue(watched, seen)
    done = 0
    for names in rounds(everything):
        changes = [each for each in catalogue(watched, seen) if each.name in names]
        seen = check(watched, changes, seen)
        done += len(changes)
    kinds = {each.id.kind for each in everything}
    figure(f"{done} changes of {len(kinds)} kinds in {len(rounds(everything))} rounds")
    assert done == sum(not each.alone for each in everything)


@pytest.mark.demand(
    "drift",
    "every drift of the catalogue is found as the right class, and nothing else is "
    "reported; after remediate=all only unmarked extras are left, and they are "
    "deleted when named",
    "figure",
)
def test_every_extra_is_found_and_removed(watched: Watched, figure: Figure) -> None:
    found = extras(watched.team("shop"))
    check(watched, found, watched.detect())
    figure(f"{len(found)} extras")


@pytest.mark.parametrize("kind", ["Namespace", "project", "group"])
def test_deleting_a_container_reports_its_contents_as_missing(kind: str, watched: Watched) -> None:
    (first, *_) = (
        m
        for m in catalogue(watched, watched.detect())
        if m.id.kind.name == kind and m.name[:6] == "delete"
    )
    check(watched, [first], watched.detect())


@pytest.mark.parametrize("kind", ["Namespace", "group", "client", "NetworkPolicy"])
def test_a_resource_without_its_mark_is_reported_and_not_changed(
    kind: str, watched: Watched
) -> None:
    (first, *_) = (
        m
        for m in catalogue(watched, watched.detect())
        if m.id.kind.name == kind and m.alone and not m.is_remediated
    )
    first.act(watched.systems)
    detected = watched.detect()
    assert findings_of(detected.report) == first.expected
    remediate(watched.systems, detected)
    assert findings_of(watched.report()) == first.expected


@pytest.mark.demand("drift", "random sets of changes are found and remediated")
@pytest.mark.long
def test_any_set_of_changes_is_found_and_remediated(
    watched: Watched, whole: bool, figure: Figure
) -> None:
    examples, largest = (60, 25) if whole else (8, 12)
    sizes: list[int] = []

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(numbers=st.lists(st.integers(0, 999), min_size=1, max_size=largest, unique=True))
    def any_set(numbers: list[int]) -> None:
        seen = watched.detect()
        chosen = drawn(watched, numbers, seen)
        check(watched, chosen, seen)
        sizes.append(len(chosen))

    any_set()
    figure(f"{len(sizes)} sets with {sum(sizes)} changes")
    assert len(sizes) >= examples
