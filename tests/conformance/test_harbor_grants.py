"""What a Harbor lets robots do, and those that were granted something surprising."""

from collections.abc import Callable

import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import MARKS, MISSING, HarborCaller, done, made
from tests.conformance.robots import PULL, PUSH, alive, permission, robot
from tests.sandbox.calls import refused

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: robots as callers"),
]
# Makes a system robot with some grants: its row and its caller.
Maker = Callable[..., tuple[dict, HarborCaller]]


@pytest.fixture
def ci(caller: HarborCaller, project: str) -> dict:
    """The answer to the making of a project's robot, which may pull."""
    made: dict = caller("POST", "/robots", json=robot(project)).json()
    return made


@pytest.fixture
def maker(caller: HarborCaller) -> Maker:
    """Makes a system robot with these grants."""

    def make(*access: tuple[str, str], at: str = "*", system: tuple = ()) -> tuple:
        permissions = [permission(at, *access)] if access else []
        if system:
            permissions.append(permission("/", *system, kind="system"))
        body = robot("", name=unique("maker"), level="system", permissions=permissions)
        answer = caller("POST", "/robots", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return made, caller.login(made["name"], made["secret"])

    return make


def test_a_robot_that_may_pull_sees_little(caller: HarborCaller, project: str, ci: dict) -> None:
    bot = caller.login(ci["name"], ci["secret"])
    for path in ("", "/members", "/summary", "/metadatas"):
        assert refused(bot("GET", f"/projects/{project}{path}"), 403, "forbidden")
    assert refused(bot("GET", f"/projects/{unique('missing')}"), 403, "forbidden")
    assert refused(bot("GET", f"/robots/{ci['id']}"), 403, "forbidden")
    number = caller.json(f"/projects/{project}")["project_id"]
    here = f"/robots?q=Level=project,ProjectID={number}"
    assert refused(bot("GET", here), 403, "forbidden")
    for path in ("/robots", "/configurations", "/quotas", "/usergroups", "/users"):
        assert refused(bot("GET", path), 403, ci["name"])
    assert refused(bot("PUT", "/configurations", json={}), 403, ci["name"])
    said = "get current user not available for security context: robot"
    assert refused(bot("GET", "/users/current"), 412, said)
    assert "harbor_version" in bot.json("/systeminfo")


def test_a_robot_lists_its_scope_and_what_is_public(
    caller: HarborCaller, project: str, ci: dict
) -> None:
    public, foreign = unique("conformance"), unique("conformance")
    caller.made("/projects", {"project_name": public, "metadata": {"public": "true"}})
    caller.made("/projects", {"project_name": foreign})
    bot = caller.login(ci["name"], ci["secret"])
    seen = {name: bot.json(f"/projects?q=name={name}") for name in (project, public, foreign)}
    assert [len(rows) for rows in seen.values()] == [1, 1, 0]
    [row] = seen[project]
    assert row["current_user_role_ids"] is None
    assert "current_user_role_id" not in row


def test_update_of_any_project_reaches_its_robots_and_members(
    caller: HarborCaller, project: str, ci: dict, maker: Maker
) -> None:
    me, bot = maker(("project", "update"))
    name, path, members = me["name"], f"/robots/{ci['id']}", f"/projects/{project}/members"
    secret = bot("PATCH", path, json={}).json()["secret"]
    assert alive(caller, ci["name"], secret)
    assert done(bot("PUT", path, json=caller.json(path)))
    assert done(bot("PUT", f"/projects/{project}", json={}))
    [creator] = caller.json(members)
    assert done(bot("PUT", f"{members}/{creator['id']}", json={"role_id": 1}))
    assert refused(bot("POST", members, json={}), 403, "forbidden")
    assert refused(bot("DELETE", path), 403, "forbidden")
    # Neither itself nor others of the system; that one is missing is said to anybody.
    own = f"/robots/{me['id']}"
    assert refused(bot("PATCH", own, json={}), 403, name)
    assert refused(bot("PUT", own, json=caller.json(own)), 403, name)
    assert refused(bot("GET", "/robots"), 403, name)
    assert refused(bot("DELETE", f"/robots/{MISSING}"), 404, f"robot {MISSING} not found")


def test_reading_any_project_reaches_its_robots(
    caller: HarborCaller, project: str, ci: dict, maker: Maker
) -> None:
    _, bot = maker(("project", "read"))
    assert bot.json(f"/robots/{ci['id']}")["name"] == ci["name"]


def test_update_of_a_named_project_does_not_reach_that_far(
    caller: HarborCaller, project: str, ci: dict, maker: Maker
) -> None:
    _, bot = maker(("project", "update"), at=project)
    path = f"/robots/{ci['id']}"
    assert refused(bot("PATCH", path, json={}), 403, "forbidden")
    assert refused(bot("PUT", path, json=caller.json(path)), 403, "forbidden")
    assert done(bot("PUT", f"/projects/{project}", json={}))


def test_a_robot_cannot_change_the_robots_that_it_made(
    caller: HarborCaller, project: str, maker: Maker
) -> None:
    grants = [("robot", action) for action in ("create", "read", "list", "delete")]
    me, bot = maker(*grants, PULL, system=tuple(grants))
    answer = bot("POST", "/robots", json=robot(project))
    assert answer.status_code == 201, answer.text
    path = f"/robots/{answer.json()['id']}"
    shown = bot.json(path)
    assert (shown["creator_type"], shown["creator_ref"]) == ("robot", me["id"])
    assert refused(bot("PATCH", path, json={}), 403, "forbidden")
    assert refused(bot("PUT", path, json=shown), 403, "forbidden")
    assert done(bot("DELETE", path))
    narrower = robot(project, name=unique("conformance"), level="system")
    answer = bot("POST", "/robots", json=narrower)
    assert answer.status_code == 201, answer.text
    assert refused(bot("PATCH", f"/robots/{answer.json()['id']}", json={}), 403, me["name"])


def test_a_robot_makes_robots_no_mightier_than_itself(
    caller: HarborCaller, project: str, maker: Maker
) -> None:
    me, bot = maker(("robot", "create"), PULL)
    answer = bot("POST", "/robots", json=robot(project))
    assert answer.status_code == 201, answer.text
    wider = robot(project, name="ci2", permissions=[permission(project, PULL, PUSH)])
    said = (
        "permission scope is invalid. It must be equal to or more restrictive than the creator "
        f"robot's permissions: {me['name']}"
    )
    assert refused(bot("POST", "/robots", json=wider), 403, said, code="DENIED")


def test_a_robot_makes_robots_where_it_may(
    caller: HarborCaller, project: str, maker: Maker
) -> None:
    _, of_the_system = maker(system=(("robot", "create"),))
    assert refused(of_the_system("POST", "/robots", json=robot(project)), 403, "forbidden")
    foreign = unique("conformance")
    caller.made("/projects", {"project_name": foreign})
    _, elsewhere = maker(("robot", "create"), PULL, at=foreign)
    assert refused(elsewhere("POST", "/robots", json=robot(project)), 403, "forbidden")
    assert elsewhere("POST", "/robots", json=robot(foreign)).status_code == 201


def test_a_robot_makes_projects_for_the_admin(caller: HarborCaller, maker: Maker) -> None:
    _, bot = maker(system=(("project", "create"),))
    name = unique("conformance")
    assert made(bot("POST", "/projects", json={"project_name": name}))
    assert caller.json(f"/projects/{name}")["owner_id"] == 1
    [member] = caller.json(f"/projects/{name}/members")
    assert (member["entity_id"], member["entity_type"], member["role_id"]) == (1, "u", 1)


@pytest.mark.demand("real", "Harbor: summaries")
def test_the_summary_holds_what_a_robot_may_read(
    caller: HarborCaller, project: str, maker: Maker
) -> None:
    path = f"/projects/{project}/summary"
    _, blind = maker(PULL)
    assert refused(blind("GET", path), 403, "forbidden")
    _, reader = maker(("project", "read"), at=project)
    assert reader.json(path) == {"repo_count": 0}
    _, auditor = maker(("project", "read"), ("quota", "read"), ("member", "list"), at=project)
    assert set(auditor.json(path)) == {"repo_count", "quota", "project_admin_count"}


def test_a_robot_reads_what_the_system_grants(
    caller: HarborCaller, project: str, maker: Maker
) -> None:
    lists = (("robot", "list"), ("quota", "list"), ("quota", "read"), ("user-group", "list"))
    me, bot = maker(("robot", "list"), ("member", "list"), system=(*lists, ("user", "list")))
    for path in ("/robots", "/quotas", "/usergroups", "/users"):
        assert bot("GET", f"{path}?page_size=1").status_code == 200
    number = caller.json(f"/projects/{project}")["project_id"]
    for path in (
        f"/robots?q=Level=project,ProjectID={number}",
        f"/quotas?reference=project&reference_id={number}",
        f"/projects/{project}/members",
    ):
        assert bot("GET", path).status_code == 200
    for method in ("GET", "PUT"):
        assert refused(bot(method, "/configurations", json={}), 403, me["name"])
    said = "forbidden: only admins(system and project) can access permissions"
    assert refused(bot("GET", "/permissions"), 403, said)
