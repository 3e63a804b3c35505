"""Robots and the Secrets that hold what they open, OIDC clients' Secrets, and what pods pull with."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tenantry import explain
from tenantry.errors import NotEffective, SystemRefused, SystemUnavailable
from tenantry.plan import Plan
from tenantry.sandbox.harbor.model import Robot
from tests.support.harness import ADOPTING, REALM, SHOP, Bench, Data, Prepare, actions, found, ids

TEAM: Data = {
    "name": "shop",
    "robots": {"pull": {"expiry_days": 30}, "ci": {"expiry_days": "never"}},
    "oidc_clients": {
        "web": {"redirect_uris": ["https://shop.example.com/"]},
        "spa": {"redirect_uris": ["https://spa.example.com/"], "public": True},
    },
}
ROBOT = "harbor/robot/team-shop/pull-a"
SECRET = "kubernetes/Secret/team-shop/harbor-pull"
CI_SECRET = "kubernetes/Secret/team-shop/harbor-ci"
ACCOUNT = "kubernetes/ServiceAccount/team-shop/default"


def onboard(bench: Bench) -> None:
    bench.declare(TEAM).onboard()


@pytest.fixture
def shop(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a bench with the onboarded team."""
    return begin(onboard)


def robot(bench: Bench, name: str = "pull-a") -> Robot:
    return next(each for each in bench.sandbox.harbor.robots.values() if each.name == name)


def held(bench: Bench, name: str = "harbor-pull", namespace: str = "team-shop") -> dict[str, Any]:
    secret = bench.sandbox.kubernetes.get("Secret", name, namespace)
    assert secret is not None
    return secret


def lose(bench: Bench, name: str = "harbor-pull") -> None:
    bench.sandbox.kubernetes.delete("Secret", name, "team-shop")


def registry(bench: Bench) -> str:
    return bench.sandbox.addresses()["harbor"]["url"].removeprefix("http://")


def docker(host: str, username: str, password: str) -> dict[str, str]:
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    entry = {"username": username, "password": password, "auth": auth}
    text = json.dumps({"auths": {host: entry}})
    return {".dockerconfigjson": base64.b64encode(text.encode()).decode()}


def put(bench: Bench, **changes: Any) -> None:
    """Change the pull Secret as another user."""
    bench.sandbox.kubernetes.put({**held(bench), **changes})


def renewed(bench: Bench, do: Callable[[], Any]) -> bool:
    """Return whether the robot has another secret afterwards."""
    before = robot(bench).secret_hash
    do()
    return robot(bench).secret_hash != before


def is_well(bench: Bench) -> None:
    assert bench.can_log_in("harbor-pull")
    assert bench.can_log_in("harbor-ci")
    assert bench.plan() == Plan("shop")


# Created


def test_robots_are_made_as_declared_the_first_of_each_pair(shop: Bench) -> None:
    assert sorted(each.name for each in shop.sandbox.harbor.robots.values()) == ["ci-a", "pull-a"]
    pull, ci = robot(shop, "pull-a"), robot(shop, "ci-a")
    assert (pull.duration, ci.duration) == (30, -1)
    assert pull.permissions[0].access == [("repository", "pull")]
    assert sorted(ci.permissions[0].access) == [("repository", "pull"), ("repository", "push")]


def test_a_secret_is_a_docker_configuration_that_harbor_accepts(shop: Bench) -> None:
    secret = held(shop)
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "tenantry"
    assert secret["metadata"]["annotations"]["tenantry.io/robot"] == "pull-a"
    content = json.loads(shop.secret("harbor-pull")[".dockerconfigjson"])
    assert list(content["auths"]) == [registry(shop)]
    assert shop.login("harbor-pull")[0] == "robot$team-shop+pull-a"
    is_well(shop)


def test_the_secrets_are_for_the_declared_registry(bench: Bench) -> None:
    bench.declare(SHOP, platform={"harbor": {"registry": "registry.example.com"}}).onboard()
    content = json.loads(bench.secret("harbor-pull")[".dockerconfigjson"])
    assert list(content["auths"]) == ["registry.example.com"]


def test_only_what_pods_pull_with_is_attached(shop: Bench) -> None:
    account = shop.sandbox.kubernetes.get("ServiceAccount", "default", "team-shop")
    assert account is not None
    assert account["imagePullSecrets"] == [{"name": "harbor-pull"}]


def test_an_oidc_clients_secret_is_copied(shop: Bench) -> None:
    realm = shop.sandbox.keycloak.realms[REALM]
    client = realm.client_named("team-shop-web")
    assert client is not None
    issuer = f"{shop.sandbox.keycloak.url}/realms/platform"
    assert shop.secret("oidc-web") == {
        "client_id": "team-shop-web",
        "client_secret": client["secret"],
        "issuer": issuer,
    }
    assert shop.secret("oidc-spa") == {"client_id": "team-shop-spa", "issuer": issuer}


# What pods pull with


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_what_others_attached_stays(bench: Bench) -> None:
    bench.declare(SHOP)
    bench.apply_only(["Kubernetes"])
    account = bench.sandbox.kubernetes.get("ServiceAccount", "default", "team-shop")
    assert account is not None
    bench.sandbox.kubernetes.put({**account, "imagePullSecrets": [{"name": "theirs"}]})
    bench.onboard()
    account = bench.sandbox.kubernetes.get("ServiceAccount", "default", "team-shop")
    assert account is not None
    assert account["imagePullSecrets"] == [{"name": "theirs"}, {"name": "harbor-pull"}]
    assert bench.plan() == Plan("shop")


def test_what_was_detached_is_attached_again(shop: Bench) -> None:
    account = shop.sandbox.kubernetes.get("ServiceAccount", "default", "team-shop")
    assert account is not None
    shop.sandbox.kubernetes.put({**account, "imagePullSecrets": [{"name": "theirs"}]})
    assert found(shop.plan()) == {ACCOUNT: {"imagePullSecrets.harbor-pull": (None, "attached")}}
    shop.onboard()
    is_well(shop)


# Credentials that are lost or do not work


@pytest.mark.demand(
    "onboard",
    "a robot whose Secret was never written gets a new secret, and a Secret that "
    "authenticates against Harbor",
)
@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_lost_secret_is_written_with_a_new_password_that_harbor_accepts(shop: Bench) -> None:
    lose(shop)
    assert actions(shop.plan()) == {SECRET: "create"}
    assert renewed(shop, shop.onboard)
    is_well(shop)


def test_a_secret_that_is_lost_in_one_namespace_is_copied_from_the_other(bench: Bench) -> None:
    """A new password would break what the other one has."""
    bench.declare({**TEAM, "further_namespaces": {"jobs": {}}}).onboard()
    lose(bench)
    assert not renewed(bench, bench.onboard)
    assert bench.can_log_in("harbor-pull", "team-shop-jobs")
    is_well(bench)


def test_a_dead_credential_is_renewed(shop: Bench) -> None:
    number = robot(shop).id
    shop.systems.harbor_client.patch(f"/robots/{number}", {})
    assert found(shop.plan()) == {
        SECRET: {"credential": ("rejected by Harbor", "accepted by Harbor")}
    }
    assert renewed(shop, shop.onboard)
    assert robot(shop).id == number
    is_well(shop)


def test_a_dead_credential_is_renewed_once_for_all_namespaces(bench: Bench) -> None:
    bench.declare({**TEAM, "further_namespaces": {"jobs": {}}}).onboard()
    bench.systems.harbor_client.patch(f"/robots/{robot(bench).id}", {})
    bench.sandbox.requests.reset()
    bench.onboard()
    renewals = [each for each in bench.sandbox.requests.log if each.method == "PATCH"]
    assert sum(each.system == "harbor" for each in renewals) == 1
    assert bench.can_log_in("harbor-pull", "team-shop-jobs")
    is_well(bench)


def test_a_disabled_robot_is_enabled_and_keeps_its_password(shop: Bench) -> None:
    robot(shop).disabled = True
    assert found(shop.plan()) == {
        ROBOT: {"disabled": (True, False)},
        SECRET: {"credential": ("rejected by Harbor", "accepted by Harbor")},
    }
    assert not renewed(shop, shop.onboard)
    is_well(shop)


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_an_expired_robot_lives_as_long_again_from_now_and_keeps_its_password(
    shop: Bench,
) -> None:
    old = robot(shop)
    old.created -= timedelta(days=100)
    old.expires_at -= 100 * 86400
    assert set(found(shop.plan())) == {ROBOT, SECRET}
    assert found(shop.plan())[ROBOT] == {"expiry": ("70 days ago", "not soon")}
    assert not renewed(shop, shop.onboard)
    now = shop.sandbox.clock.now().timestamp()
    assert 30 <= (robot(shop).expires_at - now) / 86400 <= 31
    is_well(shop)


@pytest.mark.parametrize(
    ("days", "expires_in"), [(60, (60, 61)), (7, (7, 8)), ("never", None)], ids=str
)
def test_another_lifetime_counts_from_now(
    days: Any, expires_in: tuple[int, int] | None, shop: Bench
) -> None:
    robot(shop).created -= timedelta(days=10)
    robot(shop).expires_at -= 10 * 86400
    assert shop.plan() == Plan("shop")
    shop.declare({**TEAM, "robots": {"pull": {"expiry_days": days}, "ci": TEAM["robots"]["ci"]}})
    assert not renewed(shop, shop.onboard)
    if expires_in is None:
        assert robot(shop).expires_at == -1
    else:
        left = (robot(shop).expires_at - shop.sandbox.clock.now().timestamp()) / 86400
        assert expires_in[0] <= left <= expires_in[1]
    is_well(shop)


def test_an_approval_of_a_plan_is_still_valid_a_day_later(shop: Bench) -> None:
    """A plan shows how far off an expiry is; its hash depends on the expiry, not on the clock."""
    old = robot(shop)
    old.created -= timedelta(days=100)
    old.expires_at -= 100 * 86400
    shop.declare({**TEAM, "robots": {"pull": {"expiry_days": 60}, "ci": TEAM["robots"]["ci"]}})
    first = shop.plan()
    shop.sandbox.clock.move(86400)
    later = shop.plan()
    old.expires_at += 86400
    other = shop.plan()

    assert explain.rows(first.changes) != explain.rows(later.changes)
    hashes = [explain.plan_hash(explain.steps(each)) for each in (first, later, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_robot_that_never_expires_is_given_its_end(shop: Bench) -> None:
    robot(shop).duration = robot(shop).expires_at = -1
    ((was, wanted),) = found(shop.plan())[ROBOT].values()
    assert (str(was), wanted) == ("never expires", 30)
    shop.onboard()
    assert robot(shop).expires_at > 0
    is_well(shop)


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@pytest.mark.parametrize(
    "access",
    [
        [("repository", "pull"), ("repository", "push")],
        [("tag", "list")],
    ],
)
def test_access_that_was_changed_is_set_back_and_the_password_stays(
    access: list[tuple[str, str]], shop: Bench
) -> None:
    permission = robot(shop).permissions[0]
    shop.sandbox.harbor.state.policies |= {
        f"project {permission.namespace} {resource} {action}": 99 for resource, action in access
    }
    permission.access[:] = access
    names = sorted(f"{resource}:{action}" for resource, action in access)
    assert found(shop.plan()) == {ROBOT: {"access": (names, ["repository:pull"])}}
    assert not renewed(shop, shop.onboard)
    assert robot(shop).permissions[0].access == [("repository", "pull")]
    is_well(shop)


def test_a_lost_robot_is_created_again_and_its_secret_written(shop: Bench) -> None:
    del shop.sandbox.harbor.robots[robot(shop).id]
    plan = shop.plan()
    assert ids(plan.changes) == [ROBOT, SECRET]
    shop.onboard()
    is_well(shop)


def test_a_secret_for_another_host_is_written_for_ours_with_a_password_that_works(
    shop: Bench,
) -> None:
    put(shop, data=docker("old.example.com", *shop.login("harbor-pull")))
    differences = found(shop.plan())[SECRET]
    assert list(differences) == ["registry"]
    assert differences["registry"] == ("old.example.com", registry(shop))
    assert not renewed(shop, shop.onboard)
    content = json.loads(shop.secret("harbor-pull")[".dockerconfigjson"])
    assert list(content["auths"]) == [registry(shop)]
    is_well(shop)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {".dockerconfigjson": "bm8ganNvbg=="},
        {".dockerconfigjson": base64.b64encode(b'{"auths": []}').decode()},
        {".dockerconfigjson": base64.b64encode(b'{"auths": {"x": 1}}').decode()},
        {".dockerconfigjson": base64.b64encode(b"[1]").decode()},
        {".dockerconfigjson": base64.b64encode(b"\xff\xfe").decode()},
        {".dockerconfigjson": base64.b64encode(b'{"auths": {"x": null}}').decode()},
    ],
    ids=range(7),
)
def test_a_secret_with_invalid_content_is_written_again(data: dict[str, str], shop: Bench) -> None:
    text = base64.b64decode(data.get(".dockerconfigjson", "")).replace(
        b'"x"', json.dumps(registry(shop)).encode()
    )
    if data:
        data = {".dockerconfigjson": base64.b64encode(text).decode()}
    lose(shop)
    secret = {key: value for key, value in held_before(shop).items() if key != "type"}
    shop.sandbox.kubernetes.put({**secret, "type": "Opaque", "data": data})
    assert actions(shop.plan()) == {SECRET: "replace"}
    shop.onboard()
    assert held(shop)["type"] == "kubernetes.io/dockerconfigjson"
    is_well(shop)


def held_before(bench: Bench) -> dict[str, Any]:
    """Create a Secret of Tenantry without content."""
    labels = {"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": "shop"}
    annotations = {"tenantry.io/robot": "pull-a"}
    metadata = {
        "name": "harbor-pull",
        "namespace": "team-shop",
        "labels": labels,
        "annotations": annotations,
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}


def test_a_secret_with_another_robots_credential_gets_its_own(shop: Bench) -> None:
    put(shop, data=docker(registry(shop), *shop.login("harbor-ci")))
    assert found(shop.plan()) == {
        SECRET: {"username": ("robot$team-shop+ci-a", "robot$team-shop+pull-a")}
    }
    shop.onboard()
    assert shop.login("harbor-pull")[0] == "robot$team-shop+pull-a"
    is_well(shop)


def test_the_marks_of_a_secret_are_set_back(shop: Bench) -> None:
    metadata = held(shop)["metadata"]
    annotations = {**metadata["annotations"], "tenantry.io/robot": "other", "theirs": "yes"}
    put(shop, metadata={**metadata, "annotations": annotations})
    assert set(found(shop.plan())) == {SECRET}
    assert not renewed(shop, shop.onboard)
    assert held(shop)["metadata"]["annotations"]["tenantry.io/robot"] == "pull-a"
    assert held(shop)["metadata"]["annotations"]["theirs"] == "yes"
    is_well(shop)


def test_a_secret_that_harbor_rejects_right_after_its_renewal_is_not_written(
    shop: Bench,
) -> None:
    """Another client updates the robot at the same time: both answers are 200, one update is lost."""
    lose(shop)

    def another_writes(system: str, method: str, path: str) -> None:
        if path == "/service/token":
            robot(shop).secret_hash = "0" * 64

    shop.sandbox.fault_for = another_writes
    with pytest.raises(NotEffective, match=r"Harbor rejects the new secret of robot"):
        shop.onboard()
    assert shop.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop") is None
    shop.sandbox.fault_for = lambda system, method, path: None
    shop.onboard()
    is_well(shop)


def test_no_secret_is_renewed_while_harbor_rejects_all_logins(shop: Bench) -> None:
    """Harbor also answers 401 if it cannot read robots: the stored secret may be valid."""
    shop.sandbox.fault_for = lambda system, method, path: 401 if path == "/service/token" else None
    with pytest.raises(SystemUnavailable, match="rejects the connection's own account"):
        shop.plan()

    def onboard() -> None:
        with pytest.raises(SystemUnavailable, match="rejects the connection's own account"):
            shop.onboard()

    assert not renewed(shop, onboard)
    shop.sandbox.fault_for = lambda system, method, path: None
    is_well(shop)


# The other robot of the pair


def test_the_robot_that_the_secret_names_is_the_live_one(shop: Bench) -> None:
    """So it is after a rotation: pull-b is live, and pull-a is gone or will be."""
    _, password = shop.login("harbor-pull")
    robot(shop).name = "pull-b"
    metadata = held(shop)["metadata"]
    annotations = {**metadata["annotations"], "tenantry.io/robot": "pull-b"}
    data = docker(registry(shop), "robot$team-shop+pull-b", password)
    put(shop, metadata={**metadata, "annotations": annotations}, data=data)
    is_well(shop)
    robot(shop, "pull-b").disabled = True
    assert set(found(shop.plan())) == {"harbor/robot/team-shop/pull-b", SECRET}
    shop.onboard()
    is_well(shop)
    assert sorted(each.name for each in shop.sandbox.harbor.robots.values()) == ["ci-a", "pull-b"]


# OIDC clients


@pytest.mark.parametrize(
    ("key", "field"),
    [("client_id", "client_id"), ("issuer", "issuer"), ("client_secret", "client_secret")],
)
def test_a_clients_secret_that_was_changed_is_copied_again(
    key: str, field: str, shop: Bench
) -> None:
    before = held(shop, "oidc-web")
    data = {**before["data"], key: base64.b64encode(b"other").decode()}
    shop.sandbox.kubernetes.put({**before, "data": data})
    differences = found(shop.plan())
    assert {name: set(fields) for name, fields in differences.items()} == {
        "kubernetes/Secret/team-shop/oidc-web": {field}
    }
    if key == "client_secret":
        assert differences["kubernetes/Secret/team-shop/oidc-web"][field] == (
            "(hidden) not as in Keycloak",
            "(hidden) as in Keycloak",
        )
    shop.onboard()
    assert held(shop, "oidc-web")["data"] == before["data"]
    assert shop.plan() == Plan("shop")


def test_a_secret_that_was_renewed_in_keycloak_is_copied(shop: Bench) -> None:
    client = shop.sandbox.keycloak.realms[REALM].client_named("team-shop-web")
    assert client is not None
    client["secret"] = "Renewed" + "x" * 25
    assert ids(shop.plan().changes) == ["kubernetes/Secret/team-shop/oidc-web"]
    shop.onboard()
    assert shop.secret("oidc-web")["client_secret"] == client["secret"]


# Whose it is


def test_a_foreign_secret_is_refused_and_its_robot_gets_no_new_password(
    shop: Bench,
) -> None:
    lose(shop)
    theirs = held_before(shop)
    theirs["metadata"] = {**theirs["metadata"], "labels": {}, "annotations": {}}
    shop.sandbox.kubernetes.put({**theirs, "type": "Opaque", "data": {"a": "Yg=="}})
    before = held(shop)

    def run() -> None:
        with pytest.raises(SystemRefused, match=f"{SECRET}: it exists and Tenantry did not"):
            shop.onboard()

    assert not renewed(shop, run)
    assert held(shop) == before


def test_yes_adopts_a_secret_and_the_mark_of_it_stays(shop: Bench) -> None:
    lose(shop)
    theirs = held_before(shop)
    theirs["metadata"] = {**theirs["metadata"], "labels": {}, "annotations": {}}
    shop.sandbox.kubernetes.put({**theirs, "type": "Opaque", "data": {"a": "Yg=="}})
    shop.declare({**TEAM, "adopt": "yes"}, platform=ADOPTING).onboard()
    is_well(shop)
    shop.systems.harbor_client.patch(f"/robots/{robot(shop).id}", {})
    shop.onboard()
    assert held(shop)["metadata"]["annotations"]["tenantry.io/adopted"] == "true"
    is_well(shop)
