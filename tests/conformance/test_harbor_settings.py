"""A Harbor's settings, and what it says about itself."""

import json
import re

import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import MARKS, HarborCaller, changed, done, made
from tests.sandbox.calls import refused

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: configuration"),
]
ANONYMOUS = {
    "auth_mode",
    "banner_message",
    "oidc_provider_name",
    "primary_auth_mode",
    "self_registration",
}
KNOWN = ANONYMOUS | {
    "current_time",
    "external_url",
    "harbor_version",
    "has_ca_root",
    "notification_enable",
    "project_creation_restriction",
    "read_only",
    "registry_storage_provider_name",
    "registry_url",
}
READ_ONLY = "The system is in read only mode. Any modification is prohibited."
NO_MODE = (
    "bad request: item name auth_mode: invalid auth_mode, shoud be one of db_auth, ldap_auth, "
    "uaa_auth, http_auth, oidc_auth"
)


# About itself


def test_systeminfo_tells_nobody_five_things(caller: HarborCaller, nobody: HarborCaller) -> None:
    assert set(nobody.json("/systeminfo")) == ANONYMOUS
    info = caller.json("/systeminfo")
    assert set(info) == KNOWN
    assert re.fullmatch(r"v\d+\.\d+\.\d+-.+", info["harbor_version"])
    assert info["read_only"] is False


def test_health_names_each_component(nobody: HarborCaller) -> None:
    health = nobody.json("/health")
    assert health["status"] in ("healthy", "unhealthy")
    for component in health["components"]:
        assert {"name", "status"} <= set(component) <= {"name", "status", "error"}


# Reading settings


def test_settings_are_shown_but_for_secrets(caller: HarborCaller, nobody: HarborCaller) -> None:
    shown = caller.json("/configurations")
    # It is bare, whatever was set.
    assert shown.pop("scan_all_policy") == {}
    for setting in shown.values():
        assert set(setting) == {"editable", "value"}
        assert isinstance(setting["editable"], bool)
    assert not {"oidc_client_secret", "ldap_search_password"} & set(shown)
    assert {"uaa_client_secret", "disabled_audit_log_event_types"} <= set(shown)
    assert shown["auth_mode"]["value"] == caller.json("/systeminfo")["auth_mode"]
    # JSON, as a string.
    assert isinstance(json.loads(shown["oidc_extra_redirect_parms"]["value"]), dict)
    assert refused(nobody("GET", "/configurations"), 401, "unauthorized")


# Changing them


def test_settings_change_in_part(caller: HarborCaller) -> None:
    before = caller.json("/configurations")
    days = before["robot_token_duration"]["value"] + 1
    with changed(caller, robot_token_duration=days) as answer:
        assert done(answer)
        for body in ({"robot_token_duration": days}, {"nonsense": 1}, {}):
            assert done(caller("PUT", "/configurations", json=body))
        expected = before | {"robot_token_duration": {"editable": True, "value": days}}
        assert caller.json("/configurations") == expected
    assert caller.json("/configurations") == before


@pytest.mark.parametrize("name", ["robot_token_duration", "token_expiration", "session_timeout"])
def test_durations_are_positive(caller: HarborCaller, name: str) -> None:
    for value in (0, -1):
        with changed(caller, **{name: value}) as answer:
            assert refused(answer, 400, f"the {name} value must be positive")
    answer = caller("PUT", "/configurations", json={name: "x"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"].startswith("validation failure list:\n")


def test_the_provider_is_not_looked_at(caller: HarborCaller) -> None:
    """Faults in it show at the next login only."""
    with changed(caller, oidc_endpoint="no address", oidc_scope="profile") as answer:
        assert done(answer)


def test_the_way_of_authentication_is_one_of_five(caller: HarborCaller) -> None:
    answer = caller("PUT", "/configurations", json={"auth_mode": "x"})
    assert refused(answer, 400, NO_MODE)


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_the_way_of_authentication_is_fixed_while_there_are_users(caller: HarborCaller) -> None:
    mode = caller.json("/configurations")["auth_mode"]
    has_users = int(caller("GET", "/users?page_size=1").headers["x-total-count"]) > 0
    assert mode["editable"] is not has_users
    assert done(caller("PUT", "/configurations", json={"auth_mode": mode["value"]}))
    other = "db_auth" if mode["value"] == "oidc_auth" else "oidc_auth"
    with changed(caller, auth_mode=other) as answer:
        if has_users:
            said = "the auth mode cannot be modified as new users have been inserted into database"
            assert refused(answer, 400, said)
        else:
            assert done(answer)
            assert caller.json("/systeminfo")["auth_mode"] == other


@pytest.mark.demand("real", "Harbor: read-only mode")
def test_read_only_mode_refuses_writes_but_its_own_end(caller: HarborCaller, project: str) -> None:
    body = {"project_name": unique("conformance")}
    with changed(caller, read_only=True) as answer:
        assert done(answer)
        for method, path, sent in (
            ("POST", "/projects", body),
            ("PUT", f"/projects/{project}", {}),
            ("DELETE", f"/projects/{project}", None),
        ):
            assert refused(caller(method, path, json=sent), 403, READ_ONLY, code="DENIED")
        assert caller.json(f"/projects/{project}")["name"] == project
        assert caller.json("/systeminfo")["read_only"] is True
    assert made(caller("POST", "/projects", json=body))
