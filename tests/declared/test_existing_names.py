"""Explicit names of existing objects, and the platform's patterns of names."""

import itertools
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tenantry import declared
from tenantry.declared import Declaration, Namespace, Platform, Team, complete, read_form
from tenantry.declared.claims import conflicts
from tenantry.declared.names import NamePatterns, fill, matches
from tenantry.errors import DeclarationError
from tests.support.existing_names import ALLOWS, SHOP
from tests.support.harness import PLATFORM, Data, granted, write


def read(folder: Path, *teams: Data, platform: Data = PLATFORM) -> Declaration:
    return declared.read(write(folder, *teams, platform=platform))


def reserved(name: str) -> str:
    return f"the namespace '{name}' is reserved"


def test_a_team_has_the_names_that_the_policy_grants(tmp_path: Path) -> None:
    team = read(tmp_path, SHOP, platform=granted("shop", **ALLOWS)).teams["shop"]
    assert list(team.namespaces) == ["legacy-shop", "batch"]
    assert (team.project, team.oidc_group) == ("shop.images", "shop-people")
    assert team.client_id("web") == "Shop_Web"
    assert team.secret_name("pull") == "harbor-pullsecret"
    assert team.secret_name("ci") == "harbor-ci"
    assert team.client_secret_name("web") == "web-login"


def test_each_explicit_name_needs_a_grant_and_the_message_has_it(tmp_path: Path) -> None:
    faults = read(tmp_path, SHOP).faults
    grants = {limit: [f for f in faults if f"{limit}: [" in f] for limit in ALLOWS}
    assert {limit: len(found) for limit, found in grants.items()} == {
        "namespaces": 2,
        "projects": 1,
        "clients": 1,
        "groups": 1,
    }
    assert len(faults) == 5, "a Secret's name needs no grant"
    (project,) = grants["projects"]
    assert "names.project: the project 'shop.images' is not the team's own, 'team-shop'" in project
    assert '- {teams: [shop], reason: why, projects: ["shop.images"]}' in project


def test_the_proposed_policy_grants_the_names_in_use(tmp_path: Path) -> None:
    folder = write(tmp_path, SHOP)
    text = declared.propose_policy(folder)
    (folder / "platform.yaml").write_text(text)
    assert declared.read(folder).faults == []


@pytest.mark.parametrize(
    "name", ["kube-system", "kube-node-lease", "default", "harbor", "istio-system"]
)
def test_no_grant_gives_a_team_a_namespace_of_a_system(name: str, tmp_path: Path) -> None:
    team = {"name": "shop", "names": {"namespace": name}}
    (fault,) = read(tmp_path, team, platform=granted("shop", namespaces=[name])).faults
    assert f"names.namespace: {reserved(name)}" in fault


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ({"project": "library"}, "the project 'library' is reserved: it belongs to Harbor"),
        ({"clients": {"web": "admin-cli"}}, "'admin-cli' is reserved: it belongs to Keycloak"),
        ({"clients": {"web": "harbor"}}, "it belongs to Harbor's single sign-on"),
        ({"namespace": "Shop"}, "a namespace's name is 1 to 63 lower-case letters"),
        ({"project": "shop--web"}, "a project's name is 1 to 255 lower-case letters"),
        ({"project": "123"}, "with at least one letter"),
        ({"clients": {"web": "a b"}}, "a client's id is 1 to 255 characters without blanks"),
        ({"clients": {"wep": "x"}}, "'wep' is not among oidc_clients; oidc_clients: web"),
        ({"secrets": {"pul": "x"}}, "'pul' is not among robots; robots: pull, ci"),
        ({"further_namespaces": {"x": "y"}}, "'x' is not among further_namespaces"),
        (
            {"secrets": {"ci": "harbor-pull"}},
            "the Secret 'team-shop/harbor-pull' is declared twice",
        ),
        ({"secrets": {"ci": "oidc-web"}}, "the Secret 'team-shop/oidc-web' is declared twice"),
        ({"further_namespaces": {"jobs": "team-shop"}}, "'team-shop' is declared twice"),
    ],
)
def test_a_name_that_cannot_work_is_refused_at_its_line(
    names: Data, fault: str, tmp_path: Path
) -> None:
    sign_on = {"client_id": "harbor", "admin_group": "admins"}
    allows = {"projects": ["library"], "clients": ["admin-cli", "harbor", "x"]}
    allows |= {"namespaces": ["team-shop", "y"]}
    platform = granted(
        "shop", platform={**PLATFORM, "harbor": {"single_sign_on": sign_on}}, **allows
    )
    team = {**SHOP, "group": None, "names": names}
    faults = read(tmp_path, team, platform=platform).faults
    assert any(fault in each for each in faults), faults
    assert all(each.startswith("teams/shop.yaml:") for each in faults)


def test_a_name_that_a_long_team_name_makes_too_long_is_refused(tmp_path: Path) -> None:
    platform = {**PLATFORM, "names": {"namespace": "department-{team}"}}
    (fault,) = read(tmp_path, {"name": "a" * 58}, platform=platform).faults
    assert "name: the namespace" in fault
    assert "would have over 63 characters" in fault


# Patterns


@pytest.mark.parametrize(
    ("pattern", "value", "fault"),
    [
        ("namespace", "shared", "must contain {team} exactly once"),
        ("namespace", "{team}-{name}", "and no other placeholder"),
        ("namespace", "{team}-{team}", "must contain {team} exactly once"),
        ("namespace", "Team-{team}", "does not give a valid name: a namespace's name"),
        ("namespace", "-{team}", "does not give a valid name"),
        ("project", "{team}--x", "does not give a valid name: a project's name"),
        ("group", "/{team}", "does not give a valid name: a group's name"),
        ("client", "{team}", "must contain {team} and {name} exactly once"),
        ("client", "{team}{name}", "needs a character between {team} and {name}"),
        ("further_namespace", "{team}-jobs", "must contain {team} and {key} exactly once"),
        ("secret", "harbor", "must contain {purpose} exactly once"),
        ("client_secret", "{name}-{team}", "must contain {name} exactly once"),
    ],
)
def test_a_pattern_that_gives_two_objects_one_name_is_refused(
    pattern: str, value: str, fault: str, tmp_path: Path
) -> None:
    folder = write(tmp_path, platform={**PLATFORM, "names": {pattern: value}})
    with pytest.raises(DeclarationError) as refused:
        declared.load(folder)
    assert fault in refused.value.faults[0]
    assert refused.value.faults[0].startswith("platform.yaml:3: names.")


def test_further_names_follow_the_pattern_of_the_platform(tmp_path: Path) -> None:
    patterns = {"namespace": "{team}", "project": "p-{team}", "secrets": {"pull": "pullsecret"}}
    team = {"name": "shop", "further_namespaces": {"jobs": {}}}
    found = read(tmp_path, team, platform={**PLATFORM, "names": patterns}).teams["shop"]
    assert list(found.namespaces) == ["shop", "shop-jobs"]
    assert (found.project, found.oidc_group) == ("p-shop", "team-shop")
    assert (found.secret_name("pull"), found.secret_name("ci")) == ("pullsecret", "harbor-ci")


def test_a_team_named_like_a_namespace_of_the_platform_is_refused(tmp_path: Path) -> None:
    policy = {"reserved_namespaces": ["argocd", "monitoring-*"], "reserved_projects": ["base"]}
    platform = {**PLATFORM, "names": {"namespace": "{team}", "project": "{team}"}, "policy": policy}
    teams = [{"name": name} for name in ("argocd", "monitoring-a", "base", "kube-proxy", "shop")]
    state = read(tmp_path, *teams, platform=platform)
    assert list(state.teams) == ["shop"]
    assert len(state.faults) == 4
    assert all(": name: the " in fault and "is reserved" in fault for fault in state.faults)


labels = st.text("ab-", min_size=1, max_size=4)
"""Names that collide often."""


@settings(max_examples=200)
@given(
    st.lists(labels, min_size=2, max_size=4, unique=True),
    st.lists(labels, max_size=2, unique=True),
    st.sampled_from(["{team}", "{team}-b", "a-{team}", "a-{team}-b"]),
    st.sampled_from([None, "{team}-{key}", "{key}-{team}", "a-{team}-x-{key}"]),
    st.data(),
)
def test_two_teams_never_have_one_name_without_a_conflict(
    names: list[str], keys: list[str], pattern: str, further: str | None, data: st.DataObject
) -> None:
    """Also where patterns give one name to two teams, or a team carries another team's name."""
    patterns: Data = {"namespace": pattern, "project": pattern, "client": "{team}-{name}"}
    teams: list[Team] = []
    client = {"redirect_uris": ["https://a.example.com/cb"]}
    for name in names:
        explicit = data.draw(st.none() | labels.map(lambda text: f"a-{text}"))
        content = {
            "name": name,
            "further_namespaces": {key: {} for key in keys},
            "oidc_clients": dict.fromkeys(keys, client),
            "names": {"namespace": explicit, "project": explicit} if explicit else {},
        }
        try:
            platform = Platform.model_validate(
                {"names": {**patterns, **({"further_namespace": further} if further else {})}}
            )
            teams.append(complete(platform, Team.model_validate(content)))
        except ValidationError:
            return
    lost = {(each.claim.team.name, each.claim.kind, each.claim.name) for each in conflicts(teams)}
    held: Counter[tuple[str, str]] = Counter()
    for team in teams:
        own = {("the namespace", name) for name in team.namespaces}
        own |= {("the project", team.project), ("the group", team.oidc_group)}
        own |= {("the OIDC client", team.client_id(name)) for name in team.oidc_clients}
        held.update(each for each in own if (team.name, *each) not in lost)
    assert all(count == 1 for count in held.values())


@given(labels, labels, st.sampled_from(["team-{team}-{name}", "{team}.{name}", "{name}-x-{team}"]))
def test_a_name_is_read_by_its_pattern_in_each_possible_way(
    team: str, name: str, pattern: str
) -> None:
    found = [dict(each) for each in matches(pattern, fill(pattern, team=team, name=name))]
    assert {"team": team, "name": name} in found
    assert all(fill(pattern, **each) == fill(pattern, team=team, name=name) for each in found)


def test_the_default_patterns_are_those_of_earlier_releases() -> None:
    team = complete(Platform(), Team(name="shop", further_namespaces={"jobs": Namespace()}))
    assert list(team.namespaces) == ["team-shop", "team-shop-jobs"]
    assert {team.project, team.oidc_group} == {"team-shop"}
    assert team.client_id("web") == "team-shop-web"
    assert NamePatterns() == Platform().names


# Uniqueness


def owners(folder: Path, *teams: Data, platform: Data) -> set[str]:
    """Return the teams that are not left out, of which each conflict names the rival."""
    state = read(folder, *teams, platform=platform)
    return set(state.teams)


@pytest.mark.parametrize("field", ["namespace", "project"])
def test_a_name_that_another_team_has_by_its_pattern_needs_more_than_a_general_limit(
    field: str, tmp_path: Path
) -> None:
    """The pattern's name beats an explicit one; a grant in full for a team decides."""
    thief = {"name": "thief", "names": {field: "team-shop"}}
    limit = f"{field}s"
    general = {**PLATFORM, "policy": {"limits": {limit: ["team-shop"]}}}
    assert owners(tmp_path / "1", thief, {"name": "shop"}, platform=PLATFORM) == {"shop"}
    assert owners(tmp_path / "2", thief, {"name": "shop"}, platform=general) == {"shop"}
    to_team = granted("thief", platform=PLATFORM, **{limit: ["team-shop"]})
    assert owners(tmp_path / "3", thief, {"name": "shop"}, platform=to_team) == {"thief"}
    to_both = granted("one", "two", platform=PLATFORM, **{limit: ["old"]})
    both = [{"name": name, "names": {field: "old"}} for name in ("one", "two")]
    state = read(tmp_path / "4", *both, platform=to_both)
    assert state.teams == {}
    assert [len(each.contested) for each in state.left_out] == [1, 1]


def test_the_secrets_in_a_refused_namespace_exclude_no_other_team(tmp_path: Path) -> None:
    """Mallory claims a namespace that a sink of another team is in."""
    mallory = {"name": "mallory", "names": {"namespace": "argocd"}}
    sink = {"namespace": "argocd", "name": "harbor-pull"}
    shop = {"name": "shop", "robots": {"pull": {"sinks": [sink]}}}
    platform = granted("shop", sinks=["argocd/harbor-pull"])
    assert owners(tmp_path, mallory, shop, platform=platform) == {"shop"}


def test_a_call_cannot_claim_a_name_of_another_team(tmp_path: Path) -> None:
    grants = granted("shop", **ALLOWS)
    grants["policy"]["grants"].append(
        {"teams": ["thief"], "reason": "a test", "namespaces": ["batch"]}
    )
    state = read(tmp_path, SHOP, platform=grants)
    for names in ({"namespace": "legacy-shop"}, {"project": "shop.images"}, {"namespace": "batch"}):
        team, form = read_form({"name": "thief", "names": names})
        with pytest.raises(DeclarationError):
            declared.add_team(state, team, form)


def test_the_form_takes_names_in_more(tmp_path: Path) -> None:
    state = read(tmp_path, platform=granted("shop", **ALLOWS))
    team, form = read_form({"name": "shop", "more": "names:\n  namespace: legacy-shop\n"})
    assert declared.add_team(state, team, form).teams["shop"].home_namespace == "legacy-shop"
    team, form = read_form({"name": "shop", "more": "names:\n  namespace: other\n"})
    with pytest.raises(
        DeclarationError, match=r"more:2: names\.namespace: the namespace 'other' is"
    ):
        declared.add_team(state, team, form)


def test_conflicts_are_found_in_linear_time() -> None:
    """Also if all teams claim the same names. Calls are counted, since times vary."""

    def calls(count: int) -> int:
        client: Any = {"redirect_uris": ["https://a.example.com/cb"]}
        names = {"namespace": "one", "project": "one", "clients": {"a": "one"}}
        content = {"names": names, "oidc_clients": {"a": client}}
        teams = [Team.model_validate({"name": f"t{n}", **content}) for n in range(count)]
        counted = itertools.count()
        before = sys.getprofile()
        sys.setprofile(lambda *event: next(counted) and None)
        try:
            found = list(conflicts(teams))
        finally:
            sys.setprofile(before)
        assert len(found) == 3 * count
        return next(counted)

    assert calls(1000) < 12 * calls(100), "ten times the teams"
