"""Robot accounts: their life, their lists, their secrets."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandbox.calls import refused

DAY = 86_400
PULL = ("repository", "pull")
PUSH = ("repository", "push")


def permission(namespace: str, *access: tuple[str, str], kind: str = "project") -> dict:
    listed = [{"resource": resource, "action": action} for resource, action in access or (PULL,)]
    return {"kind": kind, "namespace": namespace, "access": listed}


def robot(name: str = "ci", level: str = "project", **fields: object) -> dict:
    body = {"name": name, "level": level, "duration": 30, "permissions": [permission("team-demo")]}
    return {**body, **fields}


@pytest.fixture
def ci(admin, demo) -> dict:
    """The answer to the making of a project's robot."""
    return admin("POST", "/robots", json=robot(description="builds")).json()


def test_making_one(admin, demo, harbor) -> None:
    sent = robot(secret="Mine12345", disable=True)
    answer = admin("POST", "/robots", json=sent)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/api/v2.0/robots/{made['id']}"
    assert set(made) == {"id", "name", "secret", "creation_time", "expires_at"}
    assert made["name"] == "robot$team-demo+ci"
    assert re.fullmatch("[A-Za-z0-9]{32}", made["secret"])
    assert made["secret"] in harbor.issued_secrets
    assert made["secret"] not in str(harbor.dump())
    shown = admin.json(f"/robots/{made['id']}")
    assert shown["disable"] is False
    assert set(shown) == {
        "creation_time",
        "creator_ref",
        "creator_type",
        "disable",
        "duration",
        "editable",
        "expires_at",
        "id",
        "level",
        "name",
        "permissions",
        "update_time",
    }
    assert shown["permissions"] == [permission("team-demo")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "CI"}, "robot name is not in lower case or contains illegal characters"),
        ({"name": "robot$x"}, "robot name is not in lower case or contains illegal characters"),
        (
            {"duration": 0},
            (
                "bad request error duration input: 0, duration must be either -1(Never) or a "
                "positive integer"
            ),
        ),
        ({"level": "bogus"}, "bad request error level input: bogus"),
        ({"permissions": []}, "bad request empty permission"),
        ({"permissions": [{**permission("team-demo"), "access": []}]}, "bad request empty access"),
        ({"permissions": [permission("team-demo")] * 2}, "bad request permission"),
        (
            {"permissions": [permission("team-demo", ("repository", "fly"))]},
            "bad request permission: repository:fly",
        ),
        (
            {"permissions": [permission("team-demo", ("robot", "update"))]},
            "bad request permission: robot:update",
        ),
        (
            {"permissions": [permission("team-demo", kind="zoo")]},
            "bad request permission level: zoo",
        ),
    ],
)
def test_what_cannot_be_a_robot(admin, demo, fields, message) -> None:
    assert refused(admin("POST", "/robots", json=robot(**fields)), 400, message)


def test_its_namespace_is_a_projects_name(admin, demo) -> None:
    for namespace in ("nosuch", str(demo)):
        body = robot(permissions=[permission(namespace)])
        answer = admin("POST", "/robots", json=body)
        assert refused(answer, 404, f"project {namespace} not found")


def test_duplicates(admin, demo, ci) -> None:
    answer = admin("POST", "/robots", json=robot())
    assert refused(answer, 409, f"robot account {demo}:team-demo+ci already exists")
    admin.made("/robots", robot("sys", "system"))
    answer = admin("POST", "/robots", json=robot("sys", "system"))
    assert refused(answer, 409, "robot account 0:sys already exists")
    long = robot("x" * 250)
    assert refused(admin("POST", "/robots", json=long), 500, "internal server error")


def test_lists(admin, demo, ci) -> None:
    admin.made("/robots", robot("sys", "system"))

    def names(query: str = "") -> list[str]:
        return [r["name"] for r in admin.json(f"/robots{query}")]

    here = f"?q=Level=project,ProjectID={demo}"
    assert names() == names("?q=ProjectID=2") == ["robot$sys"]
    assert names(here) == names(
        here.replace("=", "%3D").replace("?q%3D", "?q=").replace(",", "%2C")
    )
    assert names(here) == ["robot$team-demo+ci"]
    assert names("?q=Level=project,ProjectID=999") == []
    message = "must with project ID when to query project robots"
    assert refused(admin("GET", "/robots?q=Level=project"), 400, message)
    # The stored name, whose plus must be encoded twice.
    assert names(f"{here},name=team-demo%252Bci") == ["robot$team-demo+ci"]
    assert names(f"{here},name=team-demo%2Bci") == []
    assert names(f"{here},name=ci") == []
    assert names(f"{here},name=~ci") == ["robot$team-demo+ci"]
    assert admin("GET", f"/projects/{demo}/robots").status_code == 404


def test_the_order_of_permissions_is_no_order(admin, demo) -> None:
    admin.made("/projects", {"project_name": "other"})
    body = robot("sys", "system", permissions=[permission("team-demo", PUSH, PULL, PUSH)])
    body["permissions"] += [permission("other"), permission("/", ("quota", "list"), kind="system")]
    made = admin.made("/robots", body)
    seen = [admin.json(f"/robots/{made}")["permissions"] for _ in range(40)]
    orders = {tuple(p["namespace"] for p in shown) for shown in seen}
    assert len(orders) > 1
    assert {frozenset(order) for order in orders} == {frozenset({"team-demo", "other", "/"})}
    [access] = [p["access"] for p in seen[0] if p["namespace"] == "team-demo"]
    assert access == permission("", PUSH, PULL)["access"]
    # Of a deleted project nothing is left in it.
    admin("DELETE", "/projects/other")
    assert len(admin.json(f"/robots/{made}")["permissions"]) == 2


# --- Secrets -------------------------------------------------------------------------------------


def alive(admin, name: str, secret: str) -> bool:
    answer = admin.login(name, secret)("GET", "/service/token?service=harbor-registry")
    return answer.status_code == 200


def test_refreshing_a_secret(admin, ci, harbor) -> None:
    path, name = f"/robots/{ci['id']}", ci["name"]
    assert alive(admin, name, ci["secret"])
    for body in ({}, {"secret": ""}):
        fresh = admin("PATCH", path, json=body).json()
        assert set(fresh) == {"secret"}
        assert fresh["secret"] in harbor.issued_secrets
    assert not alive(admin, name, ci["secret"])
    assert alive(admin, name, fresh["secret"])
    given = admin("PATCH", path, json={"secret": "Sup3rSecret"})
    assert (given.status_code, given.json()) == (200, {})
    assert alive(admin, name, "Sup3rSecret")
    message = (
        "the secret must be 8-128, inclusively, characters long with at least 1 uppercase letter, "
        "1 lowercase letter and 1 number"
    )
    assert refused(admin("PATCH", path, json={"secret": "weak"}), 400, message)
    assert admin("PATCH", path).status_code == 422


def test_an_update_beside_a_refresh_loses_one_of_them(admin, ci, harbor) -> None:
    harbor.race_window = 0.05
    path = f"/robots/{ci['id']}"
    body = {**admin.json(path), "description": "new"}
    with ThreadPoolExecutor(2) as pool:
        refresh = pool.submit(admin, "PATCH", path, json={})
        update = pool.submit(admin, "PUT", path, json=body)
        assert refresh.result().status_code == update.result().status_code == 200
    harbor.race_window = 0.001
    secret_lost = not alive(admin, ci["name"], refresh.result().json()["secret"])
    description_lost = admin.json(path)["description"] != "new"
    assert secret_lost != description_lost
    # One after the other is safe.
    fresh = admin("PATCH", path, json={}).json()["secret"]
    assert admin("PUT", path, json=body).status_code == 200
    assert alive(admin, ci["name"], fresh)


# --- Updates, expiry -----------------------------------------------------------------------------


def test_echoing_changes_nothing(admin, ci) -> None:
    path = f"/robots/{ci['id']}"
    before = admin.json(path)
    answer = admin("PUT", path, json={**before, "secret": "Ignored123"})
    assert (answer.status_code, answer.content) == (200, b"")
    after = admin.json(path)
    assert {**after, "update_time": ""} == {**before, "update_time": ""}
    assert alive(admin, ci["name"], ci["secret"])


def test_what_an_update_must_hold(admin, ci) -> None:
    path = f"/robots/{ci['id']}"
    full = admin.json(path)
    fixed = "cannot update the level or name of robot"
    admin.made("/projects", {"project_name": "other"})
    for fields, message in (
        ({"name": "ci"}, fixed),
        ({"level": "system"}, fixed),
        ({"permissions": []}, "bad request empty permission"),
        ({"permissions": [permission("other")]}, "cannot update the project id of robot"),
    ):
        assert refused(admin("PUT", path, json=full | fields), 400, message)
    assert admin("PUT", path, json={"description": "x"}).status_code == 400
    assert admin("PUT", path, json=full | {"duration": 0}).status_code == 400


def test_what_is_left_out_is_emptied(admin, ci) -> None:
    path = f"/robots/{ci['id']}"
    full = admin.json(path)
    admin("PUT", path, json=full | {"disable": True})
    assert admin.json(path)["disable"] is True
    assert not alive(admin, ci["name"], ci["secret"])
    kept = {k: full[k] for k in ("name", "level", "permissions")}
    assert admin("PUT", path, json=kept).status_code == 200
    after = admin.json(path)
    assert after["disable"] is False
    assert "description" not in after
    assert (after["duration"], after["expires_at"]) == (30, ci["expires_at"])


def test_expiry_counts_from_the_creation(admin, ci, sandbox) -> None:
    path = f"/robots/{ci['id']}"
    created = ci["expires_at"] - 30 * DAY
    sandbox.clock.move(31 * DAY)
    shown = admin.json(path)
    assert (shown["disable"], shown["editable"]) == (False, True)
    assert not alive(admin, ci["name"], ci["secret"])
    fresh = admin("PATCH", path, json={})
    assert fresh.status_code == 200
    assert not alive(admin, ci["name"], fresh.json()["secret"])
    assert admin("PUT", path, json=shown).status_code == 200
    assert not alive(admin, ci["name"], fresh.json()["secret"])
    assert admin("PUT", path, json=shown | {"duration": 40}).status_code == 200
    assert admin.json(path)["expires_at"] == created + 40 * DAY
    assert alive(admin, ci["name"], fresh.json()["secret"])
    assert admin("PUT", path, json=shown | {"duration": -1}).status_code == 200
    assert admin.json(path)["expires_at"] == -1


def test_a_new_prefix_renames_every_robot(admin, ci) -> None:
    admin("PUT", "/configurations", json={"robot_name_prefix": "bot-"})
    shown = admin.json(f"/robots/{ci['id']}")
    assert shown["name"] == "bot-team-demo+ci"
    assert not alive(admin, ci["name"], ci["secret"])
    assert alive(admin, shown["name"], ci["secret"])
    assert admin("PUT", f"/robots/{ci['id']}", json=shown | {"name": ci["name"]}).status_code == 400


def test_deletion(admin, ci) -> None:
    path = f"/robots/{ci['id']}"
    assert admin("DELETE", path).status_code == 200
    assert refused(admin("DELETE", path), 404, f"robot {ci['id']} not found")
    again = admin("POST", "/robots", json=robot()).json()
    assert again["id"] > ci["id"]
    assert again["secret"] != ci["secret"]


# --- As a robot ----------------------------------------------------------------------------------


def test_a_robot_that_may_pull_sees_little(admin, demo, ci) -> None:
    bot = admin.login(ci["name"], ci["secret"])
    assert refused(bot("GET", "/projects/team-demo"), 403, "forbidden")
    assert refused(bot("GET", f"/robots/{ci['id']}"), 403, "forbidden")
    assert refused(bot("GET", "/robots"), 403, ci["name"])
    assert refused(bot("GET", "/configurations"), 403, ci["name"])
    message = "get current user not available for security context: robot"
    assert refused(bot("GET", "/users/current"), 412, message)
    assert "harbor_version" in bot.json("/systeminfo")
    seen = bot.json("/projects")
    assert [p["name"] for p in seen] == ["library", "team-demo"]
    assert seen[1]["current_user_role_ids"] is None
    assert "current_user_role_id" not in seen[1]


def maker(admin, *access: tuple[str, str], system: tuple[tuple[str, str], ...] = (), at: str = "*"):
    """A caller that is a system robot with these grants."""
    permissions = [permission(at, *access)] if access else []
    if system:
        permissions.append(permission("/", *system, kind="system"))
    body = robot("maker", "system", permissions=permissions)
    made = admin("POST", "/robots", json=body).json()
    return admin.login(made["name"], made["secret"])


def test_update_of_any_project_reaches_its_robots_and_members(admin, demo, ci) -> None:
    bot = maker(admin, ("project", "update"))
    path = f"/robots/{ci['id']}"
    secret = bot("PATCH", path, json={}).json()["secret"]
    assert alive(admin, ci["name"], secret)
    assert bot("PUT", path, json=admin.json(path)).status_code == 200
    assert bot("PUT", "/projects/team-demo/members/1", json={"role_id": 1}).status_code == 200
    assert refused(bot("POST", "/projects/team-demo/members", json={}), 403, "forbidden")
    own = admin.json("/robots")[0]["id"]
    assert refused(bot("PATCH", f"/robots/{own}", json={}), 403, "robot$maker")
    assert refused(bot("DELETE", path), 403, "forbidden")
    assert refused(bot("DELETE", "/robots/9999"), 404, "robot 9999 not found")


def test_update_of_a_named_project_does_not(admin, demo, ci) -> None:
    bot = maker(admin, ("project", "update"), at="team-demo")
    assert refused(bot("PATCH", f"/robots/{ci['id']}", json={}), 403, "forbidden")
    assert bot("PUT", "/projects/team-demo", json={}).status_code == 200


def test_a_robot_makes_robots_no_mightier_than_itself(admin, demo) -> None:
    bot = maker(admin, ("robot", "create"), PULL)
    answer = bot("POST", "/robots", json=robot())
    assert answer.status_code == 201
    made = admin.json(f"/robots/{answer.json()['id']}")
    assert made["creator_type"] == "robot"
    message = (
        "permission scope is invalid. It must be equal to or more restrictive than the creator "
        "robot's permissions: robot$maker"
    )
    wider = robot("ci2", permissions=[permission("team-demo", PULL, PUSH)])
    assert refused(bot("POST", "/robots", json=wider), 403, message, code="DENIED")


def test_a_robot_makes_projects_for_the_admin(admin) -> None:
    bot = maker(admin, system=(("project", "create"), ("quota", "list")))
    assert bot("POST", "/projects", json={"project_name": "x"}).status_code == 201
    assert admin.json("/projects/x")["owner_name"] == "admin"
    assert bot("GET", "/quotas").status_code == 200
    message = "forbidden: only admins(system and project) can access permissions"
    assert refused(bot("GET", "/permissions"), 403, message)
    assert {"resource": "robot", "action": "create"} in admin.json("/permissions")["system"]
