"""Harbor: projects, quotas, members, retention and immutable tags; versions, logins, sessions."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from tenantry.connections import HarborAccount
from tenantry.errors import ChangedMeanwhile, SystemRefused, SystemUnavailable
from tenantry.plan import Plan
from tenantry.sandbox.harbor import SimulatedHarbor
from tenantry.sandbox.harbor.model import Group, Project
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.health import check_harbor
from tenantry.walk import observe_owners
from tests.support.harness import (
    ADOPTING,
    SHOP,
    Bench,
    Data,
    Prepare,
    actions,
    connections,
    found,
    granted,
    ids,
)

RULES = [{"latest_pushed": 3}, {"pulled_within_days": 30, "tags": "v*", "untagged": False}]
TEAM: Data = {
    "name": "shop",
    "harbor": {
        "role": "maintainer",
        "groups": {"auditors": "limitedGuest"},
        "storage_quota": "10Gi",
        "public": False,
        "auto_scan": True,
        "prevent_vulnerable": True,
        "severity": "high",
        "require_cosign": True,
        "retention": {"rules": RULES, "schedule": "0 3 * * *"},
        "immutable_tags": [{"tags": "v*"}, {"repositories": "release/**", "tags": "*"}],
    },
}
ROLES = {"projectAdmin": 1, "developer": 2, "guest": 3, "maintainer": 4, "limitedGuest": 5}


def onboard(bench: Bench) -> None:
    bench.declare(TEAM).onboard()


@pytest.fixture
def shop(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a bench with the onboarded team."""
    return begin(onboard)


def project(bench: Bench) -> Project:
    return bench.sandbox.harbor.projects["team-shop"]


def roles(bench: Bench) -> dict[str, int]:
    groups = bench.sandbox.harbor.groups
    return {
        groups[member.entity_id].name: member.role_id
        for member in project(bench).members.values()
        if member.entity_type == "g"
    }


def foreign(bench: Bench, **body: Any) -> None:
    """Create a project of another user with the team's name."""
    bench.systems.harbor_client.post("/projects", {"project_name": "team-shop", **body})


# Created


def test_the_project_is_made_as_declared(shop: Bench) -> None:
    made = project(shop)
    assert made.metadata.items() >= {
        ("public", "false"),
        ("auto_scan", "true"),
        ("prevent_vul", "true"),
        ("severity", "high"),
        ("enable_content_trust_cosign", "true"),
    }
    assert made.quota is not None
    assert made.quota.hard == 10 * 2**30
    assert roles(shop) == {"team-shop": 4, "auditors": 5}
    assert all(group.type == 3 for group in shop.sandbox.harbor.groups.values())
    assert len(made.immutable_rules) == 2
    assert made.retention is not None
    trigger = made.retention["trigger"]
    assert trigger["settings"]["cron"] == "0 0 3 * * *"
    assert [rule["template"] for rule in made.retention["rules"]] == [
        "latestPushedK",
        "nDaysSinceLastPull",
    ]


def test_what_is_not_declared_is_left_as_harbor_has_it(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    made = project(bench)
    assert made.quota is not None
    made.quota.hard = 123
    made.metadata |= {"auto_scan": "true", "prevent_vul": "true", "reuse_sys_cve_allowlist": "x"}
    made.immutable_rules.clear()
    assert bench.plan() == Plan("shop")


@pytest.mark.parametrize("role", ROLES)
def test_the_group_gets_the_declared_role(role: str, bench: Bench) -> None:
    bench.declare(
        {"name": "shop", "harbor": {"role": role}}, platform=granted("shop", project_admin=True)
    ).onboard()
    assert roles(bench) == {"team-shop": ROLES[role]}


def test_an_unlimited_quota_is_minus_one(bench: Bench) -> None:
    bench.declare({"name": "shop", "harbor": {"storage_quota": "unlimited"}}).onboard()
    quota = project(bench).quota
    assert quota is not None
    assert quota.hard == -1
    quota.hard = 5
    assert found(bench.plan()) == {
        "harbor/project/team-shop": {"storage_quota": ("5", "unlimited")}
    }


# Drift


def metadata(key: str, value: str) -> Callable[[Project], None]:
    return lambda held: held.metadata.update({key: value})


def without(key: str) -> Callable[[Project], Any]:
    return lambda held: held.metadata.pop(key)


def quota(size: int) -> Callable[[Project], None]:
    def change(held: Project) -> None:
        assert held.quota is not None
        held.quota.hard = size

    return change


def role(number: int, new: int) -> Callable[[Project], None]:
    def change(held: Project) -> None:
        groups = [member for member in held.members.values() if member.entity_type == "g"]
        groups[number].role_id = new

    return change


def no_member(held: Project) -> None:
    last = [key for key, member in held.members.items() if member.entity_type == "g"][-1]
    del held.members[last]


def rule(key: str, value: Any) -> Callable[[Project], None]:
    def change(held: Project) -> None:
        assert held.retention is not None
        held.retention["rules"][0][key] = value

    return change


def schedule(held: Project) -> None:
    assert held.retention is not None
    held.retention["trigger"]["settings"]["cron"] = "0 0 4 * * *"


def immutable(held: Project) -> None:
    next(iter(held.immutable_rules.values()))["disabled"] = True


def no_immutable(held: Project) -> None:
    del held.immutable_rules[next(iter(held.immutable_rules))]


TAGS = {
    "kind": "doublestar",
    "decoration": "matches",
    "pattern": "**",
    "extras": '{"untagged":true}',
}
LINES = ["latestPushedK 3 of **:** and untagged", "nDaysSinceLastPull 30 of **:v*"]
PROJECT = "harbor/project/team-shop"
POLICY = "harbor/retention policy/team-shop"
IMMUTABLE = "harbor/immutable-tag rule/team-shop/**:v*"


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@pytest.mark.parametrize(
    ("drift", "differences"),
    [
        (metadata("public", "true"), {PROJECT: {"public": (True, False)}}),
        (metadata("auto_scan", "false"), {PROJECT: {"auto_scan": (False, True)}}),
        (without("auto_scan"), {PROJECT: {"auto_scan": (None, True)}}),
        (metadata("prevent_vul", "false"), {PROJECT: {"prevent_vulnerable": (False, True)}}),
        (metadata("severity", "low"), {PROJECT: {"severity": ("low", "high")}}),
        (
            metadata("enable_content_trust_cosign", "false"),
            {PROJECT: {"require_cosign": (False, True)}},
        ),
        (quota(5 * 2**30), {PROJECT: {"storage_quota": ("5Gi", "10Gi")}}),
        (quota(-1), {PROJECT: {"storage_quota": ("unlimited", "10Gi")}}),
        (
            role(0, 1),
            {"harbor/member/team-shop/team-shop": {"role": ("projectAdmin", "maintainer")}},
        ),
        (role(1, 2), {"harbor/member/team-shop/auditors": {"role": ("developer", "limitedGuest")}}),
        (no_member, {"harbor/member/team-shop/auditors": {"role": (None, "limitedGuest")}}),
        (
            rule("params", {"latestPushedK": 5}),
            {POLICY: {"rules": ([LINES[0].replace("K 3", "K 5"), LINES[1]], LINES)}},
        ),
        (rule("disabled", True), {POLICY: {"rules": ([LINES[0] + ", disabled", LINES[1]], LINES)}}),
        (
            rule("tag_selectors", [TAGS, {**TAGS, "pattern": "v*"}]),
            {POLICY: {"rules": ([LINES[0].replace(":**", ":** and v*"), LINES[1]], LINES)}},
        ),
        (
            rule("tag_selectors", [TAGS, {**TAGS, "decoration": "excludes", "pattern": "v*"}]),
            {POLICY: {"rules": ([LINES[0].replace(":**", ":** and not v*"), LINES[1]], LINES)}},
        ),
        (
            rule("tag_selectors", [{k: v for k, v in TAGS.items() if k != "pattern"}]),
            {POLICY: {"rules": ([LINES[0].replace(":**", ":(empty)"), LINES[1]], LINES)}},
        ),
        (
            rule("tag_selectors", []),
            {POLICY: {"rules": ([f"{LINES[0].partition(':')[0]}:(none)", LINES[1]], LINES)}},
        ),
        (
            rule("tag_selectors", None),
            {POLICY: {"rules": ([f"{LINES[0].partition(':')[0]}:(none)", LINES[1]], LINES)}},
        ),
        (
            rule("scope_selectors", {}),
            {POLICY: {"rules": ([LINES[0].replace("of **", "of (none)"), LINES[1]], LINES)}},
        ),
        (schedule, {POLICY: {"schedule": ("0 0 4 * * *", "0 0 3 * * *")}}),
        (immutable, {IMMUTABLE: {"enabled": (False, True)}}),
        (no_immutable, {IMMUTABLE: {"enabled": (None, True)}}),
    ],
)
def test_drifted_fields_are_planned_exactly_and_repaired(
    drift: Callable[[Project], None], differences: dict[str, Any], shop: Bench
) -> None:
    before = shop.sandbox.harbor.dump()["projects"]
    drift(project(shop))
    assert found(shop.plan()) == differences
    shop.onboard()
    assert shop.plan() == Plan("shop")
    for each in (now := shop.sandbox.harbor.dump()["projects"]).values():
        each["updated"] = each["quota"]["updated"] = ""
    for each in before.values():
        each["updated"] = each["quota"]["updated"] = ""
    if drift not in (no_member, no_immutable):  # which come back under other numbers
        assert now == before


def test_a_lost_project_is_created_again_with_its_contents(shop: Bench) -> None:
    shop.systems.harbor_client.delete(f"/projects/{project(shop).id}")
    assert set(actions(shop.plan()).values()) <= {"create", "update"}
    shop.onboard()
    assert roles(shop) == {"team-shop": 4, "auditors": 5}
    assert shop.can_log_in("harbor-pull")
    assert shop.plan() == Plan("shop")


def test_another_order_of_permissions_and_rules_is_not_a_difference(shop: Bench) -> None:
    policy = project(shop).retention
    assert policy is not None
    policy["rules"].reverse()
    for _ in range(5):  # Harbor shows permissions in another order each time
        assert shop.plan() == Plan("shop")


# Whose it is


def test_a_project_that_is_not_ours_is_refused_and_nothing_is_written_in_it(bench: Bench) -> None:
    bench.declare(TEAM)
    foreign(bench)
    before = bench.sandbox.harbor.dump()
    with pytest.raises(SystemRefused, match="harbor/project/team-shop: it exists"):
        bench.onboard()
    after = bench.sandbox.harbor.dump()
    for kind in ("projects", "robots", "groups"):
        assert after[kind] == before[kind]
    assert bench.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop") is None
    namespace = bench.sandbox.kubernetes.get("Namespace", "team-shop")
    assert namespace is not None
    assert "tenantry.io/harbor-project" not in namespace["metadata"].get("annotations", {})
    assert ids(bench.plan().refusals) == [PROJECT]


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_project_that_differs_is_not_adopted_if_identical(bench: Bench) -> None:
    bench.declare({**TEAM, "adopt": "if-identical"}, platform=ADOPTING)
    foreign(bench, metadata={"public": "true"})
    before = bench.sandbox.harbor.dump()
    with pytest.raises(SystemRefused, match="it differs in"):
        bench.onboard()
    assert bench.sandbox.harbor.dump()["projects"] == before["projects"]


def test_a_project_whose_members_differ_is_not_adopted_if_identical(bench: Bench) -> None:
    """What is in a project would become ours with it, and be changed by the next run."""
    bench.declare({**SHOP, "adopt": "if-identical"}, platform=ADOPTING)
    foreign(bench, metadata={"public": "false"})
    group = {"group_name": "team-shop", "group_type": 3}
    body = {"role_id": 1, "member_group": group}
    bench.systems.harbor_client.post("/projects/team-shop/members", body, by_name=True)
    for _ in range(2):
        with pytest.raises(SystemRefused, match="matches its declaration, but its parts do not"):
            bench.onboard()
    assert roles(bench) == {"team-shop": 1}


def test_an_identical_project_is_adopted(bench: Bench) -> None:
    bench.declare({**SHOP, "adopt": "if-identical"}, platform=ADOPTING)
    foreign(bench, metadata={"public": "false"})
    bench.onboard()
    assert roles(bench) == {"team-shop": 2}
    assert bench.plan() == Plan("shop")


def test_yes_adopts_a_project_and_the_mark_of_it_stays(bench: Bench) -> None:
    bench.declare({**TEAM, "adopt": "yes"}, platform=ADOPTING)
    foreign(bench, metadata={"public": "true"})
    number = project(bench).id
    plan = bench.plan()
    differences = found(plan)[PROJECT]
    assert differences["mark"] == (None, "tenantry")
    assert differences["public"] == (True, False)
    bench.onboard()
    assert project(bench).id == number
    assert project(bench).metadata["public"] == "false"
    for _ in range(2):
        namespace = bench.sandbox.kubernetes.get("Namespace", "team-shop")
        assert namespace is not None
        annotations = namespace["metadata"]["annotations"]
        assert annotations["tenantry.io/harbor-project-adopted"] == "true"
        assert bench.plan() == Plan("shop")
        bench.declare({**TEAM, "namespace": {"labels": {"tier": "one"}}}).onboard()


@pytest.mark.parametrize("adopted", [False, True])
def test_a_project_is_still_known_for_ours_when_its_namespace_is_gone(
    adopted: bool, bench: Bench
) -> None:
    bench.declare({**TEAM, "adopt": "yes"}, platform=ADOPTING)
    if adopted:
        foreign(bench)
    bench.onboard()
    number = project(bench).id
    bench.sandbox.kubernetes.namespace_termination_seconds = 0
    bench.sandbox.kubernetes.delete("Namespace", "team-shop")
    assert bench.sandbox.kubernetes.get("Namespace", "team-shop") is None
    bench.declare(TEAM).onboard()
    assert project(bench).id == number
    namespace = bench.sandbox.kubernetes.get("Namespace", "team-shop")
    assert namespace is not None
    annotations = namespace["metadata"]["annotations"]
    assert annotations["tenantry.io/harbor-project"] == "team-shop"
    assert ("tenantry.io/harbor-project-adopted" in annotations) == adopted
    assert bench.can_log_in("harbor-pull")
    assert bench.plan() == Plan("shop")


def test_a_project_created_after_the_observation_is_observed_again(bench: Bench) -> None:
    bench.declare(TEAM)
    seen = bench.observe()
    foreign(bench)
    with pytest.raises(ChangedMeanwhile) as failure:
        bench.systems.apply(bench.systems.plan(bench.team(), seen), seen)
    assert failure.value.status == 409


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_group_that_is_not_an_oidc_group_is_named(bench: Bench) -> None:
    bench.declare(SHOP)
    bench.sandbox.harbor.groups[7] = Group(7, "team-shop", 2)
    with pytest.raises(SystemRefused, match="group 'team-shop' exists with type 2"):
        bench.onboard()
    assert roles(bench) == {}


# Many


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_more_than_a_page_of_members_and_robots_is_read(shop: Bench) -> None:
    """Ours come last of the alphabet, and so on the last page."""
    client = shop.systems.harbor_client
    for number in range(120):
        group = {"group_name": f"aaa-{number:03}", "group_type": 3}
        body = {"role_id": 3, "member_group": group}
        client.post(f"/projects/{project(shop).id}/members", body)
        access = [{"resource": "repository", "action": "pull"}]
        permissions = [{"kind": "project", "namespace": "team-shop", "access": access}]
        robot = {"name": f"aaa-{number:03}", "level": "project", "duration": -1}
        client.post("/robots", {**robot, "permissions": permissions})
    shop.sandbox.requests.reset()
    assert shop.plan() == Plan("shop")
    counts = shop.sandbox.requests.counts()
    pages = {kind.template: number for kind, number in counts.items() if kind.system == "harbor"}
    assert pages["/api/v2.0/projects/{project}/members"] == 2
    assert pages["/api/v2.0/robots"] == 2


def test_more_than_a_page_of_projects_is_read(bench: Bench) -> None:
    bench.declare(*({"name": f"t{number}"} for number in range(5)))
    for number in range(120):
        body = {"project_name": f"aaa-{number:03}"}
        bench.systems.harbor_client.post("/projects", body)
    for team in bench.teams:
        bench.onboard(team.name)
    seen = observe_owners(bench.systems.team_adapters, bench.teams)
    assert all(bench.systems.plan(team, seen) == Plan(team.name) for team in bench.teams)


# Versions, logins and sessions


def client(bench: Bench, **account: Any) -> HarborClient:
    return HarborClient(connections(bench.sandbox).harbor.model_copy(update=account))


@pytest.mark.parametrize("version", ["v2.3.5-abc", "v1.10.0", "2.0.0"])
def test_a_harbor_older_than_2_4_is_refused_by_its_version(version: str, bench: Bench) -> None:
    bench.sandbox.harbor.version = version
    bench.declare(SHOP)
    with pytest.raises(SystemRefused) as refused:
        bench.systems.check()
    assert f"it is version {version}, and Tenantry needs 2.4 or later" in str(refused.value)
    assert bench.sandbox.requests.writes() == 0


@pytest.mark.parametrize("version", ["v2.4.0", "v2.15.2-5f0cd1e5", "v3.0.0-dev"])
def test_a_harbor_from_2_4_on_is_accepted(version: str, bench: Bench) -> None:
    bench.sandbox.harbor.version = version
    sentence = bench.declare(SHOP).systems.check()[0]
    assert sentence.startswith(f"Harbor {version} at ")
    assert sentence.endswith(" accepts 'admin'.")


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_wrong_password_is_named_after_one_try(bench: Bench) -> None:
    bench.sandbox.harbor.login_delay = 1.5  # what tells a wrong password from a locked name
    wrong = client(bench, password=SecretStr("Wrong12345"))
    with pytest.raises(SystemRefused) as refused:
        wrong.get("/projects")
    assert str(refused.value) == (
        "Harbor: POST /c/login answered 401: wrong user name or password for 'admin'. "
        "Correct the Harbor connection."
    )
    logins = [each for each in bench.sandbox.requests.log if each.target == "/c/login"]
    assert len(logins) == 1


def test_a_server_that_is_down_is_reported_after_four_attempts(bench: Bench) -> None:
    down = client(bench, url="http://127.0.0.1:9")
    with pytest.raises(SystemUnavailable) as failure:
        down.get("/projects")
    assert "Harbor: POST /c/login: no answer (ConnectError)" in str(failure.value)


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_robot_is_not_an_administrator(shop: Bench) -> None:
    name, password = shop.login("harbor-ci")
    shop.sandbox.harbor.configuration["auth_mode"] = "oidc_auth"
    robot = client(shop, username=name, password=SecretStr(password))
    shop.sandbox.fault_for = lambda system, method, path: 404 if path == "/c/login" else None
    assert not robot.is_administrator()


def kill_sessions(harbor: SimulatedHarbor) -> None:
    harbor.state.sessions.clear()


def test_a_session_that_expires_before_an_observation_hides_nothing(shop: Bench) -> None:
    """A dead session's list of projects is 200 and has the public ones only."""
    kill_sessions(shop.sandbox.harbor)
    assert shop.plan() == Plan("shop")


def test_a_session_that_expires_at_each_change_is_renewed_and_nothing_is_created_twice(
    bench: Bench,
) -> None:
    bench.declare(TEAM)
    seen = bench.observe()

    def report(change: Any) -> None:
        kill_sessions(bench.sandbox.harbor)

    bench.systems.apply(bench.systems.plan(bench.team(), seen), seen, report=report)
    harbor = bench.sandbox.harbor
    assert sorted(harbor.projects) == ["library", "team-shop"]
    assert sorted(robot.name for robot in harbor.robots.values()) == ["ci-a", "pull-a"]
    assert bench.plan() == Plan("shop")


def test_a_dead_session_costs_one_login_however_many_threads_find_it(bench: Bench) -> None:
    bench.declare(*({"name": f"t{number:02}"} for number in range(12)))
    for team in bench.teams:
        bench.onboard(team.name)
    bench.sandbox.requests.reset()
    kill_sessions(bench.sandbox.harbor)
    seen = observe_owners(bench.systems.team_adapters, bench.teams)
    assert all(bench.systems.plan(team, seen) == Plan(team.name) for team in bench.teams)
    logins = [each for each in bench.sandbox.requests.log if each.target == "/c/login"]
    assert len(logins) == 1


def test_basic_auth_serves_where_only_the_api_can_be_reached(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.sandbox.fault_for = lambda name, method, path: 404 if path == "/c/login" else None
    bench.declare(TEAM).onboard()
    assert bench.plan() == Plan("shop")
    assert bench.can_log_in("harbor-ci")
    assert caplog.text.count("uses basic auth") == 1
    assert "Route /c/ to it" in caplog.text


def test_a_robot_as_account_is_refused_and_not_taken_for_a_fault_of_the_routes(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.declare(TEAM).onboard()
    username, password = bench.login("harbor-ci")
    address = bench.sandbox.addresses()["harbor"]["url"]
    account = HarborAccount(url=address, username=username, password=SecretStr(password))
    client = HarborClient(account)
    with pytest.raises(
        SystemRefused, match=f"'{re.escape(username)}' is not a system administrator"
    ):
        check_harbor(client)
    client.close()
    assert "Set this account in the Harbor connection" in caplog.text
    assert "Route /c/" not in caplog.text


def test_read_only_mode_is_named_with_what_ends_it(bench: Bench) -> None:
    bench.declare(TEAM)
    bench.sandbox.harbor.configuration["read_only"] = True
    with pytest.raises(SystemRefused, match="Harbor is in read-only mode: turn it off") as refusal:
        bench.onboard()
    assert "administrator" not in str(refusal.value)


def test_a_harbor_that_knows_no_oidc_groups_is_refused_before_anything_is_made(
    bench: Bench,
) -> None:
    bench.declare(SHOP)
    bench.sandbox.harbor.configuration["auth_mode"] = "db_auth"
    with pytest.raises(SystemRefused, match=r"its auth_mode is 'db_auth'.*Set auth_mode to oidc"):
        bench.systems.check()
    assert bench.sandbox.requests.writes() == 0
