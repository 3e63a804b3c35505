"""Members, user groups and users."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tenantry.sandbox.harbor import Refusal
from tenantry.sandbox.harbor.sessions import open_session
from tests.sandbox.calls import refused

MEMBERS = "/projects/team-demo/members"
ISS = "https://idp.example/realms/a"


def group(name: str = "team-demo", role: int = 2, kind: int | None = 3) -> dict:
    member = {"group_name": name} | ({} if kind is None else {"group_type": kind})
    return {"role_id": role, "member_group": member}


def test_a_new_group_is_made_and_added(admin, demo) -> None:
    answer = admin("POST", MEMBERS, json=group())
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["location"].startswith("/api/v2.0/projects/team-demo/members/")
    creator, member = admin.json(f"/projects/{demo}/members")
    assert (creator["entity_name"], creator["role_id"]) == ("admin", 1)
    assert set(member) == {
        "entity_id",
        "entity_name",
        "entity_type",
        "id",
        "project_id",
        "role_id",
        "role_name",
    }
    assert (member["entity_type"], member["role_name"]) == ("g", "developer")
    [made] = admin.json("/usergroups")
    assert made == {"id": member["entity_id"], "group_name": "team-demo", "group_type": 3}


@pytest.mark.parametrize("kind", [1, 2, None])
def test_a_group_of_whatever_type_is_made_as_oidcs(admin, demo, harbor, kind) -> None:
    admin.made(MEMBERS, group(kind=kind))
    assert [g.type for g in harbor.groups.values()] == [3]


def test_a_duplicate_is_seen_before_the_role(admin, demo) -> None:
    admin.made(MEMBERS, group())
    for role in (2, 4, 9):
        answer = admin("POST", MEMBERS, json=group(role=role))
        assert refused(answer, 409, "The project member specified already exist")


def test_refused_members(admin, demo, harbor) -> None:
    for role in (0, 6, 9):
        answer = admin("POST", MEMBERS, json=group(role=role))
        message = "Failed to update project member, role is not in 1,2,3"
        assert refused(answer, 400, message)
    assert not harbor.groups
    body = {"role_id": 2, "member_user": {"username": "ghost"}}
    assert refused(admin("POST", MEMBERS, json=body), 404, "ghost not found: not supported")
    body = {"role_id": 2, "member_group": {"id": 9999}}
    assert refused(admin("POST", MEMBERS, json=body), 400, "Group 9999 not found")
    assert refused(admin("POST", MEMBERS, json={"role_id": 2}), 500, "internal server error")
    harbor.configuration["auth_mode"] = "db_auth"
    assert refused(admin("POST", MEMBERS, json=group()), 404, "team-demo not found: not supported")


def test_a_role_that_does_not_exist_hides_the_member(admin, demo) -> None:
    member = admin.made(MEMBERS, group())
    answer = admin("PUT", f"{MEMBERS}/{member}", json={"role_id": 9})
    assert (answer.status_code, answer.content) == (200, b"")
    message = f"the project member is not found, project id {demo}, member id {member}"
    assert refused(admin("GET", f"{MEMBERS}/{member}"), 404, message)
    listed = admin("GET", MEMBERS)
    assert [m["entity_name"] for m in listed.json()] == ["admin"]
    assert listed.headers["x-total-count"] == "2"


def test_missing_members_are_updated_and_deleted_all_the_same(admin, demo) -> None:
    assert admin("PUT", f"{MEMBERS}/9999", json={"role_id": 1}).status_code == 200
    assert admin("DELETE", f"{MEMBERS}/9999").status_code == 200
    message = 'validation failure list:\nmid in path must be of type int64: "x"'
    assert refused(admin("GET", f"{MEMBERS}/x"), 422, message)


def test_entityname_is_exact_and_the_total_ignores_it(admin, demo) -> None:
    admin.made(MEMBERS, group())
    listed = admin("GET", f"{MEMBERS}?entityname=team-demo")
    assert [m["entity_name"] for m in listed.json()] == ["team-demo"]
    assert listed.headers["x-total-count"] == "2"
    assert admin.json(f"{MEMBERS}?entityname=team") == []


def test_parallel_adds_leave_one_member(admin, demo, harbor) -> None:
    harbor.race_window = 0.02
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: admin("POST", MEMBERS, json=group()), range(8)))
    harbor.race_window = 0.001
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 201
    assert set(codes[1:]) <= {409, 500}
    assert 500 in codes
    assert len(harbor.groups) == 1
    assert len(harbor.projects["team-demo"].members) == 2


# --- Groups --------------------------------------------------------------------------------------


def test_groups(admin, demo, nobody) -> None:
    made = admin.made("/usergroups", {"group_name": "team-demo", "group_type": 3})
    body = {"group_name": "team-demo", "group_type": 3}
    assert admin("POST", "/usergroups", json=body).status_code == 409
    # The name is unique over all types, by an index that nobody maps to an answer.
    answer = admin("POST", "/usergroups", json=body | {"group_type": 1})
    assert refused(answer, 500, "internal server error")
    assert admin.json(f"/usergroups/{made}") == {"group_name": "team-demo", "group_type": 3}
    for path in ("/usergroups?group_name=demo", "/usergroups/search?groupname=demo"):
        assert [g["id"] for g in admin.json(path)] == [made]
    admin.made(MEMBERS, group())
    for _ in range(2):
        assert admin("DELETE", f"/usergroups/{made}").status_code == 200
    assert [m["entity_name"] for m in admin.json(MEMBERS)] == ["admin"]
    assert refused(nobody("GET", "/usergroups"), 401, "unauthorized")


# --- Users ---------------------------------------------------------------------------------------


def test_who_is_asking(admin, nobody) -> None:
    current = admin.json("/users/current")
    assert (current["user_id"], current["username"]) == (1, "admin")
    assert current["sysadmin_flag"] is True
    assert refused(nobody("GET", "/users/current"), 401, "unauthorized")
    assert admin("HEAD", "/users/current").status_code == 405


def test_users_come_from_the_idp(admin, harbor) -> None:
    alice = harbor.sign_in("alice", "alice@lab.test", "sub-1", ISS, ["team-demo"])
    assert [g.name for g in harbor.groups.values()] == ["team-demo"]
    [listed] = admin.json("/users")
    assert (listed["user_id"], listed["username"]) == (alice.id, "alice")
    assert "oidc_user_meta" not in listed
    meta = admin.json(f"/users/{alice.id}")["oidc_user_meta"]
    assert meta["subiss"] == f"sub-1{ISS}"
    assert meta["secret"] in harbor.issued_secrets
    answer = admin("POST", "/users", json={"username": "bob"})
    message = "creating local user is not allowed under auth mode: oidc_auth"
    assert refused(answer, 403, message)
    answer = admin("PUT", f"/users/{alice.id}", json={})
    assert refused(answer, 403, f"User with ID {alice.id} can't be updated")
    answer = admin("PUT", f"/users/{alice.id}/sysadmin", json={"sysadmin_flag": True})
    assert (answer.status_code, alice.sysadmin) == (200, True)


def test_another_identity_of_the_same_name_conflicts_until_deleted(admin, harbor) -> None:
    alice = harbor.sign_in("alice", "alice@lab.test", "sub-1", ISS, [])
    again = harbor.sign_in("renamed", "new@lab.test", "sub-1", ISS, [])
    assert again is alice
    assert alice.username == "alice"
    with pytest.raises(Refusal, match=r"user bob or email .* already exists") as refusal:
        harbor.sign_in("bob", "alice@lab.test", "sub-2", ISS, [])
    assert (refusal.value.status, refusal.value.code) == (409, "UNKNOWN")
    assert admin("DELETE", f"/users/{alice.id}").status_code == 200
    answer = admin("DELETE", f"/users/{alice.id}")
    assert refused(answer, 404, f"user {alice.id} not found")
    anew = harbor.sign_in("alice", "alice@lab.test", "sub-2", ISS, [])
    assert anew.id > alice.id + 1  # the conflict burned one


def test_a_cli_secret_is_good_for_a_few_paths(admin, demo, harbor) -> None:
    admin.made(MEMBERS, group())
    user = harbor.sign_in("alice", "alice@lab.test", "sub-1", ISS, ["team-demo"])
    alice = admin.login("alice", user.cli_secret)
    assert [p["name"] for p in alice.json("/projects")] == ["library", "team-demo"]
    for path in ("/service/token?service=harbor-registry", "/v2/"):
        assert alice("GET", path).status_code == 200
        assert admin.login("alice", "wrong")("GET", path).status_code == 401
    assert alice("GET", "/users/current").status_code == 401
    assert alice("GET", "/projects/team-demo").status_code == 401


def test_the_admin_cannot_be_deleted(admin) -> None:
    assert refused(admin("DELETE", "/users/1"), 403, "User with ID 1 cannot be deleted")


def test_a_member_through_its_group(admin, demo, harbor, nobody) -> None:
    admin.made(MEMBERS, group())
    alice = harbor.sign_in("alice", "alice@lab.test", "sub-1", ISS, ["team-demo"])
    cookie = {"cookie": f"sid={open_session(harbor, alice.id)}"}
    seen = nobody.json("/projects/team-demo", headers=cookie)
    assert (seen["current_user_role_id"], seen["current_user_role_ids"]) == (2, [2])
    assert [p["name"] for p in nobody.json("/projects", headers=cookie)] == ["library", "team-demo"]
    assert refused(nobody("GET", "/projects/nosuch", headers=cookie), 403, "forbidden")
    assert refused(nobody("GET", "/robots", headers=cookie), 403, "alice")
    answer = nobody("GET", "/c/log_out", headers=cookie)
    assert answer.status_code == 403
    assert "redirect_location" in answer.json()
