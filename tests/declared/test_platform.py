"""Validation of the platform's own settings, and the messages for invalid ones."""

from pathlib import Path
from typing import Any

import pytest

from tenantry.declared import load
from tenantry.errors import DeclarationError
from tests.support.harness import write

pytestmark = pytest.mark.demand("platform", "all tests of configuring the platform on the sandbox")

CONNECTION = """
      connection:
        issuer: https://login.example.com/realms/corp
        client_id: platform
        client_secret: {namespace: sso, name: corp}
"""


def faults(folder: Path, platform: str, *teams: str) -> list[str]:
    """Return the faults of a platform."""
    with pytest.raises(DeclarationError) as caught:
        load(write(folder, *teams, platform=platform))
    return caught.value.faults


@pytest.mark.parametrize(
    ("platform", "fault"),
    [
        pytest.param(
            "harbor:\n  single_sign_on:\n    scopes: [email]\n",
            "platform.yaml:3: harbor.single_sign_on.scopes: must include 'openid'",
            id="no openid",
        ),
        pytest.param(
            "harbor:\n  configuration:\n    oidc_client_secret: x\n",
            "platform.yaml:3: harbor.configuration.oidc_client_secret: 'oidc_client_secret': "
            "is a secret; secrets must not be in the declared state",
            id="a secret",
        ),
        pytest.param(
            "harbor:\n  configuration:\n    auth_mode: db_auth\n",
            "harbor.configuration.auth_mode: 'auth_mode': belongs to harbor.single_sign_on",
            id="what single sign-on sets",
        ),
        pytest.param(
            "harbor:\n  configuration:\n    token_expiration: 0\n",
            "harbor.configuration.token_expiration: '0' must be a whole number greater than 0",
            id="a lifetime of nothing",
        ),
        pytest.param(
            "harbor:\n  configuration:\n    project_creation_restriction: nobody\n",
            "'nobody': must be one of everyone, adminonly",
            id="a choice that Harbor has not",
        ),
        pytest.param(
            "keycloak:\n  realm_settings:\n    session_idle_minutes: 60\n"
            "    session_max_minutes: 30\n",
            "platform.yaml:3: keycloak.realm_settings.session_idle_minutes: 60 is longer than",
            id="an idle time longer than the whole",
        ),
        pytest.param(
            "keycloak:\n  groups:\n    admins:\n      external_groups:\n        corp: [Admins]\n",
            "platform.yaml:5: keycloak.groups.admins.external_groups.corp: 'corp' is not among",
            id="names of a provider that is none",
        ),
        pytest.param(
            "keycloak:\n  external_providers:\n    a/b: {}\n",
            "an alias is 1 to 100 letters, digits",
            id="an alias that is no part of an address",
        ),
        pytest.param(
            "keycloak:\n  external_providers:\n    corp:"
            + CONNECTION.replace("https://login.example.com/realms/corp", "login.example.com"),
            "an issuer is a URL such as https://",
            id="an issuer without a scheme",
        ),
        pytest.param(
            "keycloak:\n  external_providers:\n    corp:\n      pattern: k8s-.*\n",
            "must contain '{group}'",
            id="a pattern that is the same for all",
        ),
        pytest.param(
            "keycloak:\n  external_providers:\n    corp:\n      pattern: '({group}'\n",
            "is not an RE2 regular expression",
            id="an invalid pattern",
        ),
    ],
)
def test_a_faulty_platform_is_reported_with_the_field(
    platform: str, fault: str, tmp_path: Path
) -> None:
    (found,) = faults(tmp_path, platform)
    assert fault in found


def test_two_names_of_one_group_are_a_fault_unless_they_are_meant(tmp_path: Path) -> None:
    table = (
        "keycloak:\n  external_providers:\n    corp:\n      groups:\n"
        "        Shop: team-shop\n        Web: team-shop\n"
    )
    (found,) = faults(tmp_path, table, "name: shop\n")
    assert found.startswith("platform.yaml:4: keycloak.external_providers.corp.groups: 'Shop' and")
    assert found.endswith("several_names: true")

    meant = load(write(tmp_path, "name: shop\n", platform=table + "      several_names: true\n"))
    provider = meant.platform.keycloak.external_providers["corp"]
    assert provider.names("team-shop") == ["Shop", "Web"]


@pytest.mark.parametrize(
    ("provider", "teams", "expected"),
    [
        pytest.param(
            "      ignore_case: true\npolicy:\n  grants:\n    - {teams: [shop, web], reason: a test, "
            "files: [shop.yaml, web.yaml], groups: [Shop, shop]}\n",
            ["name: shop\ngroup: Shop\n", "name: web\ngroup: shop\n"],
            [
                "teams/shop.yaml:1: name: 'Shop' of provider 'corp' also leads to the group 'shop'",
                "teams/web.yaml:1: name: 'shop' of provider 'corp' also leads to the group 'Shop'",
            ],
            id="but for their case",
        ),
        pytest.param(
            "      groups: {team-web: team-shop}\n",
            ["name: shop\n", "name: web\n"],
            [
                (
                    "teams/web.yaml:1: name: 'team-web' of provider 'corp' also leads to the "
                    "group 'team-shop'"
                )
            ],
            id="by the table and by the rule",
        ),
        pytest.param(
            "      pattern: '.*{group}.*'\n",
            ["name: shop\n", "name: shop-two\n"],
            [
                f"teams/{file}.yaml:1: name: 'team-shop-two' of provider 'corp' leads to "
                "'team-shop-two', and by the provider's pattern also to 'team-shop'"
                for file in ("shop-two", "shop")
            ],
            id="by a loose pattern",
        ),
        pytest.param(
            "      groups: {Shop: team-chop}\n",
            ["name: shop\n"],
            [
                (
                    "platform.yaml:4: keycloak.external_providers.corp.groups.Shop: no team has the "
                    "group 'team-chop'"
                )
            ],
            id="to a group that nobody has",
        ),
    ],
)
def test_a_name_that_leads_to_two_groups_is_a_fault(
    provider: str, teams: list[str], expected: list[str], tmp_path: Path
) -> None:
    platform = f"keycloak:\n  external_providers:\n    corp:\n{provider}"
    assert faults(tmp_path, platform, *teams) == expected


def test_a_team_does_not_take_the_group_of_the_platforms_people(tmp_path: Path) -> None:
    platform = "keycloak:\n  groups:\n    admins: {}\n"
    (found,) = faults(tmp_path, platform, "name: shop\ngroup: admins\n")
    assert found == (
        "teams/shop.yaml:2: group: the group 'admins' is the platform's own (keycloak.groups)"
    )


@pytest.mark.parametrize(
    "platform",
    [
        {"adopt": "yes"},
        {"harbor": {"single_sign_on": {}}},
        {"harbor": {"configuration": {"token_expiration": 5}}},
        {"keycloak": {"realm_settings": {}, "groups": {"admins": {}}}},
    ],
)
def test_what_is_the_platforms_alone_makes_no_team_new(
    platform: dict[str, Any], tmp_path: Path
) -> None:
    before = load(write(tmp_path, {"name": "shop"}))
    after = load(write(tmp_path, platform=platform))
    team = before.teams["shop"]
    assert before.fingerprint(team) == after.fingerprint(team)
