"""A faulty declared state: its messages line by line, without calls to any system."""

import json
from pathlib import Path
from typing import Any

import pytest

from tenantry import declared
from tenantry.errors import DeclarationError
from tests.support.harness import SHOP, Bench, file_names, granted, write


def faults(folder: Path) -> list[str]:
    with pytest.raises(DeclarationError) as refused:
        declared.load(folder)
    return refused.value.faults


def test_a_team_needs_only_a_name(tmp_path: Path) -> None:
    state = declared.load(write(tmp_path, SHOP))
    assert list(state.teams) == ["shop"]


def test_a_platform_without_teams_is_in_order(tmp_path: Path) -> None:
    assert declared.load(write(tmp_path)).teams == {}


def test_all_faults_are_reported_at_once_sorted_by_file_and_line(tmp_path: Path) -> None:
    platform = "name: Test\ndefaults:\n  harbor:\n    storage_quota: 0\n"
    first = "name: Shop\nharbor:\n  rol: developer\nrobots:\n  ci:\n    expiry_days: 0\n"
    second = "name: data\nnamespace:\n  quota:\n    pods: many\n"
    words = "a team's name is 1 to 58 lower-case letters and digits, in words joined by single"
    quantity = "a quantity is a number with an optional unit, such as 500m, 4, 10Gi"
    assert faults(write(tmp_path, first, second, platform=platform)) == [
        (
            "platform.yaml:4: defaults.harbor.storage_quota: 0: a storage quota must be greater than 0; "
            "or 'unlimited'"
        ),
        f"teams/data.yaml:4: namespace.quota.pods: 'many': {quantity}",
        f"teams/team-0.yaml:1: name: 'Shop': {words} dashes",
        "teams/team-0.yaml:3: harbor.rol: unknown key; did you mean 'role'?",
        (
            "teams/team-0.yaml:6: robots.ci.expiry_days: 0: input should be greater than or equal to 1, "
            "or input should be 'never'"
        ),
    ]


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("team-a--b", id="two dashes"),
        pytest.param("Shop", id="upper case"),
        pytest.param("a" * 64, id="64 characters"),
        pytest.param("a" * 59, id="64 characters with its prefix"),
        pytest.param("1234", id="all digits"),
        pytest.param(1234, id="a number"),
        pytest.param("shop-", id="trailing dash"),
        pytest.param("-shop", id="leading dash"),
        pytest.param("my_shop", id="underscore"),
        pytest.param("my.shop", id="dot"),
        pytest.param("schöp", id="umlaut"),
        pytest.param("shop\n", id="line feed"),
        pytest.param("", id="empty"),
    ],
)
def test_a_name_that_some_system_would_refuse_is_refused(name: Any, tmp_path: Path) -> None:
    (fault,) = faults(write(tmp_path, f"name: {json.dumps(name)}\n"))
    assert ".yaml:1: name: " in fault
    assert "1 to 58 lower-case letters and digits" in fault


def test_a_route_for_harbors_own_host_is_refused(tmp_path: Path) -> None:
    """If two routes have one host at one gateway, the team's route could receive docker's logins."""
    team = (
        "name: shop\nroutes:\n  web:\n    host: registry.example.com\n"
        "    paths: [{service: s, port: 1}]\n"
    )
    folder = write(tmp_path, team, platform="mesh:\n  harbor: {host: registry.example.com}\n")
    (fault,) = faults(folder)
    assert fault == (
        "teams/shop.yaml:4: routes.web.host: 'registry.example.com' is Harbor's own "
        "(mesh.harbor.host)"
    )


def test_a_group_without_a_name_at_a_provider_is_refused(tmp_path: Path) -> None:
    """It would mean the default name, and give access to its members."""
    platform = (
        "keycloak:\n  external_providers: {corp: {}}\n"
        "  groups:\n    admins:\n      external_groups: {corp: []}\n"
    )
    team = "name: shop\nexternal_groups: {corp: []}\n"
    platforms, teams = sorted(faults(write(tmp_path, team, platform=platform)))
    assert platforms.startswith("platform.yaml:5: keycloak.groups.admins.external_groups.corp: ")
    assert teams.startswith("teams/shop.yaml:2: external_groups.corp: ")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("labels: {'a b': c}", "labels.a b: 'a b': a key is up to 63 letters"),
        ("labels: {a: 'b c'}", "labels.a: 'b c': a label's value is up to 63 letters"),
        ("labels: {tenantry.io/team: x}", "is a mark that only Tenantry sets"),
        ("annotations: {'/x': y}", "annotations./x: '/x': a key is up to 63 letters"),
        ("quota: {'requests cpu': 1}", "quota.requests cpu: 'requests cpu': a key is"),
        ("limits: {max: {'': 1}}", "a key is up to 63 letters"),
        ("cluster_role: a/b", "cluster_role: 'a/b': a ClusterRole's name is letters"),
        ("mesh: 'not a revision'", "or must be the name of a revision: up to 63"),
    ],
)
def test_values_that_the_api_server_would_refuse_are_refused_first(
    field: str, text: str, tmp_path: Path
) -> None:
    (fault,) = faults(write(tmp_path, f"name: shop\nnamespace:\n  {field}\n"))
    assert fault.startswith("teams/shop.yaml:3: namespace.")
    assert text in fault


@pytest.mark.parametrize(
    ("team", "fault"),
    [
        pytest.param(
            "name: shop\nharbour:\n  role: guest\n",
            "2: harbour: unknown key; did you mean 'harbor'?",
            id="unknown key",
        ),
        pytest.param(
            "name: shop\nnetwork: {}\n",
            "2: network: unknown key; known here: adopt, contact, display_name, drift, external_groups, "
            "further_namespaces, group, harbor, members, name, names, namespace, offboarding, "
            "oidc_clients, profile, robots, routes",
            id="unknown key that is near to none",
        ),
        pytest.param(
            "name: shop\nfurther_namespaces:\n  jobs:\n    pod_securty: baseline\n",
            "4: further_namespaces.jobs.pod_securty: unknown key; did you mean 'pod_security'?",
            id="unknown key in a mapping of names",
        ),
        pytest.param(
            "name: shop\nharbor:\n  retention:\n    rules:\n      - latest_pushd: 3\n",
            "5: harbor.retention.rules[0].latest_pushd: unknown key; did you mean 'latest_pushed'?",
            id="unknown key in a list",
        ),
        pytest.param("display_name: Shop\n", "1: name: is required", id="no name"),
        pytest.param(
            "name: shop\ndrift:\n  ignore:\n    - reason: no more alarms\n",
            "4: drift.ignore[0]: would ignore everything; give at least one of system, kind, key, "
            "field",
            id="ignore rule for everything",
        ),
        pytest.param(
            "name: shop\ndrift:\n  ignore:\n    - kind: robot\n",
            "4: drift.ignore[0].reason: is required",
            id="ignore rule without a reason",
        ),
        pytest.param(
            "name: shop\nharbor:\n  storage_quota: -5Gi\n",
            "3: harbor.storage_quota: '-5Gi': a quantity must not be negative; or 'unlimited'",
            id="negative storage quota",
        ),
        pytest.param(
            "name: shop\nharbor:\n  storage_quota: 0\n",
            "3: harbor.storage_quota: 0: a storage quota must be greater than 0; or 'unlimited'",
            id="storage quota of 0",
        ),
        pytest.param(
            "name: shop\nharbor:\n  storage_quota: 2000Ti\n",
            "3: harbor.storage_quota: '2000Ti': a storage quota is between 1 byte and 1024Ti, "
            "or 'unlimited'",
            id="storage quota that Harbor refuses",
        ),
        pytest.param(
            "name: shop\nharbor:\n  storage_quota: 10GiB\n",
            "3: harbor.storage_quota: '10GiB': a quantity is a number with an optional unit, such "
            "as 500m, 4, 10Gi; or 'unlimited'",
            id="unparsable storage quota",
        ),
        pytest.param(
            "name: shop\nnamespace:\n  quota:\n    requests.cpu: four\n",
            "4: namespace.quota.requests.cpu: 'four': a quantity is a number with an optional "
            "unit, such as 500m, 4, 10Gi",
            id="unparsable quantity",
        ),
        pytest.param(
            "name: shop\nnamespace:\n  limits:\n    max:\n      memory: -1\n",
            "5: namespace.limits.max.memory: -1: a quantity must not be negative",
            id="negative limit",
        ),
        pytest.param(
            "name: shop\nharbor:\n  role: owner\n",
            "3: harbor.role: 'owner': input should be 'projectAdmin', 'maintainer', 'developer', "
            "'guest' or 'limitedGuest'",
            id="a role that Harbor lacks",
        ),
        pytest.param(
            "name: shop\nharbor:\n  groups:\n    admins: root\n",
            "4: harbor.groups.admins: 'root': input should be 'projectAdmin', 'maintainer', "
            "'developer', 'guest' or 'limitedGuest'",
            id="a role that Harbor lacks, for a further group",
        ),
        pytest.param(
            "name: shop\nprofile: gold\n",
            "2: profile: 'gold' is not a profile in platform.yaml; profiles there: none",
            id="a reference to a missing default",
        ),
        pytest.param(
            "name: shop\nexternal_groups:\n  corp: [SHOP]\n",
            "3: external_groups.corp: 'corp' is not among keycloak.external_providers of "
            "platform.yaml",
            id="an unknown identity provider",
        ),
        pytest.param(
            "name: shop\ngroup: /shop\n",
            "2: group: '/shop': a group's name is 1 to 255 characters without '/' and without blanks "
            "around it (Harbor compares it exactly with the groups claim, which contains leaf names)",
            id="a group with a slash",
        ),
        pytest.param(
            "name: shop\nharbor:\n  groups:\n    team-shop: guest\n",
            "4: harbor.groups.team-shop: 'team-shop' is the team's own group: set its role in "
            "'harbor.role'",
            id="the team's own group as a further one",
        ),
        pytest.param(
            "name: shop\nrobots:\n  ci:\n    access: [robot:update]\n",
            "4: robots.ci.access[0]: 'robot:update': Harbor grants robot:update to no robot",
            id="access that Harbor grants to no robot",
        ),
        pytest.param(
            "name: shop\nrobots:\n  ci:\n    access: []\n",
            "4: robots.ci.access: list should have at least 1 item after validation, not 0",
            id="a robot without access",
        ),
        pytest.param(
            "name: shop\nrobots:\n  ci:\n    expiry_days: 30\n"
            "    rotation:\n      max_age_days: 30\n",
            "6: robots.ci.rotation.max_age_days: 30 days is not before the robot's expiry after "
            "30 days: it must be less, or the credential expires before it is rotated",
            id="a rotation after the expiry",
        ),
        pytest.param(
            "name: shop\nrobots:\n  ci:\n    expiry_days: 30\n"
            "    rotation:\n      max_age_days: 29\n",
            "6: robots.ci.rotation.max_age_days: 29 days and the 3 of 'before_expiry_days' are "
            "more than the robot's 30 days: the credential would always be rotated before that age",
            id="a rotation too near to the expiry",
        ),
        pytest.param(
            "name: shop\nrobots:\n  ci:\n    expiry_days: 30\n"
            "    rotation: {max_age_days: 20, overlap_hours: 80}\n",
            "5: robots.ci.rotation.overlap_hours: 80 hours is longer than the 3 days of "
            "'before_expiry_days': the old credential would expire while it is still in use",
            id="an overlap beyond the expiry",
        ),
        pytest.param(
            "name: shop\nrobots:\n  ci:\n    expiry_days: never\n"
            "    rotation: {max_age_days: 2, overlap_hours: 40}\n",
            "5: robots.ci.rotation.overlap_hours: 40 hours is longer than three quarters of the 2 "
            "days of 'max_age_days': the next rotation would be due while the last one's old "
            "credential is still in use",
            id="an overlap beyond the next rotation",
        ),
        pytest.param(
            "name: shop\nrobots:\n  ci:\n    sinks:\n      - {namespace: pipelines-, name: a}\n",
            "5: robots.ci.sinks[0]: 'pipelines-/a' is not the name of a Secret",
            id="a sink of no valid name",
        ),
        pytest.param(
            "name: shop\nrobots:\n  ci:\n    sinks:\n"
            "      - {namespace: 'team-{team}', name: harbor-ci}\n",
            "5: robots.ci.sinks[0]: the Secret 'team-shop/harbor-ci' is declared twice",
            id="a sink that is the robot's own Secret",
        ),
        pytest.param(
            "name: shop\nharbor:\n  prevent_vulnerable: true\n",
            "3: harbor.prevent_vulnerable: blocks vulnerable images, but has no severity: set "
            "'severity'",
            id="prevention without severity",
        ),
        pytest.param(
            "name: shop\nharbor:\n  retention:\n    rules:\n"
            "      - latest_pushed: 3\n        latest_pulled: 3\n",
            "5: harbor.retention.rules[0]: gives latest_pushed and latest_pulled; give exactly one of "
            "latest_pushed, latest_pulled, pushed_within_days, pulled_within_days",
            id="a retention rule with two counts",
        ),
        pytest.param(
            "name: shop\nharbor:\n  retention:\n    rules:\n"
            "      - latest_pushed: 3\n      - latest_pushed: 3\n",
            "6: harbor.retention.rules[1]: is given twice; Harbor refuses identical rules",
            id="a retention rule twice",
        ),
        pytest.param(
            "name: shop\nharbor:\n  retention:\n    schedule: daily\n    rules:\n"
            "      - latest_pushed: 3\n",
            "4: harbor.retention.schedule: 'daily': a schedule has five fields: minute hour day "
            "month weekday, such as 0 3 * * *",
            id="an invalid schedule",
        ),
        pytest.param(
            "name: shop\nroutes:\n  web:\n    host: shop.example.com\n    paths:\n"
            "      - {prefix: /, service: web, port: 80}\n"
            "      - {prefix: /api, service: api, port: 80}\n",
            "7: routes.web.paths[1].prefix: '/api' is never reached: '/' before it matches the "
            "same requests; move the longer prefix first",
            id="a path that is never reached",
        ),
        pytest.param(
            "name: shop\nroutes:\n  web:\n    host: Shop.example.com\n    paths:\n"
            "      - {service: web, port: 80}\n",
            "4: routes.web.host: 'Shop.example.com': a host is a DNS name in lower case, such "
            "as shop.example.com",
            id="a host in upper case",
        ),
        pytest.param(
            f"name: {'a' * 40}\nfurther_namespaces:\n  {'b' * 30}: {{}}\n",
            f"3: further_namespaces.{'b' * 30}: the namespace 'team-{'a' * 40}-{'b' * 30}' would "
            "have over 63 characters",
            id="a further namespace with too long a name",
        ),
        pytest.param("name: shop\nname: shop\n", None, id="a key twice"),
        pytest.param("name: [shop\n", None, id="no YAML"),
        pytest.param("", "1: is empty; it must contain keys and values", id="an empty file"),
        pytest.param("- shop\n", None, id="a list"),
    ],
)
def test_a_fault_has_file_line_field_and_the_allowed_values(
    team: str, fault: str | None, tmp_path: Path
) -> None:
    (told,) = faults(write(tmp_path, team))
    (file,) = file_names(team)
    assert told.startswith(f"teams/{file}:")
    if fault is not None:
        assert told == f"teams/{file}:{fault}"


def test_two_teams_of_one_name_are_refused(tmp_path: Path) -> None:
    platform = granted("shop", files=["one.yaml", "two.yaml"])
    write(tmp_path, platform=platform)
    (tmp_path / "teams" / "one.yaml").write_text("name: shop\n")
    (tmp_path / "teams" / "two.yaml").write_text("\nname: shop\n")
    assert faults(tmp_path) == [
        "teams/one.yaml:1: name: team 'shop' is also declared in teams/two.yaml",
        "teams/two.yaml:2: name: team 'shop' is also declared in teams/one.yaml",
    ]


def test_a_file_owns_the_name_that_it_bears(tmp_path: Path) -> None:
    write(tmp_path, {"name": "shop"}, platform=granted("shop", files=["other.yaml"]))
    (tmp_path / "teams" / "other.yaml").write_text("name: shop\n")
    assert faults(tmp_path) == [
        "teams/other.yaml:1: name: team 'shop' is also declared in teams/shop.yaml"
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(
            "name: a-b\n",
            "name: a\nfurther_namespaces:\n  b: {}\n",
            ["1:3: further_namespaces.b: the namespace 'team-a-b' is also declared by team 'a-b'"],
            id="a namespace",
        ),
        pytest.param(
            "name: a\n",
            "name: b\ngroup: team-a\n",
            ["1:2: group: the group 'team-a' is also declared by team 'a'"],
            id="a group",
        ),
        pytest.param(
            "name: a-b\noidc_clients:\n  c: {redirect_uris: [https://x.example/]}\n",
            "name: a\noidc_clients:\n  b-c: {redirect_uris: [https://y.example/]}\n",
            [
                "0:3: oidc_clients.c: the OIDC client 'team-a-b-c' is also declared by team 'a'",
                "1:3: oidc_clients.b-c: the OIDC client 'team-a-b-c' is also declared by team 'a-b'",
            ],
            id="an OIDC client",
        ),
        pytest.param(
            "name: a\nroutes:\n  r: {host: x.example, paths: [{service: s, port: 1}]}\n",
            "name: b\nroutes:\n  r: {host: x.example, paths: [{service: s, port: 1}]}\n",
            [
                "0:3: routes.r.host: the host 'x.example' is also declared by team 'b'",
                "1:3: routes.r.host: the host 'x.example' is also declared by team 'a'",
            ],
            id="a host",
        ),
    ],
)
def test_a_resource_that_two_teams_claim_is_refused(
    one: str, other: str, expected: list[str], tmp_path: Path
) -> None:
    """The naming convention excludes one team, otherwise both: validate calls no system."""
    files = file_names(one, other)
    found = faults(write(tmp_path, one, other))
    assert sorted(found) == sorted(
        f"teams/{files[int(fault[0])]}:{fault[2:]}" for fault in expected
    )


def test_a_fault_of_a_default_is_reported_at_the_line_of_the_default(tmp_path: Path) -> None:
    platform = "name: Test\ndefaults:\n  harbor:\n    prevent_vulnerable: true\n"
    assert faults(write(tmp_path, "name: shop\n", platform=platform)) == [
        (
            "platform.yaml:4: defaults.harbor.prevent_vulnerable: blocks vulnerable images, "
            "but has no severity: set 'severity' (value used by team file teams/shop.yaml)"
        )
    ]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert faults(tmp_path / "none") == [f"{tmp_path / 'none'}: is not a folder"]


def test_a_missing_platform_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, "name: shop\n", "name: Data\n")
    (tmp_path / "platform.yaml").unlink()
    missing, name = faults(tmp_path)
    assert missing == "platform.yaml:1: is missing; every declared state needs this file"
    assert name.startswith("teams/team-1.yaml:1: name: 'Data'")


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    write(tmp_path, "name: shop\n")
    (tmp_path / "teams" / "shop.yaml").write_bytes(b"name: sch\xf6p\n")
    assert faults(tmp_path) == ["teams/shop.yaml:1: is not UTF-8 text; save the file as UTF-8"]


def test_a_folder_with_a_teams_file_name_is_named(tmp_path: Path) -> None:
    write(tmp_path, "name: shop\n")
    (tmp_path / "teams" / "data.yaml").mkdir()
    (fault,) = faults(tmp_path)
    assert fault == "teams/data.yaml:1: is a link or a folder; it must be a file"


def test_a_faulty_state_is_refused_before_any_call(bench: Bench) -> None:
    with pytest.raises(DeclarationError):
        bench.declare(SHOP, {"name": "data", "harbor": {"role": "owner"}})
    assert bench.sandbox.requests.total() == 0


# A team that came by the API


def test_a_team_from_the_api_is_checked_as_its_file_would_be(tmp_path: Path) -> None:
    state = declared.load(write(tmp_path, {"name": "a-b"}))
    team = declared.Team.model_validate(
        {"name": "a", "profile": "gold", "external_groups": {"corp": ["x"]}}
    )
    with pytest.raises(DeclarationError) as refused:
        declared.add_team(state, team)
    assert refused.value.faults == [
        "team a: profile: 'gold' is not a profile in platform.yaml; profiles there: none",
        (
            "team a: external_groups.corp: 'corp' is not among keycloak.external_providers of "
            "platform.yaml"
        ),
    ]
    team = declared.Team.model_validate({"name": "a", "further_namespaces": {"b": {}}})
    with pytest.raises(DeclarationError) as refused:
        declared.add_team(state, team)
    assert refused.value.faults == [
        "team a: further_namespaces.b: the namespace 'team-a-b' is also declared by team 'a-b'"
    ]


def test_a_team_from_the_api_takes_the_place_of_its_file(tmp_path: Path) -> None:
    state = declared.load(write(tmp_path, SHOP, {"name": "data"}))
    team = declared.Team.model_validate({"name": "shop", "contact": "#shop"})
    new = declared.add_team(state, team)
    assert list(new.teams) == ["data", "shop"]
    assert new.teams["shop"].contact == "#shop"
    assert new.teams["shop"].active_robots.keys() == {"pull", "ci"}
