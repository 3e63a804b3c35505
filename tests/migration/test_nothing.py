"""Where nothing is declared to be moved, the migration says so before it looks at anybody."""

from typing import Any

import pytest

from tenantry.migration.planning import NothingToMigrate, check_declared
from tenantry.onboarding import configure
from tests.support.harness import PLATFORM, REALM, SHOP, Bench

SIGNED_ON: dict[str, Any] = {
    **PLATFORM,
    "harbor": {"single_sign_on": {}},
    "keycloak": {"realm": REALM},
}


def test_without_single_sign_on_no_migration_is_declared(bench: Bench) -> None:
    bench.declare(SHOP)

    with pytest.raises(NothingToMigrate, match=r"harbor\.single_sign_on is not declared"):
        check_declared(bench.systems, "auto")


def test_an_issuer_that_harbor_trusts_already_is_named(bench: Bench) -> None:
    bench.declare(SHOP, platform=SIGNED_ON)
    configure(bench.systems)

    with pytest.raises(NothingToMigrate) as nothing:
        check_declared(bench.systems, "auto")

    assert str(nothing.value).startswith("No migration is declared: ")
    assert bench.systems.keycloak_client.issuer in str(nothing.value)


def test_another_issuer_or_a_replaced_provider_is_a_migration(bench: Bench) -> None:
    bench.declare(SHOP, platform=SIGNED_ON)
    bench.sandbox.harbor.configuration["oidc_endpoint"] = "https://old.example.com/realms/x"
    check_declared(bench.systems, "auto")

    connection = {
        "issuer": "https://new.example.com",
        "client_id": "realm",
        "client_secret": {"namespace": "sso", "name": "new"},
    }
    new = {"replaces": "old", "connection": {**connection}}
    providers = {"old": {"connection": {**connection}}, "new": new}
    keycloak = {**SIGNED_ON["keycloak"], "external_providers": providers}
    bench.declare(SHOP, platform={**SIGNED_ON, "keycloak": keycloak})
    check_declared(bench.systems, "auto")


def test_a_situation_that_the_operator_names_is_judged_by_its_own_rules(bench: Bench) -> None:
    bench.declare(SHOP)

    check_declared(bench.systems, "issuer")
