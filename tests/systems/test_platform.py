"""What is the platform's own, on Keycloak and Harbor: configured, looked at again, and interrupted."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tenantry import drift
from tenantry.errors import NotOurs
from tenantry.locks import NoLock
from tenantry.onboarding import configure, plan_platform
from tenantry.plan import Plan
from tenantry.resources import Resource
from tenantry.sandbox.harbor import users
from tenantry.sandbox.keycloak.builtin import new_realm
from tenantry.systems.keycloak.harbors_client import secret_of
from tenantry.walk import observe_owners
from tests.real.servers import browser
from tests.support.crash import Snapshot
from tests.support.harness import SHOP, Bench, Prepare, actions, found, ids
from tests.support.locks import Mutex
from tests.support.wire import Kill, Killed, Wire, no_delays, one_worker

pytestmark = pytest.mark.demand("platform", "all tests of configuring the platform on the sandbox")

REALM = "main"
PASSWORD = "wonderland"
SIGN_ON: dict[str, Any] = {
    "name": "Test",
    "harbor": {"single_sign_on": {"admin_group": "platform-admins"}},
    "keycloak": {"realm": REALM, "realm_settings": {}, "groups": {"platform-admins": {}}},
}


def whole(bench: Bench) -> dict[str, Any]:
    """Return a platform that declares resources of each kind. Its provider is another realm."""
    sandbox = bench.sandbox
    sandbox.keycloak.realms["corp"] = new_realm("corp", {"enabled": True})
    sandbox.kubernetes.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sso"}})
    secret(bench, "the provider's")
    connection = {
        "issuer": f"{sandbox.keycloak.url}/realms/corp",
        "client_id": "broker",
        "client_secret": {"namespace": "sso", "name": "corp"},
    }
    return {
        "name": "Test",
        "harbor": {
            "single_sign_on": {"admin_group": "platform-admins", "group_filter": "^team-"},
            "configuration": {"token_expiration": 25, "robot_name_prefix": "bot$"},
        },
        "keycloak": {
            "realm": REALM,
            "realm_settings": {
                "access_token_minutes": 5,
                "session_idle_minutes": 60,
                "brute_force_protection": True,
                "unmanaged_attributes": "admin-edit",
            },
            "groups": {"platform-admins": {"external_groups": {"corp": ["Admins"]}}},
            "external_providers": {"corp": {"group_name": "k8s-{group}", "connection": connection}},
        },
    }


def secret(bench: Bench, value: str) -> None:
    """Create the declared Secret with the secret of the external provider."""
    data = {"client-secret": base64.b64encode(value.encode()).decode()}
    metadata = {"name": "corp", "namespace": "sso"}
    bench.sandbox.kubernetes.put(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    )


def plan(bench: Bench) -> Plan:
    outcome = plan_platform(bench.systems)
    if outcome.error:
        raise outcome.error
    assert outcome.plan is not None
    return outcome.plan


def sign_on(bench: Bench) -> None:
    bench.declare(SHOP, platform=SIGN_ON)
    configure(bench.systems)


@pytest.fixture
def signed_on(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a configured platform with single sign-on and nothing else."""
    return begin(sign_on)


def log_in(bench: Bench, name: str) -> httpx.Response:
    """Log in with a browser, and return Harbor's last answer."""
    url = bench.sandbox.harbor.ext_endpoint
    client, answer = browser.log_in_at(
        f"{url}/c/oidc/login", f"{url}/c/oidc/callback", name, PASSWORD
    )
    client.close()
    return answer


# One pass


@pytest.mark.demand("platform", "realm, provider, client and Harbor: a second run makes no write")
def test_one_pass_configures_all_and_a_second_writes_nothing(bench: Bench) -> None:
    bench.declare(SHOP, platform=whole(bench))

    outcome = configure(bench.systems)
    assert [str(change.id) for change in outcome.done] == [
        "keycloak/realm/main",
        "keycloak/user profile/main",
        "keycloak/group/platform-admins",
        "keycloak/identity provider/corp",
        "keycloak/identity provider mapper/corp/tenantry username",
        "keycloak/identity provider mapper/corp/tenantry email",
        "keycloak/identity provider mapper/corp/tenantry group platform-admins",
        "keycloak/client/harbor",
        "keycloak/claim/harbor/groups",
        "keycloak/client scopes/harbor",
        "harbor/configuration/single sign-on",
        "harbor/configuration/settings",
    ]

    bench.sandbox.requests.reset()
    with bench.process() as systems:
        assert configure(systems).plan == Plan("")
    assert bench.sandbox.requests.writes() == 0
    assert bench.sandbox.harbor.configuration["project_creation_restriction"] == "adminonly"


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_of_concurrent_runs_one_configures_the_realm_and_the_others_write_nothing(
    bench: Bench,
) -> None:
    bench.declare(platform=whole(bench))
    lock = Mutex()

    def changes(_: int) -> int:
        with bench.process() as systems:
            return len(configure(systems, lock=lock).done)

    with ThreadPoolExecutor(4) as pool:
        done = sorted(pool.map(changes, range(4)))
    assert done == [0, 0, 0, 12]


def test_onboarding_comes_after_it_and_neither_undoes_the_other(bench: Bench) -> None:
    bench.declare(SHOP, platform=whole(bench))
    configure(bench.systems)
    bench.onboard()

    assert plan(bench).is_empty
    assert bench.plan().is_empty


def test_a_platform_that_declares_nothing_makes_no_calls(bench: Bench) -> None:
    bench.declare(SHOP)
    assert not bench.state.platform.is_managed

    assert configure(bench.systems).plan == Plan("")
    assert bench.sandbox.requests.total() == 0


@pytest.mark.demand("lifecycle", "the platform's plan shows removed groups and providers as left")
def test_a_plan_shows_the_groups_and_providers_that_are_no_longer_declared(bench: Bench) -> None:
    bench.declare(SHOP, platform=whole(bench))
    configure(bench.systems)
    keycloak = bench.systems.keycloak_client
    keycloak.post("groups", {"name": "by-hand"})
    theirs = {"alias": "theirs", "providerId": "oidc", "config": provider_config(bench)}
    keycloak.post("identity-provider/instances", theirs)
    bench.declare(
        SHOP, platform={"name": "Test", "keycloak": {"realm": REALM, "realm_settings": {}}}
    )

    shown = plan(bench)

    assert not shown.changes
    left = {str(each.id): each for each in shown.left}
    assert left.keys() == {"keycloak/group/platform-admins", "keycloak/identity provider/corp"}
    group, provider = left.values()
    assert (group.removal, provider.removal) == ("kept", "on request")
    assert "To delete it: kcadm.sh delete groups/" in group.reason
    command = "detect-drift with 'remove': keycloak/identity provider/corp"
    assert command in provider.reason
    assert configure(bench.systems).done == ()

    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        detected = drift.detect(systems, bench.teams, seen)
        found = {str(each.resource): each for each in detected.report.findings}
        assert command in found["keycloak/identity provider/corp"].what_to_do
        assert not [c for c in drift.choose(detected, "all").removals if "corp" in c.id.key]
        order = drift.Order("none", remove=("keycloak/identity provider/corp",))
        remedy = drift.choose(detected, "none", order.remove)
        drift.remediate_teams(systems, remedy, order, NoLock(), approved=True)
    (admins,) = list(keycloak.pages("groups", search="platform-admins"))
    keycloak.delete(f"groups/{admins['id']}")

    assert plan(bench).left == ()
    aliases = [each["alias"] for each in keycloak.pages("identity-provider/instances")]
    assert aliases == ["theirs"]


def provider_config(bench: Bench) -> dict[str, str]:
    """Return the configuration of a provider that was added by hand."""
    (found,) = bench.systems.keycloak_client.pages("identity-provider/instances")
    config = found["config"]
    return {key: value for key, value in config.items() if not key.startswith(("tenantry", "app."))}


def test_settings_of_others_stay(signed_on: Bench) -> None:
    realm = signed_on.sandbox.keycloak.realms[REALM]
    realm.settings["attributes"]["theirs"] = "kept"
    realm.settings["accessTokenLifespan"] = 1234
    realm.settings["attributes"]["app.kubernetes.io/managed-by"] = "tenantry"
    signed_on.sandbox.harbor.configuration["session_timeout"] = 7

    assert plan(signed_on).is_empty
    signed_on.declare(
        platform={
            **SIGN_ON,
            "keycloak": {**SIGN_ON["keycloak"], "realm_settings": {"display_name": "Main"}},
        }
    )
    assert found(plan(signed_on)) == {"keycloak/realm/main": {"displayName": (None, "Main")}}
    configure(signed_on.systems)
    assert realm.settings["attributes"]["theirs"] == "kept"
    assert realm.settings["accessTokenLifespan"] == 1234


# Logins


def test_a_person_logs_in_and_is_a_developer_by_the_claim_alone(signed_on: Bench) -> None:
    signed_on.onboard()
    keycloak = signed_on.sandbox.keycloak
    ann = keycloak.add_user(REALM, "ann", email="ann@example.test", password=PASSWORD)
    ann.first_name, ann.last_name = "Ann", "Example"
    realm = keycloak.realms[REALM]
    group = realm.child_named(None, "team-shop")
    assert group is not None
    realm.join(ann, group)

    answer = log_in(signed_on, "ann")

    assert (answer.status_code, answer.headers["location"]) == (302, "/"), answer.text
    (user,) = (u for u in signed_on.sandbox.harbor.users.values() if u.username == "ann")
    assert user.groups == ["team-shop"]


def test_the_final_slash_of_an_issuer_is_repaired_though_users_exist(signed_on: Bench) -> None:
    signed_on.onboard()
    harbor = signed_on.sandbox.harbor
    issuer = harbor.configuration["oidc_endpoint"]
    users.onboard(harbor, "ann", "ann@example.test", "1", issuer, [])
    harbor.configuration["oidc_endpoint"] = f"{issuer}/"

    configure(signed_on.systems)

    assert harbor.configuration["oidc_endpoint"] == issuer


@pytest.mark.demand("platform", "a new claim exists before the old one is removed")
def test_a_new_claim_exists_before_harbor_uses_it_and_the_old_one_is_deleted_afterwards(
    signed_on: Bench,
) -> None:
    signed_on.declare(
        platform={
            **SIGN_ON,
            "harbor": {
                "single_sign_on": {"admin_group": "platform-admins", "groups_claim": "teams"}
            },
        }
    )
    assert [(change.action, str(change.id)) for change in configure(signed_on.systems).done] == [
        ("create", "keycloak/claim/harbor/teams"),
        ("update", "harbor/configuration/single sign-on"),
        ("delete", "keycloak/claim/harbor/groups"),
    ]
    assert plan(signed_on).is_empty


@pytest.mark.demand(
    "platform", "killed after each request: a user can still log in, and the next run finishes"
)
@pytest.mark.long
def test_a_run_that_dies_anywhere_leaves_logins_working(signed_on: Bench) -> None:
    user = signed_on.sandbox.keycloak.add_user(
        REALM, "ann", email="ann@example.test", password=PASSWORD
    )
    user.first_name, user.last_name = "Ann", "Example"
    changed = {
        **SIGN_ON,
        "harbor": {
            "single_sign_on": {"groups_claim": "teams", "client_id": "registry", "logout": False},
            "configuration": {"token_expiration": 20},
        },
    }
    signed_on.declare(platform=changed)
    before = Snapshot(signed_on.sandbox)

    def go_on() -> None:
        with signed_on.process() as systems:
            configure(systems)

    with no_delays(), one_worker():
        with Wire() as wire:
            go_on()
        for number in range(1, len(wire.requests) + 1):
            before.restore()
            with pytest.raises(Killed), Wire(Kill(number, "after")):
                go_on()
            signed_on.sandbox.harbor.provider = None  # its few seconds of memory are over
            assert log_in(signed_on, "ann").status_code == 302, f"after request {number}"
            go_on()
            assert plan(signed_on).is_empty


# The client's secret


@pytest.mark.demand("platform", "drift of the secret that Harbor never shows is found by trying it")
def test_a_client_secret_that_no_longer_works_is_found_by_trying_it_and_replaced(
    signed_on: Bench,
) -> None:
    harbor = signed_on.sandbox.harbor
    right = harbor.configuration["oidc_client_secret"]
    harbor.configuration["oidc_client_secret"] = "another"
    harbor.provider = None

    assert found(plan(signed_on)) == {
        "harbor/configuration/single sign-on": {"oidc_client_secret": ("does not work", "works")}
    }
    done = configure(signed_on.systems).done

    assert ids(done) == ["harbor/configuration/single sign-on"]
    assert harbor.configuration["oidc_client_secret"] == right
    assert right not in repr(done)


def test_a_providers_secret_is_read_from_its_kubernetes_secret_and_updated_when_it_changes(
    bench: Bench,
) -> None:
    bench.declare(platform=whole(bench))
    outcome = configure(bench.systems)
    provider = bench.sandbox.keycloak.realms[REALM].providers["corp"]
    assert provider["config"]["clientSecret"] == "the provider's"
    assert "the provider's" not in repr(outcome)

    secret(bench, "a newer one")
    assert list(actions(plan(bench))) == ["keycloak/identity provider/corp"]
    configure(bench.systems)
    provider = bench.sandbox.keycloak.realms[REALM].providers["corp"]
    assert provider["config"]["clientSecret"] == "a newer one"
    assert plan(bench).is_empty


# What can't be done is said, and the rest is done


def test_foreign_resources_are_refused_until_their_adoption_is_declared(bench: Bench) -> None:
    bench.sandbox.keycloak.realms[REALM] = new_realm(REALM, {"enabled": True})
    bench.declare(platform=SIGN_ON)

    with pytest.raises(NotOurs) as refused:
        configure(bench.systems)
    assert "keycloak/realm/main: it exists and Tenantry did not create it" in str(refused.value)
    assert "let the platform adopt it (adopt: if-identical)" in str(refused.value)
    assert bench.sandbox.harbor.configuration["oidc_client_id"] == "harbor"

    bench.declare(platform={**SIGN_ON, "adopt": "if-identical"})
    configure(bench.systems)
    assert plan(bench).is_empty


@pytest.mark.demand(
    "platform", "an auth_mode that cannot change is explained, with the users that prevent it"
)
def test_an_auth_mode_that_cannot_change_is_explained_with_the_users(bench: Bench) -> None:
    harbor = bench.sandbox.harbor
    harbor.configuration["auth_mode"] = "db_auth"
    users.onboard(harbor, "ann", "a@b.test", "1", "https://old.test", [])
    bench.declare(platform=SIGN_ON)

    with pytest.raises(NotOurs) as refused:
        configure(bench.systems)
    assert "it differs in auth_mode" in str(refused.value)
    assert "Other users: ann. Delete them in Harbor first" in str(refused.value)
    assert harbor.configuration["oidc_client_id"] == ""
    assert harbor.configuration["project_creation_restriction"] == "adminonly"


@pytest.mark.demand(
    "platform", "a configuration set by CONFIG_OVERWRITE_JSON is reported, and never written"
)
@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_read_only_configuration_is_reported_and_not_fought(bench: Bench) -> None:
    harbor = bench.sandbox.harbor
    harbor.overwrite_configuration({"oidc_name": "Theirs"})
    bench.declare(platform=SIGN_ON)

    with pytest.raises(NotOurs) as refused:
        configure(bench.systems)
    assert "harbor/configuration/single sign-on" in str(refused.value)
    assert "harbor/configuration/settings" in str(refused.value)
    assert "CONFIG_OVERWRITE_JSON of Harbor's core sets it" in str(refused.value)
    assert harbor.configuration["oidc_name"] == "Theirs"
    asked = [each.method for each in bench.sandbox.requests.log if "configur" in each.target]
    assert set(asked) == {"GET"}
    client = bench.sandbox.keycloak.realms[REALM].client_named("harbor")
    assert client is not None  # all the rest is done

    mine = secret_of(bench.systems.keycloak_client, "harbor")
    wanted = {resource.id: resource.fields for resource in desired_of_harbor(bench)}
    for fields in wanted.values():
        harbor.overwrite_configuration({**fields, "oidc_client_secret": mine})
    assert plan(bench).is_empty


def desired_of_harbor(bench: Bench) -> list[Resource]:
    systems = bench.systems
    return systems.harbor_platform.desired(
        systems.state.platform, observe_owners(systems.platform_adapters, [systems.state.platform])
    )


def test_a_setting_that_this_harbor_has_not_is_named(bench: Bench) -> None:
    bench.declare(platform={"name": "x", "harbor": {"configuration": {"no_such_setting": 1}}})
    with pytest.raises(NotOurs, match="no_such_setting; this version of Harbor has no such"):
        configure(bench.systems)


def test_a_provider_that_is_down_costs_its_own_part_only(bench: Bench) -> None:
    declared = whole(bench)
    del bench.sandbox.keycloak.realms["corp"]
    bench.declare(platform=declared)

    outcome = configure(bench.systems)
    assert outcome.plan is not None
    (wait,) = (w for w in outcome.plan.waiting if "discovery" in w.reason)
    assert str(wait.id) == "keycloak/identity provider/corp"
    assert "harbor/configuration/single sign-on" in ids(outcome.done)


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_an_alias_with_linked_users_keeps_its_issuer(bench: Bench) -> None:
    declared = whole(bench)
    bench.declare(platform=declared)
    configure(bench.systems)
    keycloak = bench.sandbox.keycloak
    user = keycloak.add_user(REALM, "ann")
    user.links["corp"] = {"identityProvider": "corp", "userId": "1", "userName": "ann"}
    keycloak.realms["new"] = new_realm("new", {"enabled": True})
    provider = declared["keycloak"]["external_providers"]["corp"]
    provider["connection"]["issuer"] = f"{keycloak.url}/realms/new"
    bench.declare(platform=declared)

    (refusal,) = plan(bench).refusals
    assert "users are linked to" in refusal.reason
    assert "under another alias" in refusal.reason
