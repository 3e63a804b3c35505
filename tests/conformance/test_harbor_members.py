"""A Harbor's members of projects, and the user groups that they are."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.conftest import Harbor, unique
from tests.conformance.harbor import MARKS, MISSING, HarborCaller, changed, done, made
from tests.sandbox.calls import API, refused

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: members and groups with their oddities"),
]
TAKEN = "The project member specified already exist"
NO_ROLE = "Failed to update project member, role is not in 1,2,3"
FIXED = "the auth mode cannot be modified as new users have been inserted into database"


def group(name: str, role: int = 2, kind: int | None = 3) -> dict:
    """A body that makes a group a member."""
    said = {"group_name": name} | ({} if kind is None else {"group_type": kind})
    return {"role_id": role, "member_group": said}


@pytest.fixture(params=["oidc_auth", "db_auth"])
def mode(request: pytest.FixtureRequest, caller: HarborCaller) -> Iterator[str]:
    """Harbor's way of authentication: this one, or the one that it has where it can't be changed.

    It can't while Harbor has users besides the administrator.
    """
    with changed(caller, auth_mode=request.param) as answer:
        if answer.status_code != 200:
            assert refused(answer, 400, FIXED)
        yield caller.json("/systeminfo")["auth_mode"]


@pytest.fixture
def unknown(caller: HarborCaller) -> Iterator[str]:
    """A name that no group has; Harbor forgets it in the end."""
    name = unique("conformance")
    yield name
    for known in caller.json(f"/usergroups?group_name={name}"):
        caller("DELETE", f"/usergroups/{known['id']}")


@pytest.fixture
def name(caller: HarborCaller, unknown: str) -> str:
    """The name of a group of OIDC that is no member of anything."""
    caller.made("/usergroups", {"group_name": unknown, "group_type": 3})
    return unknown


@pytest.fixture
def members(project: str) -> str:
    """The path of a new project's members."""
    return f"/projects/{project}/members"


def listed(caller: HarborCaller, members: str) -> list[str]:
    return [each["entity_name"] for each in caller.json(members)]


# Adding


def test_who_makes_a_project_is_its_first_member(
    caller: HarborCaller, harbor: Harbor, members: str
) -> None:
    [creator] = caller.json(members)
    assert (creator["entity_name"], creator["entity_type"]) == (harbor.username, "u")
    assert (creator["role_id"], creator["role_name"]) == (1, "projectAdmin")


def test_a_known_group_is_added_in_any_mode(
    caller: HarborCaller, mode: str, project: str, members: str, name: str
) -> None:
    number = caller.json(f"/projects/{project}")["project_id"]
    [known] = caller.json(f"/usergroups?group_name={name}")
    answer = caller("POST", members, json=group(name))
    assert made(answer)
    path = answer.headers["location"].removeprefix(API)
    assert path.startswith(f"{members}/")
    assert caller.json(path) == {
        "entity_id": known["id"],
        "entity_name": name,
        "entity_type": "g",
        "id": int(path.rpartition("/")[2]),
        "project_id": number,
        "role_id": 2,
        "role_name": "developer",
    }
    assert caller.json(path) in caller.json(members)


def test_the_location_calls_the_project_as_the_caller_did(
    caller: HarborCaller, project: str, name: str
) -> None:
    number = caller.json(f"/projects/{project}")["project_id"]
    answer = caller("POST", f"/projects/{number}/members", json=group(name))
    assert made(answer)
    assert answer.headers["location"].startswith(f"{API}/projects/{number}/members/")


@pytest.mark.parametrize("kind", [3, 1, None])
def test_an_unknown_group_is_made_where_a_provider_tells_the_groups(
    caller: HarborCaller, mode: str, members: str, unknown: str, kind: int | None
) -> None:
    answer = caller("POST", members, json=group(unknown, kind=kind))
    known = caller.json(f"/usergroups?group_name={unknown}")
    if mode == "oidc_auth":
        assert made(answer)
        assert [(each["group_name"], each["group_type"]) for each in known] == [(unknown, 3)]
        assert unknown in listed(caller, members)
    else:
        assert refused(answer, 404, f"{unknown} not found: not supported")
        assert known == []


@pytest.mark.parametrize(
    ("role", "called"),
    [
        (1, "projectAdmin"),
        (2, "developer"),
        (3, "guest"),
        (4, "maintainer"),
        (5, "limitedGuest"),
    ],
)
def test_roles(caller: HarborCaller, members: str, name: str, role: int, called: str) -> None:
    member = caller.made(members, group(name, role))
    assert caller.json(f"{members}/{member}")["role_name"] == called


def test_a_member_is_taken_once_whatever_the_role(
    caller: HarborCaller, members: str, name: str
) -> None:
    assert made(caller("POST", members, json=group(name)))
    for role in (2, 4, 9):
        assert refused(caller("POST", members, json=group(name, role)), 409, TAKEN)
    [known] = caller.json(f"/usergroups?group_name={name}")
    by_id = {"role_id": 4, "member_group": {"id": known["id"]}}
    assert refused(caller("POST", members, json=by_id), 409, TAKEN)
    [member] = caller.json(f"{members}?entityname={name}")
    assert member["role_id"] == 2


def test_a_role_must_exist_to_be_given(caller: HarborCaller, members: str, name: str) -> None:
    for role in (0, 6, 9):
        assert refused(caller("POST", members, json=group(name, role)), 400, NO_ROLE)
    assert name not in listed(caller, members)


def test_who_cannot_be_a_member(caller: HarborCaller, members: str) -> None:
    ghost = unique("ghost")
    answer = caller("POST", members, json={"role_id": 2, "member_user": {"username": ghost}})
    assert refused(answer, 404, f"{ghost} not found: not supported")
    by_id = {"role_id": 2, "member_group": {"id": MISSING}}
    assert refused(caller("POST", members, json=by_id), 400, f"Group {MISSING} not found")
    assert refused(caller("POST", members, json={"role_id": 2}), 500, "internal server error")


@pytest.mark.demand("real", "Harbor: races: 409, 500, lost updates")
@pytest.mark.unordered
def test_of_parallel_adds_one_wins_and_none_is_lost(
    caller: HarborCaller, mode: str, members: str, unknown: str
) -> None:
    if mode != "oidc_auth":
        caller.made("/usergroups", {"group_name": unknown, "group_type": 3})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: caller("POST", members, json=group(unknown)), range(8)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 201
    # A unique index is not always asked before; in db_auth, two calls may both succeed.
    assert set(codes[1:]) <= ({409, 500} if mode == "oidc_auth" else {201, 409, 500})
    assert len(caller.json(f"/usergroups?group_name={unknown}")) == 1
    assert listed(caller, members).count(unknown) == 1


def test_a_group_that_is_there_is_added_to_many_projects_at_once(
    caller: HarborCaller, name: str
) -> None:
    projects = [unique("conformance") for _ in range(8)]
    for project in projects:
        caller.made("/projects", {"project_name": project})
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda project: caller("POST", f"/projects/{project}/members", json=group(name)),
            projects,
        )
        assert [answer.status_code for answer in answers] == [201] * 8


# Reading


def test_entityname_is_exact_and_the_total_ignores_it(
    caller: HarborCaller, members: str, name: str
) -> None:
    caller.made(members, group(name))
    answer = caller("GET", f"{members}?entityname={name}")
    assert [each["entity_name"] for each in answer.json()] == [name]
    assert answer.headers["x-total-count"] == "2"
    assert caller.json(f"{members}?entityname={name[:-1]}") == []


def test_members_come_in_pages(caller: HarborCaller, members: str, name: str) -> None:
    caller.made(members, group(name))
    first = caller("GET", f"{members}?page_size=1")
    assert first.headers["link"] == f'<{API}{members}?page=2&page_size=1>; rel="next"'
    pages = [caller.json(f"{members}?page_size=1&page={page}") for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [1, 1, 0]
    assert {pages[0][0]["id"], pages[1][0]["id"]} == {each["id"] for each in caller.json(members)}


def test_a_missing_member_is_said_to_be(caller: HarborCaller, project: str, members: str) -> None:
    number = caller.json(f"/projects/{project}")["project_id"]
    said = f"the project member is not found, project id {number}, member id {MISSING}"
    assert refused(caller("GET", f"{members}/{MISSING}"), 404, said)


# Changing


def test_a_role_is_changed_and_a_member_removed(
    caller: HarborCaller, members: str, name: str
) -> None:
    path = f"{members}/{caller.made(members, group(name))}"
    assert done(caller("PUT", path, json={"role_id": 4}))
    assert caller.json(path)["role_name"] == "maintainer"
    assert done(caller("DELETE", path))
    assert caller("GET", path).status_code == 404
    assert name not in listed(caller, members)


def test_a_role_that_does_not_exist_hides_the_member(
    caller: HarborCaller, members: str, name: str
) -> None:
    member = caller.made(members, group(name))
    assert done(caller("PUT", f"{members}/{member}", json={"role_id": 9}))
    assert caller("GET", f"{members}/{member}").status_code == 404
    answer = caller("GET", members)
    assert name not in [each["entity_name"] for each in answer.json()]
    assert answer.headers["x-total-count"] == "2"
    assert done(caller("PUT", f"{members}/{member}", json={"role_id": 2}))
    assert name in listed(caller, members)


def test_a_hidden_member_is_replaced_by_adding_it(
    caller: HarborCaller, members: str, name: str
) -> None:
    member = caller.made(members, group(name))
    assert done(caller("PUT", f"{members}/{member}", json={"role_id": 9}))
    again = caller.made(members, group(name, 4))
    assert again > member
    answer = caller("GET", members)
    assert {each["id"]: each["role_id"] for each in answer.json()}[again] == 4
    assert answer.headers["x-total-count"] == "2"


def test_missing_members_are_updated_and_deleted_all_the_same(
    caller: HarborCaller, members: str
) -> None:
    assert done(caller("PUT", f"{members}/{MISSING}", json={"role_id": 1}))
    assert done(caller("DELETE", f"{members}/{MISSING}"))


# Groups


def test_a_group_is_there_once(caller: HarborCaller, name: str) -> None:
    body = {"group_name": name, "group_type": 3}
    answer = caller("POST", "/usergroups", json=body)
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["code"] == "CONFLICT"
    # Its name is unique over all types: by an index, whose refusal is a fault of the server.
    assert caller("POST", "/usergroups", json=body | {"group_type": 2}).status_code in (409, 500)
    assert [each["group_type"] for each in caller.json(f"/usergroups?group_name={name}")] == [3]


def test_making_a_group_says_where(caller: HarborCaller, unknown: str) -> None:
    answer = caller("POST", "/usergroups", json={"group_name": unknown, "group_type": 3})
    assert made(answer)
    [known] = caller.json(f"/usergroups?group_name={unknown}")
    assert answer.headers["location"] == f"{API}/usergroups/{known['id']}"


def test_groups_are_found_by_a_part_of_their_name(caller: HarborCaller, name: str) -> None:
    part = name[1:-1]
    [known] = caller.json(f"/usergroups?group_name={part}")
    assert (known["group_name"], known["group_type"]) == (name, 3)
    [found] = caller.json(f"/usergroups/search?groupname={part}")
    assert (found["group_name"], found["id"]) == (name, known["id"])
    alone = caller.json(f"/usergroups/{known['id']}")
    assert (alone["group_name"], alone.get("id")) == (name, None)


def test_a_group_can_be_renamed_only(caller: HarborCaller, members: str, name: str) -> None:
    caller.made(members, group(name))
    [known] = caller.json(f"/usergroups?group_name={name}")
    body = {"group_name": f"{name}-renamed", "group_type": 1}
    assert done(caller("PUT", f"/usergroups/{known['id']}", json=body))
    after = caller.json(f"/usergroups/{known['id']}")
    assert (after["group_name"], after["group_type"]) == (f"{name}-renamed", 3)
    assert f"{name}-renamed" in listed(caller, members)


def test_deleting_a_group_ends_its_memberships(
    caller: HarborCaller, members: str, name: str
) -> None:
    caller.made(members, group(name))
    [known] = caller.json(f"/usergroups?group_name={name}")
    for _ in range(2):
        assert done(caller("DELETE", f"/usergroups/{known['id']}"))
    assert name not in listed(caller, members)


def test_nobody_sees_groups_and_members(nobody: HarborCaller, members: str) -> None:
    for path in ("/usergroups", "/usergroups/search?groupname=x", members):
        assert refused(nobody("GET", path), 401, "unauthorized")
