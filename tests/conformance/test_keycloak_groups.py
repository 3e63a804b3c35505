"""Groups and users of a Keycloak."""

from typing import Any

import pytest
from keycloak import KeycloakAdmin
from keycloak.exceptions import (
    KeycloakDeleteError,
    KeycloakGetError,
    KeycloakPostError,
    KeycloakPutError,
)

from tests.support.narrowing import present

confirmed = pytest.mark.confirmed("keycloak 26.7.3")


def raw(admin: KeycloakAdmin, path: str, **query: object) -> Any:
    """What one request answers, without the client's own paging."""
    realm = admin.get_current_realm()
    return admin.connection.raw_get(f"admin/realms/{realm}/{path}", **query).json()


def names(groups: Any) -> list[str]:
    return [group["name"] for group in groups]


# Groups


@confirmed
def test_top_level_groups_come_brief_and_without_children(admin: KeycloakAdmin) -> None:
    team = present(admin.create_group({"name": "team-a", "attributes": {"mark": ["ours"]}}))
    admin.create_group({"name": "dev"}, parent=team)
    [brief] = raw(admin, "groups")
    assert set(brief) == {"id", "name", "path", "subGroupCount", "subGroups", "access"}
    assert (brief["subGroupCount"], brief["subGroups"]) == (1, [])
    [full] = raw(admin, "groups", briefRepresentation="false")
    assert full["attributes"] == {"mark": ["ours"]}
    assert admin.get_group(team)["attributes"] == {"mark": ["ours"]}


@confirmed
def test_a_search_is_a_substring_over_the_whole_tree_unless_exact(admin: KeycloakAdmin) -> None:
    top = present(admin.create_group({"name": "team"}))
    admin.create_group({"name": "team-a"})
    admin.create_group({"name": "my-team"}, parent=admin.create_group({"name": "other"}))
    found = raw(admin, "groups", search="team")
    assert names(found) == ["other", "team", "team-a"]
    assert names(found[0]["subGroups"]) == ["my-team"]
    assert [group["id"] for group in raw(admin, "groups", search="team", exact="true")] == [top]
    assert raw(admin, "groups/count") == {"count": 4}
    assert raw(admin, "groups/count", top="true") == {"count": 3}


@pytest.mark.demand("real", "Keycloak: paging limits")
@confirmed
def test_pages_of_groups_are_by_name(admin: KeycloakAdmin) -> None:
    for name in ("c", "a", "b"):
        admin.create_group({"name": name})
    assert names(raw(admin, "groups", first=1, max=1)) == ["b"]
    assert names(raw(admin, "groups", max=2)) == ["a", "b"]
    assert names(raw(admin, "groups", max=-1)) == ["a", "b", "c"]


@confirmed
def test_groups_are_found_by_an_attribute_in_the_whole_tree(admin: KeycloakAdmin) -> None:
    team = present(admin.create_group({"name": "team", "attributes": {"mark": ["ours"]}}))
    child = present(
        admin.create_group({"name": "dev", "attributes": {"mark": ["theirs"]}}, parent=team)
    )
    assert [group["id"] for group in raw(admin, "groups", q="mark:ours")] == [team]
    [found] = raw(admin, "groups", q="mark:theirs")
    assert (found["id"], [each["id"] for each in found["subGroups"]]) == (team, [child])
    assert raw(admin, "groups", q="mark:nobodys") == []


@confirmed
def test_a_search_may_leave_out_what_is_above_and_the_count(admin: KeycloakAdmin) -> None:
    team = present(admin.create_group({"name": "team"}))
    child = present(admin.create_group({"name": "dev"}, parent=team))
    [found] = raw(admin, "groups", search="dev", populateHierarchy="false")
    assert (found["id"], found["parentId"]) == (child, team)
    [top] = raw(admin, "groups", subGroupsCount="false")
    assert "subGroupCount" not in top


@confirmed
@pytest.mark.parametrize(
    "rep", [{"name": "x" * 256}, {"name": "team", "attributes": {"mark": ["x" * 256]}}]
)
def test_what_is_too_long_is_the_servers_error(admin: KeycloakAdmin, rep: dict) -> None:
    with pytest.raises(KeycloakPostError, match="unknown_error") as raised:
        admin.create_group(rep)
    assert raised.value.response_code == 500
    assert raw(admin, "groups") == []


@confirmed
def test_255_characters_fit_and_an_empty_attribute_is_none(admin: KeycloakAdmin) -> None:
    rep = {"name": "x" * 255, "attributes": {"mark": ["x" * 255], "empty": []}}
    made = present(admin.create_group(rep))
    assert admin.get_group(made)["attributes"] == {"mark": ["x" * 255]}


@pytest.mark.demand("real", "Keycloak: paging limits")
@confirmed
def test_children_stop_after_ten(admin: KeycloakAdmin) -> None:
    team = present(admin.create_group({"name": "team"}))
    for number in range(12):
        admin.create_group({"name": f"child-{number:02}"}, parent=team)
    assert len(raw(admin, f"groups/{team}/children")) == 10
    assert len(raw(admin, f"groups/{team}/children", max=100)) == 12
    [child] = raw(admin, f"groups/{team}/children", search="child-03", exact="true")
    assert (child["path"], child["parentId"]) == ("/team/child-03", team)
    assert len(admin.get_group_children(team)) == 12


@confirmed
def test_names_are_taken_once_a_level(admin: KeycloakAdmin) -> None:
    team = present(admin.create_group({"name": "team"}))
    with pytest.raises(KeycloakPostError) as raised:
        admin.create_group({"name": "team"})
    assert raised.value.response_code == 409
    body = b"""{"errorMessage":"Top level group named 'team' already exists."}"""
    assert raised.value.response_body == body
    admin.create_group({"name": "team"}, parent=team)
    with pytest.raises(KeycloakPostError, match="Sibling group named"):
        admin.create_group({"name": "team"}, parent=team)
    with pytest.raises(KeycloakPostError, match="Group name is missing"):
        admin.create_group({"name": " "})


@confirmed
def test_a_deleted_group_takes_what_is_below_and_its_memberships_with_it(
    admin: KeycloakAdmin,
) -> None:
    top = present(admin.create_group({"name": "team"}))
    below = present(admin.create_group({"name": "by-hand"}, parent=top))
    user = admin.create_user({"username": "alice", "enabled": True})
    for group in (top, below):
        admin.group_user_add(user, group)
    [found] = admin.get_groups({"search": "team", "exact": "true"})
    assert found["subGroupCount"] == 1
    admin.delete_group(top)
    for group in (top, below):
        with pytest.raises(KeycloakGetError) as raised:
            admin.get_group(group)
        assert raised.value.response_code == 404
    assert admin.get_user_groups(user) == []
    assert admin.create_group({"name": "team"}) != top


@confirmed
def test_renaming_a_group_moves_what_is_below(admin: KeycloakAdmin) -> None:
    team = present(admin.create_group({"name": "team", "attributes": {"a": ["1"], "b": ["2"]}}))
    child = present(admin.create_group({"name": "dev"}, parent=team))
    admin.update_group(team, {"name": "crew", "attributes": {"b": ["3"]}})
    assert admin.get_group(team)["attributes"] == {"b": ["3"]}
    assert admin.get_group_by_path("/crew/dev")["id"] == child
    with pytest.raises(KeycloakGetError, match="Group path does not exist"):
        admin.get_group_by_path("/team/dev")
    admin.create_group({"name": "team"})
    with pytest.raises(KeycloakPutError, match="Sibling group named"):
        admin.update_group(team, {"name": "team"})
    admin.delete_group(team)
    with pytest.raises(KeycloakGetError, match="Could not find group by id"):
        admin.get_group(child)


@pytest.mark.demand("real", "Keycloak: paging limits")
@confirmed
def test_members_are_direct_and_stop_after_a_hundred(admin: KeycloakAdmin) -> None:
    team = present(admin.create_group({"name": "team"}))
    for number in range(101):
        admin.create_user({"username": f"user-{number:03}", "groups": ["/team"]})
    assert len(raw(admin, f"groups/{team}/members")) == 100
    assert len(admin.get_group_members(team)) == 101
    user = present(admin.get_user_id("user-000"))
    assert names(admin.get_user_groups(user)) == ["team"]
    admin.group_user_add(user, team)
    admin.group_user_remove(user, team)
    admin.group_user_remove(user, team)
    assert admin.get_user_groups(user) == []
    with pytest.raises(KeycloakPutError, match="Group not found"):
        admin.group_user_add(user, "nothing")


# Users


@pytest.mark.demand("real", "Keycloak: ignored fields")
@confirmed
def test_a_username_is_lowered_and_an_id_ignored(admin: KeycloakAdmin) -> None:
    made = admin.create_user({"id": "mine", "username": "Alice", "email": "A@Example.org"})
    user = admin.get_user(made)
    assert made != "mine"
    assert (user["username"], user["email"], user["enabled"]) == ("alice", "a@example.org", False)
    with pytest.raises(KeycloakPostError, match="User exists with same username"):
        admin.create_user({"username": "ALICE"})
    with pytest.raises(KeycloakPostError, match="User exists with same email"):
        admin.create_user({"username": "other", "email": "a@example.org"})
    with pytest.raises(KeycloakPostError, match="error-invalid-length"):
        admin.create_user({"username": "al"})
    with pytest.raises(KeycloakPostError, match="error-invalid-email"):
        admin.create_user({"username": "alan", "email": "nonsense"})


@pytest.mark.demand("real", "Keycloak: ignored fields")
@confirmed
def test_unmanaged_attributes_vanish_until_the_profile_lets_them_be(admin: KeycloakAdmin) -> None:
    first = admin.create_user({"username": "alice", "attributes": {"mark": ["ours"]}})
    assert "attributes" not in admin.get_user(first)
    profile = admin.get_realm_users_profile()
    assert "unmanagedAttributePolicy" not in profile
    admin.update_realm_users_profile({**profile, "unmanagedAttributePolicy": "ADMIN_EDIT"})
    assert "attributes" not in admin.get_user(first)
    second = admin.create_user({"username": "berta", "attributes": {"mark": ["ours"]}})
    assert admin.get_user(second)["attributes"] == {"mark": ["ours"]}


@confirmed
def test_a_put_keeps_what_it_leaves_out_unless_it_has_attributes(admin: KeycloakAdmin) -> None:
    profile = admin.get_realm_users_profile()
    admin.update_realm_users_profile({**profile, "unmanagedAttributePolicy": "ENABLED"})
    user = admin.create_user(
        {"username": "alice", "email": "a@x.org", "attributes": {"a": ["1"], "b": ["2"]}}
    )
    admin.update_user(user, {"firstName": "Alice", "username": "ALICE"})
    with pytest.raises(KeycloakPutError, match="error-user-attribute-read-only"):
        admin.update_user(user, {"username": "renamed"})
    kept = admin.get_user(user)
    assert (kept["username"], kept["email"], kept["firstName"]) == ("alice", "a@x.org", "Alice")
    assert kept["attributes"] == {"a": ["1"], "b": ["2"]}
    admin.update_user(user, {"attributes": {"b": ["3"]}})
    replaced = admin.get_user(user)
    assert replaced["attributes"] == {"b": ["3"]}
    assert not {"email", "firstName"} & set(replaced)


@confirmed
def test_users_are_found_by_part_of_a_name_unless_exact(admin: KeycloakAdmin) -> None:
    for name in ("anna", "joanna", "bert"):
        admin.create_user({"username": name, "email": f"{name}@example.org"})
    found = {
        query: [user["username"] for user in raw(admin, "users", **dict([query.split("=")]))]
        for query in ("username=anna", "search=anna", "search=*anna", 'search="anna"')
    }
    assert found == {
        "username=anna": ["anna", "joanna"],
        "search=anna": ["anna"],
        "search=*anna": ["anna", "joanna"],
        'search="anna"': ["anna"],
    }
    assert len(raw(admin, "users", username="anna", exact="true")) == 1
    assert len(raw(admin, "users", email="bert@example.org", exact="true")) == 1
    assert admin.users_count() == 3


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@confirmed
def test_links_are_not_checked_and_hide_without_their_provider(admin: KeycloakAdmin) -> None:
    user = admin.create_user({"username": "alice"})
    other = admin.create_user({"username": "berta"})
    admin.add_user_social_login(user, "external", "42", "alice")
    admin.add_user_social_login(other, "external", "42", "berta")
    assert admin.get_user_social_logins(user) == []
    with pytest.raises(KeycloakPostError, match="User is already linked with provider"):
        admin.add_user_social_login(user, "external", "43", "alice")
    admin.create_idp({"alias": "external", "providerId": "oidc"})
    link = {"identityProvider": "external", "userId": "42", "userName": "alice"}
    assert admin.get_user_social_logins(user) == [link]
    found = raw(admin, "users", idpAlias="external", idpUserId="42")
    assert [each["username"] for each in found] == ["alice", "berta"]
    admin.delete_user_social_login(user, "external")
    with pytest.raises(KeycloakDeleteError, match="Link not found"):
        admin.delete_user_social_login(user, "external")
    admin.delete_idp("external")
    admin.create_idp({"alias": "external", "providerId": "oidc"})
    assert admin.get_user_social_logins(other) == []


@confirmed
def test_a_deleted_users_id_does_not_come_back(admin: KeycloakAdmin) -> None:
    team = present(admin.create_group({"name": "team"}))
    user = admin.create_user({"username": "alice", "groups": ["/team"]})
    admin.delete_user(user)
    assert admin.get_group_members(team) == []
    assert admin.create_user({"username": "alice"}) != user
    with pytest.raises(KeycloakGetError, match="User not found"):
        admin.get_user(user)
