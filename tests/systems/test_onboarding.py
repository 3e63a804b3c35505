"""The whole walk on all systems: one run, exact counts, crashes and concurrent changes."""

import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from tenantry import explain
from tenantry.declared import Team
from tenantry.errors import ChangedMeanwhile, NotEffective, SystemRefused, SystemUnavailable
from tenantry.locks import NoLock
from tenantry.onboarding import onboard, onboard_many, plan_all
from tenantry.outcomes import Outcome
from tenantry.plan import Change, Plan
from tenantry.resources import Observed
from tenantry.sandbox import Sandbox
from tenantry.systems.harbor.kinds import PROJECT
from tenantry.walk import apply_stages, observe_owners
from tests.support.harness import PLATFORM, REALM, SHOP, Bench, Data, actions, ids
from tests.support.narrowing import present

Record = Callable[[str, object], None]

RICH: Data = {
    "name": "shop",
    "harbor": {
        "storage_quota": "10Gi",
        "retention": {"rules": [{"latest_pushed": 3}]},
        "immutable_tags": [{"tags": "v*"}],
        "groups": {"all-teams-admin": "maintainer"},
    },
    "members": ["ann", "bob"],
    "robots": {"scan": {"access": ["repository:read"]}},
    "further_namespaces": {"jobs": {"mesh": False}},
    "namespace": {"quota": {"pods": 50}, "limits": {"default": {"cpu": "500m"}}},
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
    "routes": {
        "web": {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]},
    },
}


@pytest.fixture
def people(sandbox: Sandbox) -> None:
    """Create the users that RICH declares as members."""
    for name in ("ann", "bob"):
        sandbox.keycloak.add_user(REALM, name)


def many(number: int) -> list[Data]:
    return [{"name": f"t{index:02}"} for index in range(number)]


# One pass


@pytest.mark.demand("onboard", "onboarding finishes in one pass")
@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("team", [SHOP, RICH], ids=["plain", "rich"])
def test_one_pass_onboards_a_team_and_a_second_finds_nothing_to_do(
    team: Data, bench: Bench
) -> None:
    bench.declare(team)
    outcome = bench.onboard()
    assert outcome.is_done
    assert outcome.plan is not None
    assert outcome.done == outcome.plan.changes
    assert {change.action for change in outcome.done} == {"create"}
    bench.sandbox.requests.reset()
    again = bench.onboard()
    assert again.done == ()
    assert bench.sandbox.requests.writes() == 0


@pytest.mark.usefixtures("people")
def test_what_a_dry_run_plans_is_what_is_done_and_planning_writes_nothing(bench: Bench) -> None:
    bench.declare(RICH)
    before = bench.sandbox.harbor.dump()["projects"], bench.sandbox.kubernetes.objects
    planned = ids(bench.plan().changes)
    assert bench.sandbox.requests.writes() == 0
    assert (bench.sandbox.harbor.dump()["projects"], bench.sandbox.kubernetes.objects) == before
    assert ids(bench.onboard().done) == planned


def test_each_change_is_reported_when_it_is_done(bench: Bench) -> None:
    bench.declare(SHOP)
    told: list[str] = []

    def report(change: Any) -> None:
        told.append(str(change.id))
        if change.id.kind == PROJECT:
            assert "team-shop" in bench.sandbox.harbor.projects

    outcome = onboard(bench.systems, bench.team(), report=report)
    assert told == ids(outcome.done)


def test_another_process_finds_the_team_applied_as_declared(bench: Bench) -> None:
    bench.declare(SHOP)
    assert bench.systems.not_applied(bench.teams) == bench.teams
    bench.onboard()
    bench.declare(SHOP)
    assert bench.systems.not_applied(bench.teams) == []
    bench.declare({**SHOP, "contact": "#shop"})
    assert bench.systems.not_applied(bench.teams) == bench.teams
    assert ids(bench.plan().changes) == ["kubernetes/Namespace mark/team-shop"]


def test_whether_teams_are_new_costs_one_read_for_many(bench: Bench) -> None:
    bench.declare(*many(30))
    assert len(bench.systems.not_applied(bench.teams)) == 30
    assert per_system(bench) == {"kubernetes reads": 1}


# Exact counts


def per_system(bench: Bench) -> dict[str, int]:
    """Return the calls since the last count, without logins and checks of credentials."""
    counts: Counter[str] = Counter()
    for kind, number in bench.sandbox.requests.counts().items():
        if kind.template == "/service/token":
            counts["harbor probes"] += number
        elif kind.template.endswith(("/c/login", "/token")):
            counts[f"{kind.system} logins"] += number
        else:
            counts[f"{kind.system} {'writes' if kind.is_write else 'reads'}"] += number
    bench.sandbox.requests.reset()
    return dict(counts)


def record(record_property: Record, calls: dict[str, int], teams: int) -> None:
    """Record the calls of a second run, with those of Otomi's operator for the same teams."""
    writes = sum(number for kind, number in calls.items() if kind.endswith("writes"))
    harbor = calls["harbor reads"] + calls["harbor probes"]
    record_property("writes", f"{writes} for {teams} teams (Otomi's operator: {9 * teams + 1})")
    record_property("Harbor", f"{harbor} for {teams} teams (Otomi's operator: {15 * teams + 2})")
    record_property("Keycloak", f"{calls['keycloak reads']} for {teams} teams")
    record_property("Kubernetes", f"{calls['kubernetes reads']} for {teams} teams")


@pytest.mark.parametrize("teams", [1, 30])
def test_a_first_run_makes_an_exact_number_of_calls(teams: int, bench: Bench) -> None:
    bench.declare(*many(teams))
    onboard_all(bench)
    assert per_system(bench) == {
        "harbor logins": 1,
        # twice for the login's token and once for the registry's name, the list of projects,
        # and whether there is the team's group
        "harbor reads": 3 + 1 + teams,
        # project, group, membership, two robots
        "harbor writes": 5 * teams,
        "harbor probes": 2 * teams,
        "keycloak logins": 1,
        "keycloak reads": 1,
        "keycloak writes": teams,
        # the UID of the cluster, the ClusterRole, the namespaces, all marked namespaces since these
        # teams may have others, the routes of both kinds, each namespace before it is made, each
        # ServiceAccount
        "kubernetes reads": 1 + 1 + 1 + 1 + 2 + 2 * teams,
        # the ClusterRole; namespace, five NetworkPolicies, RoleBinding, two Secrets,
        # ServiceAccount, and the mark that all is applied
        "kubernetes writes": 1 + 11 * teams,
    }


SECOND_RUN = (
    pytest.mark.demand("onboard", "a second run on unchanged teams writes nothing", "writes"),
    pytest.mark.demand(
        "onboard",
        "its Harbor reads: exactly 3 a team, 1 a robot's credential, 1 each for "
        "declared retention and immutable tags, and pages",
        "Harbor",
    ),
    pytest.mark.demand(
        "onboard",
        "its Keycloak reads: exactly 1 for all teams, or 2 and 1 a team with members",
        "Keycloak",
    ),
    pytest.mark.demand(
        "onboard",
        "its Kubernetes reads: exactly 9 for all teams, and 1 a managed Secret",
        "Kubernetes",
    ),
)


def second_run(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test as a proof of the demands on the calls of a second run."""
    for mark in SECOND_RUN:
        test = mark(test)
    return test


@pytest.mark.demand("onboard", "onboarding finishes in one pass")
@second_run
@pytest.mark.parametrize("teams", [1, 30])
def test_a_second_run_writes_nothing_and_makes_an_exact_number_of_calls(
    teams: int, bench: Bench, record_property: Record
) -> None:
    bench.declare(*many(teams))
    onboard_all(bench)
    bench.sandbox.requests.reset()
    onboard_all(bench)
    calls = per_system(bench)
    record(record_property, calls, teams)
    assert calls == {
        "harbor reads": 3 * teams + 1,
        "harbor probes": 2 * teams,
        "keycloak reads": 1,
        # the ClusterRole, and one list each of namespaces, quotas, limits, policies, bindings,
        # routes of both kinds and ServiceAccounts, whatever the number of teams; and each Secret
        "kubernetes reads": 9 + 2 * teams,
    }


@second_run
def test_each_further_declared_resource_costs_an_exact_number_of_calls(
    bench: Bench, record_property: Record
) -> None:
    teams = 6
    declared = []
    for index in range(teams):
        name = f"t{index}"
        route = {"host": f"{name}.example.com", "paths": [{"service": "front", "port": 80}]}
        declared.append({**RICH, "name": name, "routes": {"web": route}})
    for name in ("ann", "bob"):
        bench.sandbox.keycloak.add_user(REALM, name)
    bench.declare(*declared)
    onboard_all(bench)
    bench.sandbox.requests.reset()
    onboard_all(bench)
    calls = per_system(bench)
    record(record_property, calls, teams)
    assert calls == {
        # summary, members and robots; retention policy; immutable-tag rules; and the one page
        "harbor reads": (3 + 1 + 1) * teams + 1,
        "harbor probes": 3 * teams,
        # groups, clients, and the members of each group
        "keycloak reads": 2 + teams,
        # as above; pull Secrets in two namespaces, ci, scan and the client's
        "kubernetes reads": 9 + 5 * teams,
    }


def onboard_all(bench: Bench) -> list[Outcome]:
    """Onboard all teams with one observation, as a batch does."""
    seen = observe_owners(bench.systems.team_adapters, bench.teams)
    plans = plan_all(bench.systems, bench.teams, seen)
    return [apply_plan(bench, outcome, seen) for outcome in plans]


def apply_plan(bench: Bench, outcome: Outcome, seen: Observed) -> Outcome:
    """Apply a plan without observing again."""
    assert outcome.plan
    done: list[Change] = []
    apply_stages(bench.systems, outcome.plan, seen, report=done.append)
    return replace(outcome, done=tuple(done))


# Crashes and lost answers


def as_it_must_be(bench: Bench) -> None:
    """One of each, all of it working, and nothing left to do."""
    assert bench.plan() == Plan("shop")
    assert sorted(bench.sandbox.harbor.projects) == ["library", "team-shop"]
    robots = sorted(robot.name for robot in bench.sandbox.harbor.robots.values())
    assert robots == ["ci-a", "pull-a"]
    groups = [group.name for group in bench.sandbox.keycloak.realms[REALM].groups.values()]
    assert groups == ["team-shop"]
    members = bench.sandbox.harbor.projects["team-shop"].members.values()
    assert sum(member.entity_type == "g" for member in members) == 1
    assert bench.can_log_in("harbor-pull")
    assert bench.can_log_in("harbor-ci")
    assert bench.systems.not_applied(bench.teams) == []


def anew(bench: Bench) -> Iterator[Bench]:
    """Return a function that resets the sandbox to its empty state."""
    sandbox = bench.sandbox
    systems: tuple[Any, ...] = (sandbox.harbor, sandbox.keycloak, sandbox.kubernetes)
    pristine = [system.dump() for system in systems]
    while True:
        for system, held in zip(systems, pristine, strict=True):
            system.load(held)
        sandbox.requests.reset()
        yield bench.declare(SHOP)


@pytest.mark.long
def test_the_answer_to_any_write_may_be_lost_and_nothing_is_made_twice(bench: Bench) -> None:
    rounds = anew(bench)
    next(rounds).onboard()
    writes = bench.sandbox.requests.writes()
    for lost, fresh in zip(range(writes), rounds, strict=False):
        inject(bench, lost, "lost")
        with pytest.raises(SystemUnavailable) as failure:
            fresh.onboard()
        assert "no answer" in str(failure.value)
        until_done(fresh)
        as_it_must_be(fresh)


@pytest.mark.long
def test_any_write_may_fail_temporarily_and_the_next_run_continues(bench: Bench) -> None:
    rounds = anew(bench)
    next(rounds).onboard()
    writes = bench.sandbox.requests.writes()
    for failed, fresh in zip(range(writes), rounds, strict=False):
        inject(bench, failed, 503)
        with pytest.raises(SystemUnavailable) as failure:
            fresh.onboard()
        assert failure.value.status == 503
        until_done(fresh)
        as_it_must_be(fresh)


@pytest.mark.parametrize("fault", ["lost", 502])
def test_a_failed_read_is_repeated_three_times_at_most(fault: Any, bench: Bench) -> None:
    bench.declare(SHOP)
    bench.onboard()
    reads = bench.sandbox.requests
    reads.reset()
    bench.plan()
    total = reads.total()
    for system in ("harbor", "keycloak", "kubernetes"):
        left = 3

        def fail(name: str, method: str, path: str, system: str = system) -> Any:
            nonlocal left
            if name != system or not left:
                return None
            left -= 1
            return fault

        bench.sandbox.fault_for = fail
        reads.reset()
        assert bench.plan().is_empty
        assert reads.total() == total + 3
    bench.sandbox.fault_for = lambda system, method, path: fault
    with pytest.raises(SystemUnavailable):
        bench.plan()


def inject(bench: Bench, number: int, fault: Any) -> None:
    """Inject a fault into one write; `number` counts from 0, from now on."""
    left = number

    def fault_for(system: str, method: str, path: str) -> Any:
        nonlocal left
        if method == "GET" or path.endswith(("/c/login", "/token")):
            return None
        left -= 1
        return fault if left == -1 else None

    bench.sandbox.fault_for = fault_for


def until_done(bench: Bench) -> None:
    """Repeat a run three times at most, as a task does after a temporary failure."""
    for attempt in range(3):
        try:
            bench.onboard()
        except (SystemUnavailable, NotEffective):
            if attempt == 2:
                raise
        else:
            return


def test_the_intent_survives_a_crash_between_namespace_and_project(bench: Bench) -> None:
    """The project that is then there was made by us: its answer was lost, or the process died."""
    bench.declare(SHOP)
    bench.apply_only(["Kubernetes"])
    namespace = bench.sandbox.kubernetes.get("Namespace", "team-shop")
    assert namespace is not None
    assert namespace["metadata"]["annotations"]["tenantry.io/harbor-project"] == "team-shop"
    assert "team-shop" not in bench.sandbox.harbor.projects
    bench.systems.harbor_client.post("/projects", {"project_name": "team-shop"})
    bench.declare(SHOP)
    plan = bench.plan()
    assert plan.refusals == ()
    assert "harbor/project/team-shop" not in actions(plan)
    bench.onboard()
    as_it_must_be(bench)


# Many at once


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_twenty_teams_with_a_new_group_in_common_are_onboarded_by_sixteen_threads(
    bench: Bench,
) -> None:
    platform = {**PLATFORM, "defaults": {"harbor": {"groups": {"all-teams-admin": "projectAdmin"}}}}
    bench.declare(*many(20), platform=platform)
    seen = observe_owners(bench.systems.team_adapters, bench.teams)
    planned = {each.team: each for each in plan_all(bench.systems, bench.teams, seen)}

    def work(team: Team) -> None:
        for attempt in range(4):
            try:
                if attempt == 0:
                    apply_plan(bench, planned[team.name], seen)
                else:
                    onboard(bench.systems, team)
            except ChangedMeanwhile:
                if attempt == 3:
                    raise
            else:
                return

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, bench.teams))
    assert all(
        outcome.plan == Plan(outcome.team) for outcome in plan_all(bench.systems, bench.teams)
    )
    groups = [group.name for group in bench.sandbox.harbor.groups.values()]
    assert groups.count("all-teams-admin") == 1
    for team in bench.teams:
        assert bench.can_log_in("harbor-pull", team.home_namespace)
        assert bench.can_log_in("harbor-ci", team.home_namespace)


def test_one_team_onboarded_by_eight_threads_at_once_ends_as_declared(bench: Bench) -> None:
    bench.declare(SHOP)

    def work(number: int) -> None:
        until_done(bench)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    bench.declare(SHOP)
    bench.onboard()
    as_it_must_be(bench)


# One team's trouble is its own


def test_a_team_that_cannot_be_read_leaves_the_others_planned(bench: Bench) -> None:
    bench.declare(SHOP, {"name": "data"})
    onboard_all(bench)
    number = bench.sandbox.harbor.projects["team-data"].id
    members = f"/api/v2.0/projects/{number}/members"
    bench.sandbox.fault_for = lambda system, method, path: 500 if path == members else None
    data, shop = plan_all(bench.systems, bench.teams)
    assert (data.team, data.plan) == ("data", None)
    assert isinstance(data.error, SystemUnavailable)
    assert data.error.call == f"GET {members}"
    assert shop.plan == Plan("shop")


def test_a_team_that_cannot_be_read_under_the_lock_is_looked_at_by_the_next_try(
    bench: Bench,
) -> None:
    bench.declare(SHOP)
    bench.onboard()
    bench.declare({**SHOP, "harbor": {"storage_quota": "5Gi"}})
    planned = plan_all(bench.systems, bench.teams)
    number = bench.sandbox.harbor.projects["team-shop"].id
    members = f"/api/v2.0/projects/{number}/members"
    bench.sandbox.fault_for = lambda system, method, path: 500 if path == members else None
    outcomes: list[Outcome] = []
    onboard_many(bench.systems, bench.teams, planned, NoLock(), outcomes.append)
    assert isinstance(outcomes[0].error, SystemUnavailable)
    assert outcomes[0].has_changes
    bench.sandbox.fault_for = lambda system, method, path: None
    onboard_many(bench.systems, bench.teams, outcomes[:1], NoLock(), outcomes.append)
    assert outcomes[1].error is None
    assert bench.plan() == Plan("shop")


def test_a_refusal_names_what_is_in_the_way_and_the_rest_of_the_team_is_done(bench: Bench) -> None:
    bench.declare(SHOP)
    bench.systems.harbor_client.post("/projects", {"project_name": "team-shop"})
    with pytest.raises(SystemRefused) as refused:
        bench.onboard()
    assert "harbor/project/team-shop: it exists and Tenantry did not create it" in str(
        refused.value
    )
    assert bench.sandbox.kubernetes.get("Namespace", "team-shop") is not None
    assert bench.sandbox.keycloak.realms[REALM].child_named(None, "team-shop") is not None
    assert bench.systems.not_applied(bench.teams) == bench.teams


# Secrets


@pytest.mark.usefixtures("people")
def test_no_secret_shows_anywhere_but_in_its_secret(bench: Bench) -> None:
    told: list[Any] = []
    bench.declare(RICH)
    harbor = bench.sandbox.harbor
    for _ in range(2):
        seen = bench.observe()
        plan = bench.systems.plan(bench.team(), seen)
        told += [plan, seen.live, plan.changes]
        outcome = bench.onboard()
        told += [outcome, explain.rows(outcome.done), explain.document([outcome])]
        out = StringIO()
        Console(file=out, width=400).print(explain.table([outcome]))
        told.append(out.getvalue())
        # Now mend: a lost Secret, and a robot and a client whose secret somebody changed.
        bench.sandbox.kubernetes.delete("Secret", "harbor-ci", "team-shop")
        robot = next(each for each in harbor.robots.values() if each.name == "pull-a")
        bench.systems.harbor_client.patch(f"/robots/{robot.id}", {})
        client = present(bench.sandbox.keycloak.realms[REALM].client_named("team-shop-web"))
        client["secret"] = "Somebody" + "x" * 24
    inject(bench, 0, "lost")
    with pytest.raises(SystemUnavailable) as failure:
        bench.onboard()
    told += [failure.value, failure.value.__cause__, failure.value.__dict__]
    issued = [*harbor.issued_secrets, client["secret"], harbor_password(bench)]
    assert len(issued) >= 8
    stored = pickle.dumps([outcome, plan]).decode("latin-1")
    text = "\n".join(f"{each}\n{each!r}" for each in [*told, stored])
    assert "team-shop+pull-a" in text
    assert [secret for secret in issued if secret in text] == []


def harbor_password(bench: Bench) -> str:
    return bench.sandbox.addresses()["harbor"]["password"]
