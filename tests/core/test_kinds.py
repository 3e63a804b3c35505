"""A kind of resource is defined in one module: this one adds a toy kind, and no other file knows it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tenantry import drift, explain
from tenantry.declared import Team
from tenantry.declared.faults import Place
from tenantry.drift.history import History
from tenantry.drift.reports import sarif
from tenantry.errors import SystemRefused
from tenantry.kinds import Kind
from tenantry.onboarding import onboard
from tenantry.plan import Change, Plan
from tenantry.resources import Id, Live, Observed, Resource
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.drift.catalogue import findings_of, mutations
from tests.drift.watch import remediate
from tests.support.harness import SHOP, Bench, connections

# The toy kind: a badge for each namespace of a team


def _place(team: Team, key: str, field: str) -> Place:
    return ("further_namespaces", "jobs", "labels") if key.endswith("-jobs") else ("namespace",)


BADGE = Kind(
    "harbor",
    "badge",
    "Harbor",
    removal="at once",
    needed_for_access=True,
    access_fields=("color",),
    immutable_fields=("shape",),
    place=_place,
)


class Badges:
    """An adapter that keeps badges in memory."""

    name = "Badges"
    system = "harbor"
    kinds = frozenset({BADGE})

    def __init__(self) -> None:
        self.store: dict[str, dict[str, Any]] = {}

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        fields = {"shape": "round", "color": {"front": "red", "back": "blue"}}
        return [Resource(Id(BADGE, f"{team.name}/{name}"), fields) for name in team.namespaces]

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        seen = Observed()
        for key, fields in self.store.items():
            team = key.partition("/")[0]
            if team in {each.name for each in teams}:
                seen.live[Id(BADGE, key)] = Live(fields, marked=True, team=team)
        return seen

    def apply(self, change: Change, observed: Observed) -> None:
        match change.action:
            case "delete":
                del self.store[change.id.key]
            case "create" | "update" | "replace":
                self.store[change.id.key] = json.loads(json.dumps(change.resource.fields))


TEAM = {**SHOP, "further_namespaces": {"jobs": {"labels": {"example.com/kind": "batch"}}}}
JOBS = "harbor/badge/shop/team-shop-jobs"


class Toy:
    """A team that is onboarded with badges."""

    def __init__(self, bench: Bench) -> None:
        self.badges = Badges()
        self.bench = bench.declare(TEAM)
        self.systems = Systems(
            connections(bench.sandbox),
            bench.state,
            extras=True,
            clock=bench.sandbox.clock.now,
            more_adapters=[lambda systems: self.badges],
        )
        self.team = bench.team()

    def detect(self) -> drift.Detected:
        seen = drift.observe(self.systems, [self.team], drift.SYSTEMS)
        return drift.detect(self.systems, [self.team], seen, drift.SYSTEMS)


@pytest.fixture
def toy(bench: Bench) -> Iterator[Toy]:
    made = Toy(bench)
    with made.systems:
        onboard(made.systems, made.team)
        yield made


@pytest.mark.demand(
    "structure",
    "a kind is defined once: plan, apply, drift, severity, location, remediation "
    "and the drift catalogue work for a toy kind of one module",
)
def test_it_is_planned_and_applied(toy: Toy) -> None:
    assert set(toy.badges.store) == {"shop/team-shop", "shop/team-shop-jobs"}
    assert toy.systems.plan(
        toy.team, observe_owners(toy.systems.team_adapters, [toy.team])
    ).is_empty

    toy.badges.store["shop/team-shop"]["shape"] = "square"
    plan = toy.systems.plan(toy.team, observe_owners(toy.systems.team_adapters, [toy.team]))

    assert [(row["action"], row["resource"]) for row in explain.rows(plan.changes)] == [
        ("replace", "harbor badge\nshop/team-shop")
    ]


@pytest.mark.demand(
    "structure",
    "a kind is defined once: plan, apply, drift, severity, location, remediation "
    "and the drift catalogue work for a toy kind of one module",
)
def test_one_that_is_no_longer_declared_is_pruned(toy: Toy) -> None:
    toy.badges.store["shop/old"] = {}

    done = onboard(toy.systems, toy.team).done

    assert [(change.action, str(change.id)) for change in done] == [
        ("delete", "harbor/badge/shop/old")
    ]


@pytest.mark.demand(
    "structure",
    "a kind is defined once: plan, apply, drift, severity, location, remediation "
    "and the drift catalogue work for a toy kind of one module",
)
def test_its_drift_is_reported_with_severity_and_location_and_remediated(toy: Toy) -> None:
    toy.badges.store["shop/team-shop-jobs"]["color"]["front"] = "green"
    del toy.badges.store["shop/team-shop"]
    toy.badges.store["shop/extra"] = {}

    detected = toy.detect()

    found = {str(each.resource): each for each in detected.report.findings}
    assert {name: (each.class_, each.severity) for name, each in found.items()} == {
        JOBS: ("changed", "warning"),
        "harbor/badge/shop/team-shop": ("missing", "critical"),
        "harbor/badge/shop/extra": ("extra", "warning"),
    }
    text = json.loads(sarif.text(detected.report, History.empty()))
    lines = {
        each["message"]["text"].split()[0]: each["locations"][0]["physicalLocation"]
        for each in text["runs"][0]["results"]
    }
    file = toy.bench.folder / "teams" / "shop.yaml"
    (line,) = (
        number
        for number, text in enumerate(Path(file).read_text().splitlines(), 1)
        if "labels" in text
    )
    assert lines[JOBS]["region"]["startLine"] == line

    remediate(toy.systems, detected)

    assert findings_of(toy.detect().report) == set()


@pytest.mark.demand(
    "structure",
    "a kind is defined once: plan, apply, drift, severity, location, remediation "
    "and the drift catalogue work for a toy kind of one module",
)
def test_the_catalogue_of_drift_has_its_deletion_and_each_of_its_fields(toy: Toy) -> None:
    seen = observe_owners(toy.systems.team_adapters, [toy.team])
    found = [each for each in mutations(toy.systems, toy.team, seen) if each.id.kind == BADGE]

    assert sorted(each.name for each in found if str(each.id) == JOBS) == [
        f"delete {JOBS}",
        f"{JOBS} color.back",
        f"{JOBS} color.front",
        f"{JOBS} shape",
    ]
    for each in found:
        each.act(toy.systems)
        detected = toy.detect()
        assert findings_of(detected.report) == each.expected
        remediate(toy.systems, detected)


@pytest.mark.demand(
    "structure", "a change of an unknown kind fails, and no two adapters apply one kind"
)
def test_a_change_of_a_kind_that_no_adapter_knows_fails(bench: Bench) -> None:
    """It must not be reported as done."""
    bench.declare(SHOP)
    change = Change("create", Resource(Id(BADGE, "shop/x"), {}), ())

    with pytest.raises(SystemRefused, match="Tenantry cannot create resources of the kind 'badge'"):
        bench.systems.apply(Plan("shop", (change,)), Observed())
    for adapter in (bench.systems.keycloak, bench.systems.harbor, bench.systems.credentials):
        with pytest.raises(SystemRefused, match="kind 'badge'"):
            adapter.apply(change, Observed())


@pytest.mark.demand(
    "structure", "a change of an unknown kind fails, and no two adapters apply one kind"
)
def test_no_two_adapters_apply_one_kind(bench: Bench) -> None:
    systems = bench.declare(SHOP).systems
    for adapters in (systems.team_adapters, systems.platform_adapters):
        kinds = [kind for adapter in adapters for kind in adapter.kinds]
        assert len(kinds) == len(set(kinds))
