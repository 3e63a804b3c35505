"""Invariant 1: no team file of Mallory changes a byte of anything that is not hers.

Team files are generated from the published JSON Schema (`team_files.py`). They are validated and
planned, and run end to end among bystanders (`town.py`): onboarding, drift with `remediate: all`,
rotation including `compromised`, and a run for the platform. `make test` has a sample; `make test-long`
and `make show-isolation` do the rest.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest
import stamina
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tenantry import declared
from tenantry.plan import Change, Refusal
from tenantry.resources import Observed, Resource
from tenantry.systems.systems import Systems
from tests.isolation.all_flows import run_all
from tests.isolation.snapshot import Names
from tests.isolation.team_files import NAME, files
from tests.isolation.town import (
    BYSTANDERS,
    GONE,
    HOUSE_LIMITS,
    ISOLATION_ONLY,
    Town,
    yaml_of,
)
from tests.support.harness import Data, connections

pytestmark = pytest.mark.demand("isolation", "all of tests/isolation/test_bystanders.py")

POLICIES = {"isolation rules only": ISOLATION_ONLY, "house limits": HOUSE_LIMITS}
SAMPLED = ["isolation rules only", pytest.param("house limits", marks=pytest.mark.long)]
"""In `make test`, the policy that admits more."""
STARTS = ("new", "known")
QUIET: dict[str, Any] = {
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": False,
    # Shrinking would run all flows hundreds of times, and the files are readable without it.
    "phases": (Phase.generate,),
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Town]]:
    """Return a function that returns the town of a policy, created once for the module."""
    with ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=4, cap=True))

        @cache
        def made(policy: str) -> Town:
            folder = tmp_path_factory.mktemp("town")
            return stack.enter_context(Town(folder, POLICIES[policy]))

        yield made


Note = Callable[[str, object], None]


def attack(town: Town, count: int, note: Note, *, derandomize: bool = False) -> None:
    """Run the flows with arbitrary files of Mallory, and fail for one that harms others.

    Args:
        town: the platform with the bystanders.
        count: the number of files.
        note: records a figure.
        derandomize: use the same files in each run.
    """
    tried = accepted = 0

    @settings(max_examples=count, derandomize=derandomize, **QUIET)
    @given(content=files(), start=st.sampled_from(STARTS))
    def holds(content: dict[str, Any], start: Any) -> None:
        nonlocal tried, accepted
        served = town.serve(content, start)
        tried += 1
        accepted += NAME in served.accepted
        failures = town.failures(served)
        assert not failures, (failures, content)
        harm = town.harm(content)
        assert not harm, (harm, content)

    holds()
    note("files", tried)
    note("accepted", accepted)
    assert tried >= count


def validate_and_plan(town: Town, count: int, note: Note, *, derandomize: bool = False) -> None:
    """Validate and plan arbitrary files, without any write."""
    folder, tried, accepted = town.folder, 0, 0
    path = folder / "teams" / f"{NAME}.yaml"

    @settings(max_examples=count, derandomize=derandomize, **QUIET)
    @given(content=files())
    def holds(content: dict[str, Any]) -> None:
        nonlocal tried, accepted
        tried += 1
        path.write_text(yaml_of(content))
        state = declared.read(folder)
        others = [file for file in state.left_out if file.file != f"teams/{path.name}"]
        assert not [file.definite for file in others if file.definite], (others, content)
        names = Names.of([content], OTHERS)
        with Systems(connections(town.sandbox), state) as systems:
            for team in state.teams.values():
                if team.name in OTHERS:
                    continue
                accepted += 1
                wanted = systems.desired(team, Observed())
                plan = systems.plan(team, Observed())
                found: list[Resource | Change | Refusal] = [*wanted, *plan.changes, *plan.refusals]
                outside = [str(item.id) for item in found if not names.own_resource(item.id)]
                assert not outside, (outside, content)

    town.sandbox.requests.reset()
    try:
        holds()
    finally:
        path.unlink(missing_ok=True)
    note("files", tried)
    assert town.sandbox.requests.writes() == 0, "neither validation nor planner writes"
    note("accepted", accepted)
    assert tried >= count


OTHERS = {team["name"] for team in BYSTANDERS}


# The snapshot notices every write


def test_without_mallory_all_flows_write_nothing(town: Callable[[str], Town]) -> None:
    made = town("isolation rules only")
    made.restart()
    assert not run_all(made.sandbox, made.folder).errors
    assert made.harm({}) == []


def _replace(kind: str, name: str, namespace: str, **content: Any) -> Callable[[Town], object]:
    def act(town: Town) -> None:
        found = town.sandbox.kubernetes.get(kind, name, namespace)
        assert found is not None
        town.sandbox.kubernetes.put({**found, **content})

    return act


def _annotate(name: str, namespace: str) -> Callable[[Town], object]:
    metadata = {"name": name, "namespace": namespace, "annotations": {"x": "y"}}
    return _replace("Secret", name, namespace, metadata=metadata)


def _realm(town: Town) -> Any:
    return town.sandbox.keycloak.realms["platform"]


def _join(town: Town, user: str, group: str) -> None:
    realm = _realm(town)
    realm.join(realm.user_named(user), realm.child_named(None, group))


def _mallorys_secret(town: Town, namespace: str) -> None:
    metadata = {"name": "harbor-pull", "namespace": namespace}
    town.sandbox.kubernetes.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})


WRITES: dict[str, Callable[[Town], object]] = {
    "a Secret of no team": _replace("Secret", "ca-key", "cert-manager", data={}),
    "a Secret of another team": _annotate("harbor-pull", "team-shop"),
    "a hand-made Secret": _replace("Secret", "hand-made", "team-mallory-lab", data={}),
    "a Secret of a removed team": _annotate("harbor-pull", "team-mallory-gone"),
    "a deleted Secret": lambda town: town.sandbox.kubernetes.delete(
        "Secret", "harbor-shop", "pipelines"
    ),
    "a Secret in a namespace with a longer name": lambda town: _mallorys_secret(
        town, "kube-system"
    ),
    "a namespace that is called like hers": lambda town: town.sandbox.kubernetes.put(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-mallory-other"}}
    ),
    "the members' ClusterRole": _replace("ClusterRole", "tenantry-team-member", "", rules=[]),
    "a member of another group": lambda town: _join(town, "mallory", "team-shop"),
    "a member of the administrators": lambda town: _join(town, "mallory", "platform-admins"),
    "a setting of the realm": lambda town: _realm(town).settings.update(loginTheme="x"),
    "a client of another team": lambda town: (
        _realm(town).client_named("team-mallory-lab-web").update(redirectUris=["*"])
    ),
    "a system robot": lambda town: setattr(
        next(r for r in town.sandbox.harbor.robots.values() if r.name == "replicator"),
        "disabled",
        True,
    ),
    "a robot of another team": lambda town: town.sandbox.harbor.robots.pop(
        next(r.id for r in town.sandbox.harbor.robots.values() if r.name == "hand-made")
    ),
    "a project of another team": lambda town: town.sandbox.harbor.projects[
        "team-data"
    ].metadata.update(public="true"),
    "a setting of Harbor": lambda town: town.sandbox.harbor.configuration.update(read_only=True),
}


@pytest.mark.demand("isolation", "the snapshot of that comparison notices each planted write")
@pytest.mark.parametrize("write", WRITES)
def test_the_snapshot_notices(town: Callable[[str], Town], write: str) -> None:
    made = town("isolation rules only")
    made.restart()
    WRITES[write](made)
    assert made.harm({"name": NAME, "further_namespaces": {"jobs": {}}})


# The invariant


@pytest.mark.parametrize(
    "content",
    [
        *({"name": team["name"]} for team in GONE),
        {"name": NAME, "further_namespaces": {"gone": {}}},
    ],
    ids=json.dumps,
)
def test_a_removed_team_is_not_taken_over(town: Callable[[str], Town], content: Data) -> None:
    made = town("isolation rules only")

    served = made.serve(content)

    assert not made.failures(served)
    assert not served.accepted & {team["name"] for team in GONE}
    assert made.harm(content) == []


@pytest.mark.parametrize("policy", SAMPLED)
def test_a_sample_of_files_harms_no_bystander(
    town: Callable[[str], Town], policy: str, record_property: Note
) -> None:
    attack(town(policy), 4, record_property, derandomize=True)


@pytest.mark.parametrize("policy", SAMPLED)
def test_a_sample_of_files_leads_to_own_resources(
    town: Callable[[str], Town], policy: str, record_property: Note
) -> None:
    validate_and_plan(town(policy), 25, record_property, derandomize=True)


@pytest.mark.demand(
    "isolation",
    "arbitrary team files of Mallory, end to end: onboarding, drift, rotation and "
    "platform run leave all of others byte for byte as it was (1,500 files)",
    "files",
    "accepted",
)
@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("policy", POLICIES)
def test_no_file_harms_a_bystander(
    town: Callable[[str], Town], policy: str, whole: bool, record_property: Note
) -> None:
    attack(town(policy), 750 if whole else 150, record_property)


@pytest.mark.demand(
    "isolation",
    "arbitrary team files of Mallory, validation and planner: every resource has a "
    "name of hers (10,000 files)",
    "files",
    "accepted",
)
@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_file_leads_to_own_resources(
    town: Callable[[str], Town], policy: str, whole: bool, record_property: Note
) -> None:
    validate_and_plan(town(policy), 5000 if whole else 1000, record_property)
