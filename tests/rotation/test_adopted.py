"""Adopted Secrets keep the credentials of other owners' robots, until a rotation replaces them."""

import base64
import json
from dataclasses import dataclass
from typing import Any

import pytest

from tenantry import drift
from tenantry.locks import NoLock
from tenantry.plan import Plan
from tests.support.harness import Bench, Data, actions, granted
from tests.support.rotation_harness import (
    ROTATED,
    all_work,
    clear_faults,
    enabled,
    inject_fault,
    none_works,
    only,
    order,
    pass_time,
    robots,
    run,
    secret,
)

pytestmark = pytest.mark.demand(
    "lifecycle",
    "adopted Secrets keep working credentials; robots of others become the old side of a pair",
    sample=True,
)

SECRET = "kubernetes/Secret/team-shop/harbor-pull"
DOCKER = "kubernetes.io/dockerconfigjson"
PULL = [{"resource": "repository", "action": "pull"}]


@dataclass(frozen=True)
class Foreign:
    """A robot that another tool created, and how it is named.

    Attributes:
        level: the level in Harbor.
        short: its name without Harbor's prefix and its project.
        prefix: Harbor's `robot_name_prefix`.
        full: its full name.
    """

    level: str
    short: str
    prefix: str
    full: str


OF_PROJECT = Foreign("project", "builder", "robot$", "robot$team-shop+builder")
OF_OTOMI = Foreign("system", "team-shop-pull", "otomi-", "otomi-team-shop-pull")
OF_SYSTEM = Foreign("system", "shop-pull", "robot$", "robot$shop-pull")
NAMED_LIKE_OURS = Foreign("system", "team-shop-pull-a", "robot$", "robot$team-shop-pull-a")
KINDS = [OF_PROJECT, OF_OTOMI, OF_SYSTEM, NAMED_LIKE_OURS]


def declare(bench: Bench, *replaces: str, adopt: Any = "yes", rotation: Any = ROTATED) -> Bench:
    """Declare a team that may adopt, and whose robot replaces these robots."""
    robot: Data = {"replaces": list(replaces), "rotation": rotation, "expiry_days": 30}
    team = {"name": "shop", "robots": {"pull": robot, "ci": None}, "adopt": adopt}
    allows: Data = {"replaces": list(replaces)} if replaces else {}
    return bench.declare(team, platform=granted("shop", adopt=adopt, **allows))


def build(bench: Bench, foreign: Foreign, *projects: str, **data: Any) -> tuple[str, str]:
    """Create a project, a namespace and a Secret with a foreign robot's credential, by hand.

    Args:
        bench: the bench.
        foreign: the robot.
        projects: the projects of its permissions.
        data: the data of the Secret by key, in place of the default.

    Returns:
        The robot's user name and password.
    """
    harbor = bench.systems.harbor_client
    harbor.put("/configurations", {"robot_name_prefix": foreign.prefix})
    for project in {"team-shop", *projects}:
        harbor.post("/projects", {"project_name": project})
    body = {
        "name": foreign.short,
        "level": foreign.level,
        "duration": -1,
        "permissions": [
            {"kind": "project", "namespace": each, "access": PULL}
            for each in projects or ("team-shop",)
        ],
    }
    made = harbor.post("/robots", body).json()
    assert made["name"] == foreign.full
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-shop"}}
    bench.sandbox.kubernetes.put(namespace)
    put_secret(bench, made["name"], made["secret"], **data)
    return made["name"], made["secret"]


def put_secret(bench: Bench, username: str, password: str, **data: Any) -> None:
    """Put a Secret with a credential, formatted as another tool formats it."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    entry = {"username": username, "password": password, "email": "not@val.id", "auth": auth}
    config = json.dumps({"auths": {bench.systems.credentials.registry: entry}}, indent=3)
    bench.sandbox.kubernetes.put(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "harbor-pull", "namespace": "team-shop"},
            "type": data.pop("type", DOCKER),
            "data": {data.pop("key", ".dockerconfigjson"): encoded(config), **data},
        }
    )


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def robot_of(bench: Bench, foreign: Foreign) -> Any:
    """Return a foreign robot; None if it was deleted."""
    found = bench.sandbox.harbor.robots.values()
    return next((robot for robot in found if robot.name == foreign.short), None)


@pytest.mark.parametrize("foreign", KINDS, ids=lambda each: each.full)
@pytest.mark.parametrize("is_replaced", [True, False], ids=["replaced", "not replaced"])
def test_a_secret_with_a_working_credential_keeps_it(
    bench: Bench, foreign: Foreign, is_replaced: bool
) -> None:
    declare(bench, *([foreign.full] if is_replaced else []))
    login = build(bench, foreign)
    before = secret(bench)

    plan = bench.plan()
    assert actions(plan)[SECRET] == "adopt"
    change = next(each for each in plan.changes if str(each.id) == SECRET)
    assert [(each.field, each.old, each.new) for each in change.differences] == [
        ("mark", None, "tenantry")
    ]
    assert not [each for each in actions(plan) if "/robot/" in each]
    bench.onboard()

    after = secret(bench)
    assert (after["data"], after["type"]) == (before["data"], before["type"])
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert bench.systems.harbor_client.accepts(*login)
    assert not {"pull-a", "pull-b"} & set(robots(bench))
    assert bench.plan() == Plan("shop")


@pytest.mark.parametrize("foreign", KINDS, ids=lambda each: each.full)
def test_the_next_rotation_publishes_ours_and_retires_the_other_owners_robot(
    bench: Bench, foreign: Foreign
) -> None:
    login = build(declare(bench, foreign.full), foreign)
    bench.onboard()

    outcome = only(run(bench))
    assert (outcome.why, outcome.rotated, outcome.error) == ("adopted", True, None)
    assert bench.login("harbor-pull")[0].endswith("team-shop+pull-a")
    assert bench.can_log_in("harbor-pull")
    assert all_work(bench, {"theirs": login}), "it overlaps"
    assert bench.plan() == Plan("shop")

    run(bench)
    assert all_work(bench, {"theirs": login}), "a second run of the same day retires nothing"
    pass_time(bench, hours=25)
    run(bench)
    assert none_works(bench, {"theirs": login})
    assert bench.can_log_in("harbor-pull")
    pass_time(bench, days=8)
    run(bench)
    assert robot_of(bench, foreign) is None
    assert set(robots(bench)) == {"pull-a"}


@pytest.mark.parametrize("foreign", KINDS, ids=lambda each: each.full)
def test_a_robot_that_replaces_does_not_name_is_never_disabled_or_deleted(
    bench: Bench, foreign: Foreign
) -> None:
    """A tenant can write any robot's credential into its Secret, and marks, too."""
    login = build(declare(bench), foreign)
    bench.onboard()
    before = robot_of(bench, foreign)
    assert only(run(bench)).rotated
    for days in (2, 9, 40):
        pass_time(bench, days=days)
        run(bench)
        run(bench, order(bench, compromised=True))
    assert robot_of(bench, foreign) == before
    assert all_work(bench, {"theirs": login})


def test_a_compromised_credential_of_another_owner_is_replaced_and_reported(bench: Bench) -> None:
    build(declare(bench), OF_PROJECT)
    bench.onboard()
    outcome = only(run(bench, order(bench, compromised=True)))
    assert outcome.rotated
    left = [line for line in outcome.done if line.startswith("left 'robot$team-shop+builder'")]
    assert len(left) == 1


def test_without_a_rotation_the_credential_is_replaced_on_request(bench: Bench) -> None:
    build(declare(bench, rotation=None), OF_PROJECT)
    bench.onboard()
    outcome = only(run(bench))
    assert (outcome.state, outcome.rotated) == ("in sync", False)
    assert "robot$team-shop+builder" in outcome.note
    assert only(run(bench, order(bench, force=True))).rotated


@pytest.mark.parametrize("change", ["disabled", "password", "unknown robot", "other project"])
def test_a_credential_that_does_not_work_or_reaches_further_is_not_kept(
    bench: Bench, change: str
) -> None:
    declare(bench)
    projects = ("team-shop", "team-data") if change == "other project" else ()
    name, password = build(bench, OF_SYSTEM, *projects)
    if change == "disabled":
        robot_of(bench, OF_SYSTEM).disabled = True
    elif change == "password":
        put_secret(bench, name, "Wrong1234")
    elif change == "unknown robot":
        put_secret(bench, "robot$ghost", password)
    bench.onboard()
    assert bench.login("harbor-pull")[0] == "robot$team-shop+pull-a"
    assert bench.can_log_in("harbor-pull")


def test_the_password_of_a_user_is_not_tried(bench: Bench) -> None:
    """Harbor would lock the account."""
    build(declare(bench), OF_SYSTEM)
    put_secret(bench, "admin", "guess")
    bench.sandbox.requests.reset()
    bench.plan()
    tried = [each for each in bench.sandbox.requests.log if "/service/token" in each.target]
    assert not [each for each in tried if "account=admin" in each.target]
    assert "admin" not in bench.sandbox.harbor.locked


def test_the_credential_is_not_adopted_without_the_project(bench: Bench) -> None:
    build(declare(bench, adopt={"kubernetes": "yes"}), OF_PROJECT)
    plan = bench.plan()
    assert SECRET not in actions(plan)
    assert [str(refusal.id) for refusal in plan.refusals] == ["harbor/project/team-shop"]


def test_a_secret_of_another_format_keeps_it_when_it_is_rotated(bench: Bench) -> None:
    """Otomi's Secret for builds is Opaque and has the key `config.json`."""
    declare(bench, OF_OTOMI.full)
    robot = {"replaces": [OF_OTOMI.full], "rotation": ROTATED, "expiry_days": 30, "attach": False}
    bench.declare(
        {"name": "shop", "robots": {"pull": robot, "ci": None}, "adopt": "yes"},
        platform=granted("shop", adopt="yes", replaces=[OF_OTOMI.full]),
    )
    build(bench, OF_OTOMI, type="Opaque", key="config.json")
    before = secret(bench)
    bench.onboard()
    assert secret(bench)["data"] == before["data"]
    assert only(run(bench)).rotated
    after = secret(bench)
    assert (after["type"], after["metadata"]["uid"]) == ("Opaque", before["metadata"]["uid"])
    (entry,) = json.loads(bench.secret("harbor-pull")["config.json"])["auths"].values()
    assert entry["username"] == "otomi-team-shop+pull-a"
    assert bench.plan() == Plan("shop")


def test_a_robot_of_the_project_is_an_extra_only_once_nothing_holds_its_credential(
    bench: Bench,
) -> None:
    build(declare(bench), OF_PROJECT)
    bench.onboard()

    def extras() -> list[str]:
        with bench.process(extras=True) as systems:
            seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
            report = drift.detect(systems, bench.teams, seen).report
        return [str(each.resource) for each in report.findings if each.class_ == "extra"]

    assert extras() == []
    declare(bench, adopt="never")  # any team can put a credential into its Secrets
    assert extras() == ["harbor/robot/team-shop/builder"]
    assert actions(bench.plan()) == {"kubernetes/Namespace mark/team-shop": "update"}
    run(bench)
    assert extras() == ["harbor/robot/team-shop/builder"]


@pytest.mark.parametrize("foreign", [OF_OTOMI, OF_SYSTEM], ids=lambda each: each.full)
def test_a_robot_of_the_system_level_that_outlives_a_rotation_is_a_critical_extra(
    bench: Bench, foreign: Foreign
) -> None:
    login = build(declare(bench), foreign)
    bench.onboard()

    def extras(*remove: str) -> list[drift.Finding]:
        with bench.process(extras=True) as systems:
            seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
            detected = drift.detect(systems, bench.teams, seen)
            assert not drift.choose(detected, "all").removals
            remedy = drift.choose(detected, "none", remove)
            order = drift.Order(remove=remove)
            drift.remediate_teams(systems, remedy, order, NoLock(), approved=True)
        return [each for each in detected.report.findings if each.class_ == "extra"]

    assert extras() == []
    run(bench)
    (found,) = extras()
    id = f"harbor/system robot/{foreign.full}"
    assert (str(found.resource), found.severity, found.team) == (id, "critical", "shop")
    assert "Name it in 'replaces' of a robot, so that rotation retires it" in found.what_to_do
    assert f"delete it with 'remove': {id}" in found.what_to_do
    assert all_work(bench, {"theirs": login})

    extras(id)
    assert robot_of(bench, foreign) is None
    assert extras() == []


def test_a_robot_of_the_system_level_that_replaces_names_after_the_rotation_is_retired(
    bench: Bench,
) -> None:
    login = build(declare(bench), OF_SYSTEM)
    bench.onboard()
    run(bench)
    declare(bench, OF_SYSTEM.full)
    bench.onboard()
    for days in (0, 2, 9):
        pass_time(bench, days=days)
        run(bench)
    assert none_works(bench, {"theirs": login})


def test_a_robot_that_is_replaced_is_no_extra(bench: Bench) -> None:
    build(declare(bench, OF_PROJECT.full), OF_PROJECT)
    bench.onboard()
    run(bench)
    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        assert drift.detect(systems, bench.teams, seen).report.findings == ()


def test_further_namespaces_and_sinks_get_the_adopted_credential_until_the_rotation(
    bench: Bench,
) -> None:
    robot = {
        "replaces": [OF_OTOMI.full],
        "rotation": ROTATED,
        "expiry_days": 30,
        "sinks": [{"namespace": "team-shop", "name": "copy", "format": "basic"}],
    }
    team = {
        "name": "shop",
        "further_namespaces": {"jobs": {}},
        "robots": {"pull": robot, "ci": None},
        "adopt": "yes",
    }
    bench.declare(team, platform=granted("shop", adopt="yes", replaces=[OF_OTOMI.full]))
    login = build(bench, OF_OTOMI)
    bench.onboard()
    assert bench.login("harbor-pull", "team-shop-jobs") == login
    held = bench.secret("copy")
    assert (held["username"], held["password"]) == login
    assert bench.plan() == Plan("shop")

    assert only(run(bench)).rotated
    published = bench.login("harbor-pull")
    assert published[0] == "otomi-team-shop+pull-a"
    assert bench.login("harbor-pull", "team-shop-jobs") == published
    assert bench.secret("copy")["password"] == published[1]
    assert all_work(bench, {"theirs": login, "ours": published})
    assert bench.plan() == Plan("shop")


def test_a_rotation_that_stopped_before_publishing_leaves_the_adopted_credential(
    bench: Bench,
) -> None:
    login = build(declare(bench, OF_PROJECT.full), OF_PROJECT)
    bench.onboard()
    inject_fault(bench, "PATCH", "/secrets/", 503)
    assert only(run(bench)).error
    clear_faults(bench)
    assert bench.login("harbor-pull") == login
    assert not actions(bench.plan())
    assert only(run(bench)).rotated
    assert bench.can_log_in("harbor-pull")
    assert all_work(bench, {"theirs": login})
    assert {"pull-a", "builder"} <= enabled(bench)
