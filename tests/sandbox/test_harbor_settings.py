"""Configuration, health, retention, immutable tags, and where docker logs in."""

import jwt
import pytest

from tests.sandbox.calls import refused

# --- Configuration -------------------------------------------------------------------------------


def test_settings_are_shown_but_for_secrets(admin, sandbox) -> None:
    shown = admin.json("/configurations")
    assert shown["auth_mode"] == {"editable": True, "value": "oidc_auth"}
    assert shown["oidc_endpoint"]["value"].startswith(sandbox.addresses()["keycloak"]["url"])
    assert shown["project_creation_restriction"]["value"] == "everyone"
    assert shown["scan_all_policy"]["value"] == {}
    assert shown["oidc_extra_redirect_parms"]["value"] == "{}"
    assert "uaa_client_secret" in shown
    assert not {"oidc_client_secret", "ldap_search_password"} & set(shown)


def test_settings_change_in_part(admin, harbor) -> None:
    body = {"oidc_client_secret": "hush", "oidc_scope": "openid", "nonsense": 1}
    answer = admin("PUT", "/configurations", json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    assert admin("PUT", "/configurations", json={}).status_code == 200
    assert admin.json("/configurations")["oidc_scope"]["value"] == "openid"
    assert harbor.configuration["oidc_client_secret"] == "hush"
    assert "nonsense" not in harbor.configuration


@pytest.mark.parametrize("name", ["robot_token_duration", "token_expiration", "session_timeout"])
def test_durations_are_positive(admin, name) -> None:
    answer = admin("PUT", "/configurations", json={name: 0})
    assert refused(answer, 400, f"the {name} value must be positive")
    assert admin("PUT", "/configurations", json={name: "x"}).status_code == 422


def test_the_auth_mode_is_fixed_while_there_are_users(admin, harbor) -> None:
    message = (
        "bad request: item name auth_mode: invalid auth_mode, shoud be one of db_auth, ldap_auth, "
        "uaa_auth, http_auth, oidc_auth"
    )
    assert refused(admin("PUT", "/configurations", json={"auth_mode": "x"}), 400, message)
    alice = harbor.sign_in("alice", None, "sub", "iss", [])
    message = "the auth mode cannot be modified as new users have been inserted into database"
    assert refused(admin("PUT", "/configurations", json={"auth_mode": "db_auth"}), 400, message)
    assert admin("PUT", "/configurations", json={"auth_mode": "oidc_auth"}).status_code == 200
    assert admin.json("/configurations")["auth_mode"]["editable"] is False
    admin("DELETE", f"/users/{alice.id}")
    assert admin("PUT", "/configurations", json={"auth_mode": "db_auth"}).status_code == 200


def test_health_is_200_when_something_is_broken(admin, harbor) -> None:
    assert admin.json("/health")["status"] == "healthy"
    harbor.unhealthy["jobservice"] = "gone"
    health = admin.json("/health")
    harbor.unhealthy.clear()
    assert health["status"] == "unhealthy"
    broken = {"name": "jobservice", "status": "unhealthy", "error": "gone"}
    assert broken in health["components"]


def test_systeminfo_for_the_known(admin) -> None:
    info = admin.json("/systeminfo")
    assert info["harbor_version"].startswith("v2.15.2-")
    assert len(info) == 14


# --- Retention -----------------------------------------------------------------------------------

SELECTOR = {"kind": "doublestar", "decoration": "matches", "pattern": "**"}


def policy(project: int, cron: str = "", **fields: object) -> dict:
    rule = {
        "disabled": False,
        "action": "retain",
        "template": "latestPushedK",
        "params": {"latestPushedK": 10},
        "tag_selectors": [SELECTOR],
        "scope_selectors": {"repository": [SELECTOR]},
    }
    trigger = {"kind": "Schedule", "settings": {"cron": cron}, "references": {}}
    scope = {"level": "project", "ref": project}
    return {"algorithm": "or", "rules": [rule], "trigger": trigger, "scope": scope, **fields}


def test_retention(admin, demo) -> None:
    made = admin.made("/retentions", policy(demo, "0 0 3 * * *"))
    assert admin.json("/projects/team-demo")["metadata"]["retention_id"] == str(made)
    shown = admin.json(f"/retentions/{made}")
    assert "disabled" not in shown["rules"][0]
    assert "references" not in shown["trigger"]
    assert shown["trigger"]["settings"]["next_scheduled_time"][11:] == "03:00:00.000Z"
    message = f"bad request: project {demo} already has retention policy {made}"
    assert refused(admin("POST", "/retentions", json=policy(demo)), 400, message)
    assert admin("PUT", f"/retentions/{made}", json=policy(demo)).status_code == 200
    assert "next_scheduled_time" not in admin.json(f"/retentions/{made}")["trigger"]["settings"]
    assert admin("DELETE", f"/retentions/{made}").status_code == 200
    assert "retention_id" not in admin.json("/projects/team-demo")["metadata"]


def test_faults_of_retention(admin, demo) -> None:
    answer = admin("POST", "/retentions", json=policy(9999))
    assert refused(answer, 400, "bad request: invalid Project id 9999")
    for cron in ("bad", "5 0 0 * * *", "0 0 0 * *", "0 61 0 * * *"):
        answer = admin("POST", "/retentions", json=policy(demo, cron))
        assert answer.status_code == 400
        start = f"invalid cron string for scheduled tag retention: {cron}, error: "
        assert answer.json()["errors"][0]["message"].startswith(start)
    twice = policy(demo)["rules"] * 2
    answer = admin("POST", "/retentions", json=policy(demo, rules=twice))
    assert refused(answer, 409, "resource conflict: rule 1 is conflict with rule 0")
    many = [{**twice[0], "params": {"latestPushedK": n}} for n in range(16)]
    assert admin("POST", "/retentions", json=policy(demo, rules=many)).status_code == 400
    # A missing policy is a fault of the server to read, and a missing one to write.
    assert refused(admin("GET", "/retentions/9999"), 500, "internal server error")
    message = "resource not found: the retention policy id 9999 does not match"
    assert refused(admin("PUT", "/retentions/9999", json=policy(demo)), 404, message)
    assert admin("POST", "/retentions", json=policy(demo, rules=[])).status_code == 201


def test_immutable_tags(admin, demo) -> None:
    path = "/projects/team-demo/immutabletagrules"
    rule = {k: v for k, v in policy(demo)["rules"][0].items() if k != "disabled"}
    made = admin.made(path, rule)
    assert admin("POST", path, json=rule).status_code == 409
    assert admin.json(path) == [{**rule, "disabled": False, "id": made}]
    assert admin("GET", f"{path}/{made}").status_code == 405
    assert admin("PUT", f"{path}/{made}", json={**rule, "disabled": True}).status_code == 200
    assert admin.json(path)[0]["disabled"] is True
    assert admin("DELETE", f"{path}/{made}").status_code == 200
    assert admin.json(path) == []


# --- Docker's login ------------------------------------------------------------------------------

TOKEN = "/service/token?service=harbor-registry"


@pytest.fixture
def robot(admin, demo):
    """A caller that is a robot which may pull from team-demo."""
    access = [{"resource": "repository", "action": "pull"}]
    permission = {"kind": "project", "namespace": "team-demo", "access": access}
    body = {"name": "ci", "level": "project", "duration": -1, "permissions": [permission]}
    made = admin("POST", "/robots", json=body).json()
    return admin.login(made["name"], made["secret"])


def claims(answer) -> dict:
    return jwt.decode(answer.json()["token"], options={"verify_signature": False})


def test_a_token_without_scope_is_the_sure_probe(robot, admin, nobody) -> None:
    answer = robot("GET", TOKEN)
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 1800
    token = claims(answer)
    assert (token["iss"], token["sub"]) == ("harbor-token-issuer", "robot$team-demo+ci")
    assert token["access"] is None
    for refused_one in (nobody, admin.login("robot$team-demo+ci", "wrong")):
        answer = refused_one("GET", TOKEN)
        assert (answer.status_code, answer.content) == (401, b"")


def test_a_token_with_scope_is_given_to_anybody(robot, admin) -> None:
    scope = f"{TOKEN}&scope=repository:team-demo/x:pull,push"
    [granted] = claims(robot("GET", scope))["access"]
    assert granted == {"type": "repository", "name": "team-demo/x", "actions": ["pull"]}
    answer = admin.login("robot$team-demo+ci", "wrong")("GET", scope)
    assert answer.status_code == 200
    assert "sub" not in claims(answer)
    assert claims(answer)["access"][0]["actions"] == []


def test_the_registrys_door(robot, admin, nobody, harbor) -> None:
    answer = robot("GET", "/v2/")
    assert (answer.status_code, answer.json()) == (200, {})
    refused_one = admin.login("robot$team-demo+ci", "wrong")("GET", "/v2/")
    assert refused(refused_one, 401, "unauthorized: unauthorized")
    assert refused_one.headers["www-authenticate"] == 'Basic realm="harbor"'
    challenge = nobody("GET", "/v2/").headers["www-authenticate"]
    realm = f'Bearer realm="{harbor.ext_endpoint}/service/token"'
    assert challenge == f'{realm},service="harbor-registry"'
    token = {"authorization": f"Bearer {robot('GET', TOKEN).json()['token']}"}
    assert nobody("GET", "/v2/", headers=token).status_code == 200
