"""The layers of a team's values: its own file, its profile, the platform, the built-in defaults."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry import declared
from tenantry.declared import Platform, Team
from tenantry.declared.adopt import MODES, SYSTEMS, shortest
from tenantry.declared.merge import complete
from tenantry.declared.policy import Limits, allows_more, loosest
from tests.support.harness import Data, write

modes = st.one_of(
    st.sampled_from(MODES), st.dictionaries(st.sampled_from(SYSTEMS), st.sampled_from(MODES))
)


def only(folder: Path, team: Data, platform: Data) -> Team:
    (found,) = declared.load(write(folder, team, platform=platform)).teams.values()
    return found


def test_a_team_gets_a_pull_and_a_ci_robot_by_default(tmp_path: Path) -> None:
    team = only(tmp_path, {"name": "shop"}, {})
    assert team.active_robots.keys() == {"pull", "ci"}
    assert team.active_robots["pull"].access == ["repository:pull"]
    assert team.active_robots["pull"].attach
    assert team.active_robots["ci"].access == ["repository:pull", "repository:push"]
    assert not team.active_robots["ci"].attach


def test_the_teams_word_goes_before_its_profiles_and_that_before_the_platforms(
    tmp_path: Path,
) -> None:
    platform = {
        "defaults": {"namespace": {"quota": {"pods": 1, "secrets": 1, "services": 1}}},
        "profiles": {"large": {"namespace": {"quota": {"secrets": 2, "services": 2}}}},
    }
    team = {"name": "shop", "profile": "large", "namespace": {"quota": {"services": 3}}}
    merged = only(tmp_path, team, platform)
    assert merged.namespace.quota == {"pods": "1", "secrets": "2", "services": "3"}


def test_a_profile_that_a_team_does_not_use_has_no_effect(tmp_path: Path) -> None:
    platform = {"profiles": {"large": {"harbor": {"role": "maintainer"}}}}
    assert only(tmp_path, {"name": "shop"}, platform).harbor.role == "developer"


def test_a_default_that_equals_the_built_in_value_still_goes_before_a_lower_layer(
    tmp_path: Path,
) -> None:
    platform = {"defaults": {"harbor": {"public": True}}}
    team = {"name": "shop", "harbor": {"public": False}}
    assert not only(tmp_path, team, platform).harbor.public


def test_a_list_is_taken_whole(tmp_path: Path) -> None:
    platform = {"defaults": {"robots": {"ci": {"access": ["repository:pull", "tag:list"]}}}}
    team = {"name": "shop", "robots": {"ci": {"access": ["repository:push"]}}}
    merged = only(tmp_path, team, platform)
    assert merged.active_robots["ci"].access == ["repository:push"]


@pytest.mark.parametrize(
    ("default", "own", "merged"),
    [
        ("yes", "never", "never"),
        ("yes", {"harbor": "never"}, {"harbor": "never", "keycloak": "yes"}),
        ("never", {"harbor": "if-identical"}, {"harbor": "if-identical", "keycloak": "never"}),
        ({"harbor": "yes"}, {"keycloak": "yes"}, {"harbor": "yes", "keycloak": "yes"}),
        ({"harbor": "yes"}, "if-identical", "if-identical"),
        (None, {"harbor": "yes"}, {"harbor": "yes", "keycloak": "never"}),
    ],
)
def test_adoption_by_system_leaves_the_other_systems_as_the_defaults_have_them(
    default: Any, own: Any, merged: Any, tmp_path: Path
) -> None:
    platform = Platform.model_validate({"defaults": {} if default is None else {"adopt": default}})
    team = complete(platform, Team.model_validate({"name": "shop", "adopt": own}))
    for system in ("harbor", "keycloak"):
        assert team.adopt.of(system) == (merged if isinstance(merged, str) else merged[system])


@given(modes, modes)
def test_the_limits_of_adoption_are_compared_by_system(one: Any, other: Any) -> None:
    first, second = (Limits.model_validate({"adopt": each}).adopt for each in (one, other))
    both = loosest("adopt", first, second)
    assert not allows_more("adopt", first, both)
    assert not allows_more("adopt", second, both)
    more = any(MODES.index(first.of(s)) > MODES.index(second.of(s)) for s in SYSTEMS)
    assert allows_more("adopt", first, second) == more
    assert Limits.model_validate({"adopt": shortest(both)}).adopt == both


def test_null_takes_a_default_robot_away(tmp_path: Path) -> None:
    team = only(tmp_path, {"name": "shop", "robots": {"ci": None}}, {})
    assert team.active_robots.keys() == {"pull"}


def test_null_in_the_platform_takes_a_robot_away_from_all_and_a_team_can_bring_it_back(
    tmp_path: Path,
) -> None:
    platform = {"defaults": {"robots": {"ci": None}}}
    assert only(tmp_path, {"name": "shop"}, platform).active_robots.keys() == {"pull"}
    team = {"name": "shop", "robots": {"ci": {"access": ["repository:push"]}}}
    assert only(tmp_path, team, platform).active_robots.keys() == {"pull", "ci"}


def test_one_word_about_a_robot_leaves_the_rest_of_it_as_it_was(tmp_path: Path) -> None:
    team = only(tmp_path, {"name": "shop", "robots": {"pull": {"expiry_days": 7}}}, {})
    pull = team.active_robots["pull"]
    assert (pull.expiry_days, pull.attach) == (7, True)


def test_further_namespaces_inherit_from_the_first_one(tmp_path: Path) -> None:
    team = {
        "name": "shop",
        "namespace": {"pod_security": "restricted", "quota": {"pods": 5, "secrets": 5}},
        "further_namespaces": {"jobs": {"mesh": False, "quota": {"pods": 50}}},
    }
    merged = only(tmp_path, team, {"defaults": {"namespace": {"labels": {"tier": "low"}}}})
    jobs = merged.namespaces["team-shop-jobs"]
    assert list(merged.namespaces) == ["team-shop", "team-shop-jobs"]
    assert jobs.pod_security == "restricted"
    assert jobs.labels == {"tier": "low"}
    assert jobs.quota == {"pods": "50", "secrets": "5"}
    assert jobs.mesh is False
    assert merged.namespace.mesh is True


def test_the_fingerprint_follows_the_team_and_what_its_plan_takes_from_the_platform(
    tmp_path: Path,
) -> None:
    def fingerprint(team: Data, platform: Data) -> str:
        state = declared.load(write(tmp_path, team, platform=platform))
        return state.fingerprint(state.teams["shop"])

    first = fingerprint({"name": "shop"}, {})
    assert first == fingerprint({"name": "shop"}, {"name": "Another name"})
    assert first == fingerprint({"name": "shop"}, {"profiles": {"unused": {"adopt": "yes"}}})
    assert first == fingerprint({"name": "shop"}, {"defaults": {"harbor": {"role": "developer"}}})
    assert first != fingerprint({"name": "shop"}, {"defaults": {"harbor": {"role": "guest"}}})
    assert first != fingerprint({"name": "shop"}, {"mesh": {"gateway": "other/gateway"}})
    rule = {"drift": {"ignore": [{"kind": "robot", "reason": "known"}]}}
    assert first == fingerprint({"name": "shop", **rule}, rule), "it is of the report only"
    assert first != fingerprint({"name": "shop", "contact": "#shop"}, {})
