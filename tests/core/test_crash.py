"""Onboarding is killed at each of its requests; the next run completes it."""

from collections import Counter
from collections.abc import Callable
from uuid import uuid4

import pytest

from tenantry.errors import SystemUnavailable
from tenantry.locks import NoLock
from tenantry.onboarding import onboard, onboard_many, plan_all
from tenantry.outcomes import Outcome
from tests.support.crash import MOMENTS, Check, Crash, Driver, Procedure
from tests.support.harness import PLATFORM, REALM, SHOP, Bench, Data
from tests.support.invariants import assert_in_sync, others
from tests.support.wire import Kill, Killed, Moment, Wire

pytestmark = pytest.mark.demand("robust", "all of tests/core/test_crash.py")

DATA: Data = {"name": "data"}
CHANGEABLE: Data = {**SHOP, "harbor": {"storage_quota": "10Gi", "public": False}}
SHARED: Data = {
    **PLATFORM,
    "keycloak": {"parent_group": "teams"},
    "defaults": {"harbor": {"groups": {"all-teams-admin": "projectAdmin"}}},
}


def neighbours(bench: Bench) -> None:
    """Onboard another team, and create undeclared resources."""
    bench.declare(DATA)
    bench.onboard()
    client = bench.systems.harbor_client
    client.post("/projects", {"project_name": "legacy"})
    access = [{"resource": "repository", "action": "pull"}]
    rights = [{"kind": "project", "namespace": "legacy", "access": access}]
    robot = {"name": "pull-a", "level": "project", "duration": -1, "permissions": rights}
    client.post("/robots", robot)
    kubernetes = bench.sandbox.kubernetes
    kubernetes.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "legacy"}})
    secret = {"name": "harbor-pull", "namespace": "legacy"}
    kubernetes.put({"apiVersion": "v1", "kind": "Secret", "metadata": secret})


def change_by_hand(bench: Bench) -> None:
    """Change team shop by hand, so that its remediation takes writes of each sort."""
    harbor, kubernetes = bench.sandbox.harbor, bench.sandbox.kubernetes
    project = harbor.projects["team-shop"]
    project.metadata["public"] = "true"
    assert project.quota
    project.quota.hard = 1
    for member in project.members.values():
        member.role_id = 3 if member.entity_type == "g" else member.role_id
    pull = next(
        r for r in harbor.robots.values() if (r.name, r.project_id) == ("pull-a", project.id)
    )
    pull.secret_hash = "0" * 64
    ci = next(r for r in harbor.robots.values() if (r.name, r.project_id) == ("ci-a", project.id))
    ci.disabled = True
    group = bench.sandbox.keycloak.realms[REALM].child_named(None, "team-shop")
    assert group is not None
    group.attributes["tenantry.io/team"] = ["data"]
    kubernetes.delete("Secret", "harbor-ci", "team-shop")
    kubernetes.delete("NetworkPolicy", "tenantry-default-deny", "team-shop")
    binding = kubernetes.get("RoleBinding", "tenantry-team", "team-shop")
    assert binding is not None
    kubernetes.delete("RoleBinding", "tenantry-team", "team-shop")
    binding["roleRef"]["name"] = "view"
    kubernetes.put(binding)


def onboarding_of(bench: Bench, name: str) -> Procedure:
    def procedure() -> None:
        with bench.process() as systems:
            onboard(systems, bench.team(name))

    return procedure


def onboarding_of_all(bench: Bench) -> Procedure:
    """Return a procedure that onboards all teams at once, and tries again those whose error is transient."""

    def procedure() -> None:
        with bench.process() as systems:
            left = {team.name: team for team in bench.teams}

            def finished(outcome: Outcome) -> None:
                if outcome.error is None:
                    left.pop(outcome.team)
                elif not isinstance(outcome.error, SystemUnavailable):
                    raise outcome.error

            for _ in range(5):
                teams = list(left.values())
                onboard_many(systems, teams, plan_all(systems, teams), NoLock(), finished)
            assert not left, "some teams are not onboarded after five tries"

    return procedure


def check_for(bench: Bench, *names: str) -> Check:
    """Return a check that all teams are in sync, and that the resources of others are unchanged."""
    teams = [bench.team(name) for name in names]
    before = others(bench.sandbox, teams)

    def check() -> None:
        assert_in_sync(bench)
        assert others(bench.sandbox, teams) == before

    return check


# Onboarding


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@pytest.mark.demand(
    "robust",
    "onboarding killed before and after each request: in sync after the next run, "
    "nothing twice, no orphan, a pull Secret that authenticates against Harbor",
    "crashes",
)
@pytest.mark.parametrize("moment", MOMENTS)
def test_onboarding_killed_at_any_request_is_finished_by_the_next_run(
    moment: Moment, bench: Bench, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    """At each request with `--whole`, otherwise at some; so do the other tests of this module."""
    neighbours(bench)
    bench.declare(SHOP, DATA)
    driver = Driver(bench.sandbox, onboarding_of(bench, "shop"), check_for(bench, "shop"))
    crashes = driver.everywhere([moment], every=1 if whole else 4)
    record_property("crashes", crashes)
    assert crashes > (30 if whole else 6)


@pytest.mark.demand("robust", "the same while it remediates manual changes", "crashes")
@pytest.mark.long
def test_mending_killed_at_any_request_is_finished_by_the_next_run(
    bench: Bench, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    neighbours(bench)
    bench.declare(CHANGEABLE, DATA)
    bench.onboard("shop")
    check = check_for(bench, "shop")
    change_by_hand(bench)
    driver = Driver(bench.sandbox, onboarding_of(bench, "shop"), check)
    crashes = driver.everywhere(every=1 if whole else 6)
    record_property("crashes", crashes)
    assert crashes > (60 if whole else 8)


@pytest.mark.demand("robust", "the run that continues is killed too, seeded", "crashes")
@pytest.mark.parametrize("seed", range(3))
def test_the_run_that_goes_on_may_be_killed_too(
    seed: int, bench: Bench, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    neighbours(bench)
    bench.declare(SHOP, DATA)
    driver = Driver(bench.sandbox, onboarding_of(bench, "shop"), check_for(bench, "shop"))
    runs = 20 if whole else 1
    crashes = driver.seeded(seed, runs, crashes=2)
    record_property("crashes", crashes)
    assert crashes >= runs


@pytest.mark.demand(
    "robust", "the same with sixteen threads, seeded: 16 teams that share a group", "crashes"
)
@pytest.mark.long
def test_sixteen_threads_killed_at_random_leave_what_the_next_run_finishes(
    bench: Bench, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    names = [f"t{number:02}" for number in range(16)]
    bench.declare(*({"name": name} for name in names), platform=SHARED)
    names = [team.oidc_group for team in bench.teams]

    def check() -> None:
        assert_in_sync(bench)
        groups = bench.sandbox.keycloak.realms[REALM].groups.values()
        assert Counter(group.name for group in groups) == Counter(["teams", *names])

    driver = Driver(bench.sandbox, onboarding_of_all(bench), check, wide=True)
    runs = 20 if whole else 1
    crashes = driver.seeded(1, runs, crashes=2)
    record_property("crashes", crashes)
    assert crashes >= runs / 2  # a run that makes fewer requests than the first ends by itself


# The driver itself


def test_a_procedure_that_makes_something_twice_is_found_and_the_request_named(
    bench: Bench,
) -> None:
    bench.declare(SHOP)
    bench.onboard()

    def careless() -> None:
        with bench.process() as systems:
            body = {"project_name": f"new-{uuid4()}"}
            if len(bench.sandbox.harbor.projects) == 2 or not has_note(bench):
                systems.harbor_client.post("/projects", body)
                note(bench)

    def has_note(bench: Bench) -> bool:
        return bench.sandbox.kubernetes.get("Namespace", "note") is not None

    def note(bench: Bench) -> None:
        with bench.process() as systems:
            metadata = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "note"}}
            systems.home_cluster.apply(metadata, force=False)

    def check() -> None:
        assert len(bench.sandbox.harbor.projects) == 3

    with pytest.raises(AssertionError) as found:
        Driver(bench.sandbox, careless, check).everywhere()
    (told,) = found.value.__notes__
    assert told == "killed after request 4, POST /api/v2.0/projects"


def test_after_the_kill_nothing_gets_through_whatever_the_procedure_handles(bench: Bench) -> None:
    bench.declare(SHOP)
    tried = 0

    def stubborn() -> None:
        nonlocal tried
        with bench.process() as systems:
            for name in ("a", "b", "c"):
                try:
                    systems.harbor_client.post("/projects", {"project_name": name})
                except Killed:
                    tried += 1
            raise Killed

    with Wire(Kill(5, "before")), pytest.raises(Killed):
        stubborn()
    assert tried == 2
    assert sorted(bench.sandbox.harbor.projects) == ["a", "library"]


def test_what_is_killed_after_a_request_was_done_all_the_same(bench: Bench) -> None:
    bench.declare(SHOP)
    with Wire(Kill(4, "after")) as wire, pytest.raises(Killed):
        bench.systems.harbor_client.post("/projects", {"project_name": "made"})
    assert str(wire.requests[-1]) == "request 4, POST /api/v2.0/projects"
    assert "made" in bench.sandbox.harbor.projects


def test_every_run_begins_from_what_was_there_when_the_driver_was_made(bench: Bench) -> None:
    neighbours(bench)
    bench.declare(SHOP, DATA)
    before = others(bench.sandbox, [])
    bench.sandbox.clock.move(86_400)
    driver = Driver(bench.sandbox, onboarding_of(bench, "shop"), lambda: None)
    driver.crash(Crash(20, "after"))
    assert "team-shop" in bench.sandbox.harbor.projects
    bench.sandbox.clock.move(86_400)
    driver.crash(Crash(1, "before"), Crash(1, "before"))
    bench.sandbox.harbor.projects.pop("team-shop")
    driver._start.restore()
    assert others(bench.sandbox, []) == before
