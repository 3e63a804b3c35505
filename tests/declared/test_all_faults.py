"""All faults are reported at once: no fault hides another, and no fault is a consequence of another."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tenantry import declared
from tenantry.errors import DeclarationError
from tests.declared.cases import ALL
from tests.declared.making import Case
from tests.support.harness import write

pytestmark = pytest.mark.demand("reality", "validate names every fault at once")


def faults(folder: Path) -> list[str]:
    with pytest.raises(DeclarationError) as refused:
        declared.load(folder)
    return refused.value.faults


def fields(folder: Path) -> list[tuple[str, str]]:
    """Return the file and the field of each fault."""
    found = (fault.split(": ", 2) for fault in faults(folder))
    return [(place.split(":")[0], field) for place, field, *_ in found]


TEAM = "teams/shop.yaml"
ROTATION = {"expiry_days": 30, "rotation": {"max_age_days": 30}}


@pytest.mark.parametrize(
    ("team", "expected"),
    [
        pytest.param(
            {"harbor": {"role": "owner"}, "robots": {"ci": ROTATION}},
            ["harbor.role", "robots.ci.rotation.max_age_days"],
            id="a field and a rotation",
        ),
        pytest.param(
            {"robots": {"ci": {**ROTATION, "access": ["repository:pul"]}}},
            ["robots.ci.access[0]", "robots.ci.rotation.max_age_days"],
            id="a permission and the rotation of the same robot",
        ),
        pytest.param(
            {"namespace": {"quota": {"memroy": 1, "pods": 50.5}}},
            ["namespace.quota.memroy", "namespace.quota.pods"],
            id="a key and a value of one mapping",
        ),
        pytest.param(
            {"profile": "gold", "namespace": {"limits": {"min": {"cpu": 2}, "max": {"cpu": 1}}}},
            ["profile", "namespace.limits.min.cpu"],
            id="an unknown profile and limits",
        ),
        pytest.param(
            {"oidc_clients": {"web": {"redirect_uris": ["/ok", "a b", "/fine", "c#d"]}}},
            ["oidc_clients.web.redirect_uris[1]", "oidc_clients.web.redirect_uris[3]"],
            id="two items of a list",
        ),
        pytest.param(
            {
                "routes": {
                    "r": {
                        "host": "x.example.com",
                        "paths": [
                            {"prefix": "/a", "service": "Web", "port": 80},
                            {"prefix": "/b", "service": "web", "port": 80},
                            {"prefix": "/bc", "service": "web", "port": 80},
                        ],
                    }
                }
            },
            ["routes.r.paths[0].service", "routes.r.paths[2].prefix"],
            id="an item of a list and the order of the others",
        ),
    ],
)
def test_a_faulty_field_hides_no_rule(
    team: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    folder = write(tmp_path, {"name": "shop", **team})
    assert sorted(fields(folder)) == sorted((TEAM, field) for field in expected)


@pytest.mark.parametrize(
    ("team", "platform", "expected"),
    [
        pytest.param(
            {"harbor": {"severity": "hgh", "prevent_vulnerable": True}},
            {},
            [(TEAM, "harbor.severity")],
            id="a severity",
        ),
        pytest.param(
            {"robots": {"ci": {"expiry_days": "soon", "rotation": {"max_age_days": 100}}}},
            {},
            [(TEAM, "robots.ci.expiry_days")],
            id="an expiry",
        ),
        pytest.param(
            {"robots": {"ci": {"access": ["repository:pul"]}}},
            {},
            [(TEAM, "robots.ci.access[0]")],
            id="the only item of a list",
        ),
        pytest.param(
            {"harbor": {"retention": {"rules": [{"latest_pushed": 0}]}}},
            {},
            [(TEAM, "harbor.retention.rules[0].latest_pushed")],
            id="the count of a retention rule",
        ),
        pytest.param(
            {"drift": {"ignore": [{"system": "vault", "reason": "x"}]}},
            {},
            [(TEAM, "drift.ignore[0].system")],
            id="the only condition of an ignore rule",
        ),
        pytest.param(
            {"profile": "gold", "robots": {"ci": {"rotation": {"max_age_days": 100}}}},
            {},
            [(TEAM, "profile")],
            id="an unknown profile, which might hold the expiry",
        ),
        pytest.param(
            {"profile": "gold"},
            {"profiles": {"gold": ["harbor"]}},
            [("platform.yaml", "profiles.gold")],
            id="a faulty profile",
        ),
        pytest.param(
            {"external_groups": {"corp": ["x"]}},
            {"keycloak": {"external_providers": {"corp": {"pattern": "["}}}},
            [("platform.yaml", "keycloak.external_providers.corp.pattern")],
            id="a faulty provider",
        ),
        pytest.param(
            {"harbor": {"prevent_vulnerable": True}},
            {"defaults": {"harbor": {"severity": "hgh"}}},
            [("platform.yaml", "defaults.harbor.severity")],
            id="a faulty default",
        ),
    ],
)
def test_no_fault_follows_from_another_fault(
    team: dict[str, Any], platform: dict[str, Any], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert fields(write(tmp_path, {"name": "shop", **team}, platform=platform)) == expected


def test_an_unknown_profile_hides_no_double_name(tmp_path: Path) -> None:
    one, other = "name: shop\nprofile: gold\n", "name: shop\nprofile: silver\n"
    told = faults(write(tmp_path, one, other))
    assert len([fault for fault in told if "is not a profile in platform.yaml" in fault]) == 2
    assert any("team 'shop' is also declared in" in fault for fault in told)


def test_a_faulty_field_hides_no_conflict_between_teams(tmp_path: Path) -> None:
    route = {"r": {"host": "x.example.com", "paths": [{"service": "web", "port": 80}]}}
    one = {"name": "a", "routes": route, "harbor": {"role": "owner"}}
    told = faults(write(tmp_path, one, {"name": "b", "routes": route}))
    assert any(": harbor.role: " in fault for fault in told)
    assert any("the host 'x.example.com' is also declared by team" in fault for fault in told)


def test_a_file_without_a_name_is_checked_all_the_same(tmp_path: Path) -> None:
    text = "robots: {ci: {expiry_days: 30, rotation: {max_age_days: 30}}}\n"
    told = faults(write(tmp_path, text))
    assert [fault.split(": ")[1] for fault in told] == ["name", "robots.ci.rotation.max_age_days"]


@pytest.mark.parametrize(
    "team",
    [
        {"members": [7] * 2_000},
        {"harbor": {"immutable_tags": [{"tags": "v["}] * 2_000}},
        {"namespace": {"quota": {f"no-{number}": 1 for number in range(2_000)}}},
        {"robots": {f"r{number}": {"access": "x"} for number in range(2_000)}},
    ],
    ids=lambda team: next(iter(team)),
)
def test_a_file_full_of_faults_has_a_bounded_number_of_them(
    team: dict[str, Any], tmp_path: Path
) -> None:
    folder = write(tmp_path)
    (folder / "teams" / "shop.yaml").write_text(json.dumps({"name": "shop", **team}))
    told = faults(folder)
    assert len(told) == 301
    assert "faults; only the first 300 are listed" in told[0]


def test_any_number_of_identical_values_is_judged(tmp_path: Path) -> None:
    paths = [{"prefix": f"/{number}", "service": "web", "port": 80} for number in range(1_500)]
    team = {
        "name": "shop",
        "harbor": {"immutable_tags": [{"tags": f"v{number}"} for number in range(1_500)]},
        "routes": {"r": {"host": "x.example.com", "paths": paths}},
    }
    folder = write(tmp_path)
    (folder / "teams" / "shop.yaml").write_text(json.dumps(team))
    told = faults(folder)
    # Of 0 to 1,499 all but the ten of one digit begin as one of these does.
    assert len(told) == 1_490


def test_a_call_of_the_api_hears_of_every_fault_at_once() -> None:
    team = {
        "name": "shop",
        "quota": "many",
        "robots": {"ci": {**ROTATION, "access": ["repository:pul"]}},
        "more": "namespace:\n  limits: {min: {cpu: 2}, max: {cpu: 1}}\n",
    }
    with pytest.raises(DeclarationError) as refused:
        declared.read_form(team)
    told = "\n".join(refused.value.faults)
    assert len(refused.value.faults) == 4, told
    assert "team shop: quota: 'many': " in told
    assert "team shop: robots.ci.access[0]: 'repository:pul': " in told
    assert "team shop: robots.ci.rotation.max_age_days: 30 days is not before" in told
    assert "team shop: more:2: namespace.limits.min.cpu: 2 is greater than 'max' (1)" in told


def test_a_call_of_the_api_hears_of_no_fault_that_a_default_may_make_good() -> None:
    team = {
        "name": "shop",
        "group": "/shop",
        "harbor": {"prevent_vulnerable": True},
        "robots": {"ci": {"rotation": {"max_age_days": 100}}},
    }
    with pytest.raises(DeclarationError) as refused:
        declared.read_form(team)
    assert [fault.split(": ")[1] for fault in refused.value.faults] == ["group"]


def test_a_faulty_platform_hides_no_fault_of_a_team_or_of_its_own(tmp_path: Path) -> None:
    platform = {
        "rotation": {"most_per_run": 0},
        "harbor": {"configuration": {"read_only": 1}},
        "profiles": {"gold": {"robots": {"ci": ROTATION}}},
    }
    team = {"name": "shop", "profile": "gold", "namespace": {"quota": {"memroy": 1}}}
    assert fields(write(tmp_path, team, platform=platform)) == [
        ("platform.yaml", "harbor.configuration.read_only"),
        ("platform.yaml", "profiles.gold.robots.ci.rotation.max_age_days"),
        ("platform.yaml", "rotation.most_per_run"),
        (TEAM, "namespace.quota.memroy"),
    ]


OTHERS = [
    Case("rotation", {"robots": {"x": {**ROTATION}}}, "robots.x.rotation.max_age_days: 30 days"),
    Case("profile", {"profile": "gold"}, "profile: 'gold' is not a profile"),
    Case("unknown key", {"nmespace": 1}, "nmespace: unknown key; did you mean 'namespace'?"),
    Case("role", {"harbor": {"role": "owner"}}, "harbor.role: 'owner': "),
    Case("severity", {"harbor": {"prevent_vulnerable": True}}, "harbor.prevent_vulnerable: blocks"),
    Case("group", {"group": "/shop"}, "group: '/shop': a group's name"),
    Case("provider", {"external_groups": {"corp": ["x"]}}, "external_groups.corp: 'corp' is not"),
]
FAULTY = [case for case in [*ALL, *OTHERS] if case.fault]


def _overlap(one: Any, other: Any) -> bool:
    """Return whether two parts of a file cannot be combined, or concern the same value."""
    if not (isinstance(one, dict) and isinstance(other, dict) and one and other):
        return True
    return any(_overlap(one[key], other[key]) for key in one.keys() & other.keys())


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(one)
    for key, value in other.items():
        merged[key] = _merged(merged[key], value) if key in merged else value
    return merged


@settings(max_examples=150)
@given(st.sampled_from(FAULTY), st.sampled_from(FAULTY))
def test_the_faults_of_two_independent_mistakes_are_both_reported(
    tmp_path_factory: pytest.TempPathFactory, one: Case, other: Case
) -> None:
    assume(not _overlap(one.content, other.content))
    # A value that an unknown profile may hold is not reported as missing.
    assume({one.kind, other.kind} != {"profile", "severity"})
    # Limits of one container are compared with each other, so two mistakes can make four faults.
    assume({one.kind, other.kind} != {"limits"})
    folder = write(
        tmp_path_factory.getbasetemp() / "two",
        {"name": "shop", **_merged(one.content, other.content)},
    )
    told = [fault.partition(": ")[2] for fault in faults(folder)]
    assert len(told) == 2, told
    for case in (one, other):
        assert case.fault is not None
        assert any(fault.startswith(case.fault) for fault in told), told


def test_a_profile_that_no_team_uses_is_checked_as_if_a_team_used_it(tmp_path: Path) -> None:
    """No team is affected yet, so it is a warning; a team that uses the profile is left out."""
    gold = {
        "namespace": {"limits": {"min": {"cpu": 2}, "max": {"cpu": 1}}},
        "harbor": {"groups": {"people": "guest"}},
    }
    platform = {"name": "Test", "profiles": {"gold": gold, "silver": {"harbor": {"public": True}}}}
    unused = declared.read(write(tmp_path / "unused", {"name": "shop"}, platform=platform))
    team = {"name": "shop", "profile": "gold"}
    used = declared.read(write(tmp_path / "used", team, platform=platform))

    (warning,) = unused.warnings
    assert "profiles.gold.namespace.limits.min.cpu" in warning
    assert warning.endswith("(no team uses profile 'gold' yet)")
    assert unused.faults == []
    (fault,) = used.faults
    assert fault.partition(" (value used by team file")[0] == warning.partition(" (no team uses")[0]
    assert used.warnings == ()
