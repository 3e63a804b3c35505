"""Attacks by the declaration of a team: each is rejected, with its line and the grant to allow it.

Mallory owns one team. She can edit `teams/mallory.yaml` and call `onboard-team`; she cannot edit
`platform.yaml`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tenantry import declared
from tenantry.declared import Declaration, read_form
from tenantry.declared.platform import Platform
from tenantry.errors import DeclarationError
from tests.isolation.policy_attacks import (
    ALL,
    LIMITED,
    LIMITS,
    PLATFORM,
    SHOP,
    Attack,
)
from tests.support.harness import Data, granted, write

pytestmark = pytest.mark.demand("isolation", "all of tests/isolation/test_policy.py")


def mallory(attack: Attack) -> Data:
    return {"name": "mallory", **attack.content}


def read(folder: Path, *teams: Data, platform: Data) -> Declaration:
    """Return the declared state of these teams, without those that are left out."""
    for path in (folder / "teams").glob("*.yaml"):
        path.unlink()
    return declared.read(write(folder, *teams, platform=platform))


def grant_in(fault: str) -> dict[str, Any]:
    """Return the grant that a fault proposes."""
    (item,) = YAML(typ="safe", pure=True).load(fault[fault.index("- {teams: ") :])
    return dict(item)


def with_grants(platform: Data, *grants: Mapping[str, Any]) -> Data:
    policy = platform.get("policy", {})
    return {**platform, "policy": {**policy, "grants": [*policy.get("grants", ()), *grants]}}


@pytest.mark.demand(
    "isolation",
    "attacks by a team file: refused at their line, with the grant that would "
    "allow them; the others are served",
)
@pytest.mark.parametrize(("platform", "attack"), ALL)
def test_an_attack_by_a_team_file_is_refused_and_the_others_are_served(
    platform: Data, attack: Attack, tmp_path: Path
) -> None:
    state = read(tmp_path, mallory(attack), SHOP, platform=platform)

    assert list(state.teams) == ["shop"]
    (left_out,) = state.left_out
    assert left_out.names == ("mallory",)
    matching = [fault for fault in left_out.faults if attack.text in fault]
    assert matching, left_out.faults
    for fault in left_out.faults:
        assert re.match(r"teams/mallory\.yaml:\d+: ", fault), fault
        assert re.search(r"platform\.yaml:\d+", fault), "it names the line of the policy"
        assert fault.isprintable(), "invisible and control characters are escaped"
    assert f" {attack.field}" in matching[0]
    grant = grant_in(matching[0])
    assert grant["teams"] == ["mallory"]
    assert attack.limit in grant


@pytest.mark.demand("isolation", "the same attacks by onboard-team: refused")
@pytest.mark.parametrize(("platform", "attack"), ALL)
def test_an_attack_by_the_api_is_refused(platform: Data, attack: Attack, tmp_path: Path) -> None:
    state = read(tmp_path, SHOP, platform=platform)
    team, form = read_form(json.loads(json.dumps(mallory(attack))))

    with pytest.raises(DeclarationError) as refused:
        declared.add_team(state, team, form)

    assert any(attack.text in fault for fault in refused.value.faults)
    assert all(fault.startswith("team mallory: ") for fault in refused.value.faults)


@pytest.mark.demand("isolation", "validation: each proposed grant is for its team and no other")
@pytest.mark.parametrize(("platform", "attack"), ALL)
def test_the_proposed_grant_allows_it_to_that_team_only(
    platform: Data, attack: Attack, tmp_path: Path
) -> None:
    eve = {**mallory(attack), "name": "eve"}
    faults = read(tmp_path, mallory(attack), platform=platform).faults
    grants = [grant_in(fault) for fault in faults]

    allowed = read(tmp_path, mallory(attack), platform=with_grants(platform, *grants))
    assert list(allowed.teams) == ["mallory"], allowed.faults

    others = read(tmp_path, eve, platform=with_grants(platform, *grants))
    assert list(others.teams) == []


@pytest.mark.demand("isolation", "the platform's defaults need no grant")
@pytest.mark.demand("isolation", "validation: each proposed grant is for its team and no other")
@pytest.mark.parametrize(("platform", "attack"), ALL)
def test_what_the_platform_gives_by_default_needs_no_grant(
    platform: Data, attack: Attack, tmp_path: Path
) -> None:
    if not attack.content.keys() <= declared.TeamSettings.model_fields.keys():
        return  # a platform has no default for the group
    if "tenantry-default-deny" in json.dumps(attack.content):
        return
    given = {**platform, "defaults": attack.content}
    state = read(tmp_path, {"name": "mallory"}, {"name": "shop"}, platform=given)
    contested = {
        fault for file in state.left_out for fault in file.faults if "declared by" in fault
    }
    assert set(state.faults) <= contested


@pytest.mark.demand("isolation", "profiles that loosen the policy name their teams")
@pytest.mark.parametrize(("platform", "attack"), ALL)
def test_a_profile_that_gives_more_is_for_the_teams_that_it_names(
    platform: Data, attack: Attack, tmp_path: Path
) -> None:
    """Mallory chooses her own profile."""
    if not attack.content.keys() <= declared.TeamSettings.model_fields.keys():
        return
    team = {"name": "mallory", "profile": "gold"}
    with_profile = {**platform, "profiles": {"gold": attack.content}}

    (fault,) = read(tmp_path, team, platform=with_profile).faults
    assert fault.startswith("teams/mallory.yaml:2: profile: 'gold' gives more than the policy")
    assert "add 'mallory' to policy.profiles.gold.teams in platform.yaml" in fault

    def named(*teams: str) -> Data:
        policy = {**platform.get("policy", {}), "profiles": {"gold": {"teams": [*teams]}}}
        return {**with_profile, "policy": policy}

    assert list(read(tmp_path, team, platform=named("mallory")).teams) == ["mallory"]
    (fault,) = read(tmp_path, team, platform=named("shop")).faults
    assert "for the teams in policy.profiles.gold.teams" in fault


@pytest.mark.demand("isolation", "profiles that loosen the policy name their teams")
def test_a_profile_with_looser_limits_must_name_its_teams() -> None:
    """Without names, any team could choose it. So the platform is faulty."""
    from tenantry.declared.policy_reserved import check_platform

    for limits in ({"max_storage": "200Gi"}, {"egress": None}, {"groups": ["x"]}):
        policy = {"limits": LIMITS, "profiles": {"gold": limits}}
        content = {**PLATFORM, "profiles": {"gold": {}}, "policy": policy}
        ((place, text),) = check_platform(Platform.model_validate(content))
        assert place == ("policy", "profiles", "gold")
        assert "list the teams that may use it in 'teams'" in text
    tighter = {"limits": LIMITS, "profiles": {"gold": {"max_storage": "1Gi"}}}
    content = {**PLATFORM, "profiles": {"gold": {}}, "policy": tighter}
    assert not list(check_platform(Platform.model_validate(content)))


@pytest.mark.demand("isolation", "a group in harbor.groups reserves nothing")
def test_a_listed_group_reserves_nothing(tmp_path: Path) -> None:
    """If Mallory lists the group of shop in her project, shop is not affected."""
    listing = {"name": "mallory", "harbor": {"groups": {"team-shop": "guest"}}}
    assert list(read(tmp_path, listing, SHOP, platform=PLATFORM).teams) == ["mallory", "shop"]


def test_a_team_named_like_a_group_of_the_platform_is_refused(tmp_path: Path) -> None:
    platform = {**PLATFORM, "defaults": {"harbor": {"groups": {"team-ops": "projectAdmin"}}}}
    state = read(tmp_path, {"name": "ops"}, SHOP, platform=platform)
    assert list(state.teams) == ["shop"]
    assert any("'team-ops' is reserved: platform.yaml uses this" in each for each in state.faults)


def test_the_group_of_all_projects_is_refused(tmp_path: Path) -> None:
    """It is in each project including Mallory's, so no grant can allow it."""
    state = read(tmp_path, {"name": "mallory", "group": "all-teams-admin"}, SHOP, platform=PLATFORM)
    assert list(state.teams) == ["shop"]
    assert any("'all-teams-admin' is reserved" in each for each in state.faults)


def test_a_prefix_of_groups_cannot_complete_a_reserved_name(tmp_path: Path) -> None:
    platform = {**PLATFORM, "kubernetes": {"group_prefix": "sys"}}
    state = read(tmp_path, {"name": "mallory", "group": "tem:masters"}, platform=platform)
    assert "is reserved: Kubernetes grants rights" in state.faults[0]


# Mallory's claims never cause another team to be left out


@pytest.mark.demand("isolation", "a refused claim keeps no other team out")
@pytest.mark.parametrize(
    "claim",
    [
        {"group": "shoppers"},
        {"robots": {"ci": {"replaces": ["robot$old"]}}},
        {"robots": {"ci": {"sinks": [{"namespace": "pipelines", "name": "shop"}]}}},
        {"external_groups": {"corp": ["Shop"]}},
        {"routes": {"x": {"host": "pay.example.com", "paths": [{"service": "a", "port": 1}]}}},
    ],
    ids=["group", "robot", "sink", "external name", "host"],
)
def test_a_refused_claim_keeps_no_other_team_out(claim: Data, tmp_path: Path) -> None:
    allows = {
        "groups": ["shoppers"],
        "replaces": ["robot$old"],
        "sinks": ["pipelines/shop"],
        "external_groups": ["Shop"],
        "further_hosts": ["pay.example.com"],
    }
    platform = with_grants(LIMITED, {"teams": ["shop"], "reason": "a test", **allows})
    state = read(
        tmp_path, {"name": "mallory", **claim}, {"name": "shop", **claim}, platform=platform
    )
    assert list(state.teams) == ["shop"], state.faults


@pytest.mark.demand("isolation", "validation: each proposed grant is for its team and no other")
def test_a_host_below_a_granted_wildcard_belongs_to_its_team(tmp_path: Path) -> None:
    paths = [{"service": "a", "port": 1}]
    shop = {"name": "shop", "routes": {"all": {"host": "*.shop.example.com", "paths": paths}}}
    thief = {"name": "mallory", "routes": {"x": {"host": "login.shop.example.com", "paths": paths}}}
    platform = granted("shop", platform=PLATFORM, further_hosts=["*.shop.example.com"])

    state = read(tmp_path, thief, shop, platform=platform)

    assert list(state.teams) == ["shop"]
    assert "belongs to team 'shop', which has '*.shop.example.com'" in state.faults[0]


def test_a_robot_of_a_longer_name_is_not_replaced(tmp_path: Path) -> None:
    """`otomi-team-{team}-*` for `shop` also matches the robots of `shop-web`."""
    platform = {**PLATFORM, "policy": {"limits": {"replaces": ["otomi-team-{team}-*"]}}}
    shop = {"name": "shop", "robots": {"ci": {"replaces": ["otomi-team-shop-web-pull"]}}}
    own = {"name": "shop", "robots": {"ci": {"replaces": ["otomi-team-shop-pull"]}}}

    state = read(tmp_path, shop, {"name": "shop-web"}, platform=platform)
    assert list(state.teams) == ["shop-web"]
    assert "is a robot of team 'shop-web' by policy.limits.replaces" in state.faults[0]
    assert read(tmp_path, own, {"name": "shop-web"}, platform=platform).faults == []


@pytest.mark.demand("isolation", "validation: each proposed grant is for its team and no other")
def test_a_grant_is_not_for_another_file_that_takes_the_teams_name(tmp_path: Path) -> None:
    """Mallory's file declares `name: shop` after shop is removed, while its grants are in the policy."""
    platform = granted("shop", platform=PLATFORM, groups=["finance"])
    write(tmp_path, platform=platform)
    (tmp_path / "teams" / "mallory.yaml").write_text("name: shop\ngroup: finance\n")
    state = declared.read(tmp_path)
    assert list(state.teams) == []
    assert grant_in(state.faults[0])["files"] == ["mallory.yaml"]


TAKEN_NAMES: Mapping[str, tuple[Data, Data]] = {
    "a removed team": ({"name": "gone"}, {}),
    "a further namespace": (
        {"name": "shop-ci", "robots": {"pull": {"expiry_days": 30}}},
        {"further_namespaces": {"ci": {}}, "robots": {"pull": {"attach": True}}},
    ),
    "a host of logins": (
        {
            "name": "gone",
            "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
        },
        {"routes": SHOP["routes"]},
    ),
    "a host of a route": ({"name": "gone", "routes": SHOP["routes"]}, {"routes": SHOP["routes"]}),
    "a longer name": (
        {"name": "shop-web"},
        {"robots": {"ci": {"replaces": ["otomi-team-shop-web-pull"]}}},
    ),
    "an external name": (
        {"name": "gone", "external_groups": {"corp": ["Shop"]}},
        {"external_groups": {"corp": ["Shop"]}},
    ),
}
"""The content of Mallory's file with another team's name, and that of team shop."""


@pytest.mark.parametrize("case", TAKEN_NAMES)
def test_a_file_declares_only_the_team_that_it_is_named_after(case: str, tmp_path: Path) -> None:
    content, of_shop = TAKEN_NAMES[case]
    platform = {**PLATFORM, "policy": {"limits": {"replaces": ["otomi-team-{team}-*"]}}}
    write(tmp_path, {"name": "shop", **of_shop}, platform=platform)
    (tmp_path / "teams" / "mallory.yaml").write_text(json.dumps(content))

    state = declared.read(tmp_path)

    assert list(state.teams) == ["shop"], state.faults
    assert all(fault.startswith("teams/mallory.yaml:1: ") for fault in state.faults)


@pytest.mark.demand("isolation", "validation: each proposed grant is for its team and no other")
def test_a_grant_lets_another_file_declare_a_team(tmp_path: Path) -> None:
    write(tmp_path, platform=PLATFORM)
    (tmp_path / "teams" / "mallory.yaml").write_text("name: shop\n")
    (fault,) = declared.read(tmp_path).faults
    assert fault.startswith(
        "teams/mallory.yaml:1: name: team 'shop' must be declared in teams/shop.yaml (a rule of the "
        "policy that always applies, platform.yaml:1). A team cannot be renamed: "
    )
    assert (
        "If only its file has the wrong name, rename the file, or add to policy.grants in " in fault
    )

    write(tmp_path, platform=with_grants(PLATFORM, grant_in(fault)))
    assert list(declared.read(tmp_path).teams) == ["shop"]
    (tmp_path / "teams" / "eve.yaml").write_text("name: data\n")
    state = declared.read(tmp_path)
    assert list(state.teams) == ["shop"], "the grant is for one file and one team"


def test_a_refused_address_does_not_dispute_a_host(tmp_path: Path) -> None:
    """Mallory declares a redirect to a host that the policy does not allow her."""
    uris = {"redirect_uris": ["https://shop.example.com/cb"]}
    state = read(
        tmp_path,
        {"name": "mallory", "oidc_clients": {"web": uris}},
        {"name": "shop", "routes": SHOP["routes"]},
        platform=LIMITED,
    )
    assert list(state.teams) == ["shop"], state.faults


@pytest.mark.demand("isolation", "harmless values stay accepted")
def test_harmless_values_stay_accepted(tmp_path: Path) -> None:
    team = {
        "name": "mallory",
        "harbor": {"role": "maintainer", "groups": {"auditors": "guest"}, "public": True},
        "namespace": {
            "pod_security": "restricted",
            "labels": {
                "app.kubernetes.io/part-of": "web",
                "pod-security.kubernetes.io/enforce": "restricted",
                "example.com/cost-centre": "7",
            },
            "mesh": True,
        },
        "further_namespaces": {"jobs": {"mesh": False}},
        "robots": {
            "ci": {
                "expiry_days": "never",
                "sinks": [{"namespace": "team-mallory-jobs", "name": "x"}],
            }
        },
        "routes": {
            "web": {
                "host": "mallory.example.com",
                "paths": [{"service": "a", "port": 1}],
                "gateway": "istio-ingress/public",
            }
        },
        "oidc_clients": {
            "web": {
                "redirect_uris": [
                    "https://mallory.example.com/*",
                    "http://localhost:8080/cb",
                    "com.example.app:/callback",
                    "/relative",
                ],
                "post_logout_redirect_uris": ["+"],
                "web_origins": ["+"],
            }
        },
        "external_groups": {"corp": ["Mallory"]},
    }
    state = read(tmp_path, team, SHOP, platform=PLATFORM)
    assert state.faults == []
    assert state.warnings == ()
