"""What only a simulated Harbor can be asked for: by its clock, its controls and its state.

All that can be asked of any Harbor is in tests/conformance.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tenantry.sandbox import Sandbox
from tenantry.sandbox.harbor import SimulatedHarbor
from tenantry.sandbox.harbor.model import Repository
from tests.conformance.harbor import Session
from tests.sandbox.calls import Caller, refused

DAY = 86_400
PULL, PUSH = ({"resource": "repository", "action": action} for action in ("pull", "push"))
FIXED = "the auth mode cannot be modified as new users have been inserted into database"


def robot(**fields: object) -> dict:
    permission = {"kind": "project", "namespace": "team-demo", "access": [PULL]}
    body = {"name": "ci", "level": "project", "duration": 30, "permissions": [permission]}
    return {**body, **fields}


@pytest.fixture
def ci(admin: Caller, demo: int) -> dict:
    """The answer to the making of a project's robot."""
    return admin("POST", "/robots", json=robot()).json()


def alive(admin: Caller, name: str, secret: str) -> bool:
    answer = admin.login(name, secret)("GET", "/service/token?service=harbor-registry")
    return answer.status_code == 200


# What it is as new


def test_a_new_one_uses_the_sandboxs_keycloak(admin: Caller, sandbox: Sandbox) -> None:
    shown = admin.json("/configurations")
    assert shown["auth_mode"] == {"editable": True, "value": "oidc_auth"}
    assert shown["oidc_endpoint"]["value"].startswith(sandbox.addresses()["keycloak"]["url"])
    assert admin.json("/systeminfo")["harbor_version"].startswith("v2.15.2-")
    assert [project["name"] for project in admin.json("/projects")] == ["library"]


def test_what_is_real_but_not_simulated_says_so(admin: Caller) -> None:
    for path in ("/replication/policies", "/scanners", "/system/gc", "/c/userExists"):
        answer = admin("GET", path)
        assert answer.status_code == 501, path
        assert "tenantry/sandbox/harbor/" in answer.json()["errors"][0]["message"]


# By its state


def test_a_project_with_repositories_stays(
    admin: Caller, harbor: SimulatedHarbor, demo: int
) -> None:
    now = harbor.clock.now()
    harbor.projects["team-demo"].repositories["app"] = Repository(1, now, now)
    message = "the project contains repositories, can not be deleted"
    answer = admin("DELETE", "/projects/team-demo")
    assert refused(answer, 412, f"precondition failed: {message}")
    assert admin.json("/projects/team-demo/_deletable") == {"message": message}


def test_where_projects_have_no_quota_a_limit_is_ignored(
    admin: Caller, harbor: SimulatedHarbor
) -> None:
    harbor.configuration["quota_per_project_enable"] = False
    project = admin.made("/projects", {"project_name": "team-demo", "storage_limit": 1024})
    assert admin.json(f"/quotas?reference=project&reference_id={project}") == []
    assert "quota" not in admin.json("/projects/team-demo/summary")


def test_health_is_200_when_something_is_broken(admin: Caller, harbor: SimulatedHarbor) -> None:
    assert admin.json("/health")["status"] == "healthy"
    harbor.unhealthy["jobservice"] = "gone"
    health = admin.json("/health")
    harbor.unhealthy.clear()
    assert health["status"] == "unhealthy"
    broken = {"name": "jobservice", "status": "unhealthy", "error": "gone"}
    assert broken in health["components"]


def test_the_auth_mode_is_free_again_after_the_last_user(
    admin: Caller, harbor: SimulatedHarbor
) -> None:
    alice = harbor.sign_in("alice", None, "sub", "iss", [])
    assert refused(admin("PUT", "/configurations", json={"auth_mode": "db_auth"}), 400, FIXED)
    assert admin("PUT", "/configurations", json={"auth_mode": "oidc_auth"}).status_code == 200
    assert admin.json("/configurations")["auth_mode"]["editable"] is False
    admin("DELETE", f"/users/{alice.id}")
    assert admin("PUT", "/configurations", json={"auth_mode": "db_auth"}).status_code == 200


def test_a_configuration_from_the_environment_is_shown_and_not_changed(
    admin: Caller, harbor: SimulatedHarbor
) -> None:
    harbor.overwrite_configuration({"robot_token_duration": 7})
    shown = admin.json("/configurations")
    assert shown["robot_token_duration"] == {"editable": False, "value": 7}
    assert {setting.get("editable", False) for setting in shown.values()} == {False}
    told = "current config is init by env variable: CONFIG_OVERWRITE_JSON, it cannot be updated"
    for body in ({"robot_token_duration": 7}, {"robot_token_duration": 8}, {"no_such": 1}):
        assert refused(admin("PUT", "/configurations", json=body), 403, told)
    harbor.read_only_configuration = False


@pytest.mark.demand("real", "Harbor: users")
def test_users_of_the_provider(admin: Caller, harbor: SimulatedHarbor) -> None:
    alice = harbor.sign_in("alice", "alice@lab.test", "sub-1", "iss", [])
    harbor.sign_in("bob", None, "sub-2", "iss", [])
    for query in ("username=lic", "email=lab.test", "q=username%3Dalice"):
        assert [user["username"] for user in admin.json(f"/users?{query}")] == ["alice"]
    [bob] = admin.json("/users?username=bob")
    assert "email" not in bob
    answer = admin("PUT", f"/users/{alice.id}", json={})
    assert refused(answer, 403, f"User with ID {alice.id} can't be updated")
    answer = admin("PUT", f"/users/{alice.id}/sysadmin", json={"sysadmin_flag": True})
    assert (answer.status_code, answer.content) == (200, b"")
    assert admin.json(f"/users/{alice.id}")["sysadmin_flag"] is True


def test_a_project_outlives_the_user_that_owns_it(
    admin: Caller, harbor: SimulatedHarbor, demo: int
) -> None:
    alice = harbor.sign_in("alice", None, "sub", "iss", [])
    harbor.projects["team-demo"].owner_id = alice.id
    assert admin.json("/projects/team-demo")["owner_name"] == "alice"
    admin("DELETE", f"/users/{alice.id}")
    assert "owner_name" not in admin.json("/projects/team-demo")


def test_secrets_are_noted_for_a_search_and_never_saved(
    admin: Caller, ci: dict, harbor: SimulatedHarbor
) -> None:
    fresh = admin("PATCH", f"/robots/{ci['id']}", json={}).json()["secret"]
    admin("PATCH", f"/robots/{ci['id']}", json={"secret": "Sup3rSecret"})
    admin("PUT", "/configurations", json={"oidc_client_secret": "hush"})
    assert {ci["secret"], fresh, "Sup3rSecret", "hush"} <= set(harbor.issued_secrets)
    saved = str(harbor.dump())
    assert not any(secret in saved for secret in (ci["secret"], fresh, "Sup3rSecret"))


def test_access_is_shown_by_its_first_use_ever(admin: Caller, ci: dict) -> None:
    permission = {"kind": "project", "namespace": "team-demo", "access": [PUSH, PULL, PUSH]}
    made = admin.made("/robots", robot(name="later", permissions=[permission]))
    [shown] = admin.json(f"/robots/{made}")["permissions"]
    assert shown["access"] == [PULL, PUSH]


# Users of its own, which it has only while no provider is set: that is everybody's setting.


@pytest.fixture
def erin(admin: Caller, harbor: SimulatedHarbor) -> dict:
    harbor.configuration["auth_mode"] = "db_auth"
    name = {"username": "erin", "email": "erin@lab.test", "realname": "Erin"}
    made = admin.made("/users", {**name, "password": "Passw0rd"})
    return {**name, "user_id": made}


@pytest.mark.demand("real", "Harbor: users")
def test_a_separate_user_logs_in_and_reads_little(admin: Caller, erin: dict, demo: int) -> None:
    user = admin.login("erin", "Passw0rd")
    current = user.json("/users/current")
    assert erin.items() <= current.items()
    assert "oidc_user_meta" not in current
    for path in ("/projects/team-demo", "/projects/nosuch"):
        assert refused(user("GET", path), 403, "forbidden")
    for path in ("/robots", "/quotas", "/usergroups", "/users", "/configurations"):
        assert refused(user("GET", path), 403, "erin")
    body = {"role_id": 2, "member_user": {"username": "erin"}}
    admin.made("/projects/team-demo/members", body)
    assert user.json("/projects/team-demo")["current_user_role_ids"] == [2]
    assert [each["username"] for each in admin.json("/users")] == ["erin"]
    assert Session(admin.url, "erin", "Passw0rd")("GET", "/users/current").status_code == 200


@pytest.mark.demand("real", "Harbor: users")
def test_a_user_of_its_own_fixes_the_way_of_authentication(admin: Caller, erin: dict) -> None:
    assert admin.json("/configurations")["auth_mode"]["editable"] is False
    assert refused(admin("PUT", "/configurations", json={"auth_mode": "oidc_auth"}), 400, FIXED)
    assert admin("DELETE", f"/users/{erin['user_id']}").status_code == 200
    assert admin.login("erin", "Passw0rd")("GET", "/users/current").status_code == 401
    assert admin("PUT", "/configurations", json={"auth_mode": "oidc_auth"}).status_code == 200


@pytest.mark.demand("real", "Harbor: users")
def test_a_user_of_its_own_is_there_once_and_has_a_password_worth_the_name(
    admin: Caller, erin: dict
) -> None:
    body = {**erin, "password": "Passw0rd"}
    taken = admin("POST", "/users", json=body)
    assert refused(taken, 409, "user erin or email erin@lab.test already exists")
    said = (
        "the password or secret must be 8-128, inclusively, characters long with at least 1 "
        "uppercase letter, 1 lowercase letter and 1 number"
    )
    assert refused(admin("POST", "/users", json=body | {"password": "weak"}), 400, said)
    path = f"/users/{erin['user_id']}/password"
    user = admin.login("erin", "Passw0rd")
    wrong = user("PUT", path, json={"old_password": "no", "new_password": "Passw1rd"})
    assert refused(wrong, 403, "Current password is incorrect")
    changed = user("PUT", path, json={"old_password": "Passw0rd", "new_password": "Passw1rd"})
    assert changed.status_code == 200
    assert admin.login("erin", "Passw1rd").json("/users/current")["username"] == "erin"
    assert user("GET", "/users/current").status_code == 401


# A real one asks the other registry whether it is there.
def test_another_registry_is_there_once_and_its_secret_masked(admin: Caller) -> None:
    credential = {"type": "basic", "access_key": "key", "access_secret": "hush"}
    body = {"name": "hub", "type": "docker-hub", "url": "https://hub.docker.com"}
    made = admin.made("/registries", {**body, "credential": credential})
    shown = admin.json(f"/registries/{made}")
    assert shown["credential"] == {**credential, "access_secret": "*****"}
    assert admin.json("/registries?name=hub") == [shown]
    assert refused(admin("POST", "/registries", json=body), 409, "registry hub already exists")
    assert admin("DELETE", f"/registries/{made}").status_code == 200


# By its clock


def test_an_expired_robot_looks_like_any_other(admin: Caller, ci: dict, sandbox: Sandbox) -> None:
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
    # Counted from the creation, that is over already.
    assert admin("PUT", path, json=shown | {"duration": 5}).status_code == 200
    assert not alive(admin, ci["name"], fresh.json()["secret"])


def test_the_next_time_of_a_schedule(admin: Caller, demo: int) -> None:
    body = {
        "algorithm": "or",
        "rules": [],
        "trigger": {"kind": "Schedule", "settings": {"cron": "0 30 3 * * *"}, "references": {}},
        "scope": {"level": "project", "ref": demo},
    }
    made = admin.made("/retentions", body)
    settings = admin.json(f"/retentions/{made}")["trigger"]["settings"]
    assert settings["next_scheduled_time"][11:] == "03:30:00.000Z"


# With a wider gap between reading and writing


@pytest.mark.demand("real", "Harbor: races: 409, 500, lost updates")
def test_an_update_concurrent_with_a_refresh_loses_one_of_them(
    admin: Caller, ci: dict, harbor: SimulatedHarbor
) -> None:
    harbor.race_window = 0.05
    path = f"/robots/{ci['id']}"
    body = {**admin.json(path), "description": "new"}
    with ThreadPoolExecutor(2) as pool:
        refresh = pool.submit(admin, "PATCH", path, json={})
        update = pool.submit(admin, "PUT", path, json=body)
        assert refresh.result().status_code == update.result().status_code == 200
    harbor.race_window = 0.001
    secret_lost = not alive(admin, ci["name"], refresh.result().json()["secret"])
    description_lost = admin.json(path).get("description") != "new"
    assert secret_lost != description_lost


@pytest.mark.demand("real", "Harbor: races: 409, 500, lost updates")
def test_parallel_adds_of_a_member_can_be_a_fault_of_the_server(
    admin: Caller, demo: int, harbor: SimulatedHarbor
) -> None:
    harbor.race_window = 0.02
    group = {"group_name": "team-demo", "group_type": 3}
    body = {"role_id": 2, "member_group": group}
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda _: admin("POST", "/projects/team-demo/members", json=body), range(8)
        )
        codes = [answer.status_code for answer in answers]
    harbor.race_window = 0.001
    assert 500 in codes
    assert len(harbor.projects["team-demo"].members) == 2
