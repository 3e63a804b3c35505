"""A Harbor's users, as its administrator sees them; those of a provider log in elsewhere."""

import pytest

from tests.conformance.conftest import Harbor, unique
from tests.conformance.harbor import MARKS, MISSING, HarborCaller
from tests.sandbox.calls import refused

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: users"),
]


def test_who_is_asking(caller: HarborCaller, nobody: HarborCaller, harbor: Harbor) -> None:
    current = caller.json("/users/current")
    assert (current["username"], current["sysadmin_flag"]) == (harbor.username, True)
    assert refused(nobody("GET", "/users/current"), 401, "unauthorized")
    assert caller("HEAD", "/users/current").status_code == 405


def test_the_administrator_and_the_anonymous_user_are_not_listed(caller: HarborCaller) -> None:
    for path in ("/users", "/users?username=admin", "/users?username=anonymous"):
        rows = caller.json(f"{path}{'&' if '?' in path else '?'}page_size=100")
        assert not {1, 2} & {row["user_id"] for row in rows}
        assert not any("oidc_user_meta" in row for row in rows)
    found = caller.json("/users/search?username=admin&page_size=100")
    assert 1 not in {row["user_id"] for row in found}
    assert caller.json(f"/users?username={unique('nobody')}") == []
    assert caller.json(f"/users?q=username%3D{unique('nobody')}") == []


def test_the_administrator_cannot_be_deleted(caller: HarborCaller) -> None:
    assert refused(caller("DELETE", "/users/1"), 403, "User with ID 1 cannot be deleted")


def test_missing_users(caller: HarborCaller) -> None:
    for method in ("GET", "DELETE"):
        answer = caller(method, f"/users/{MISSING}")
        assert refused(answer, 404, f"user {MISSING} not found")
    body = {"sysadmin_flag": True}
    assert caller("PUT", f"/users/{MISSING}/sysadmin", json=body).status_code == 404


def test_users_are_not_made_where_a_provider_has_them(caller: HarborCaller) -> None:
    # With a password that none of Harbor's own could have either.
    body = {"username": unique("conformance"), "email": "x@lab.test", "password": "weak"}
    said = "creating local user is not allowed under auth mode: oidc_auth"
    assert refused(caller("POST", "/users", json=body), 403, said)


def test_nobody_learns_of_users(nobody: HarborCaller) -> None:
    for path in ("/users", "/users/search?username=admin"):
        assert refused(nobody("GET", path), 401, "unauthorized")
    failed = nobody("GET", "/users/1")
    assert (failed.status_code, failed.content) == (500, b"")
