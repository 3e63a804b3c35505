"""Content of other users and tools in the Secrets of robots is kept, and is read as kubelets do."""

import base64
import json
from typing import Any

import pytest

from tests.support import rotation_harness
from tests.support.harness import ADOPTING, Bench, found

FOREIGN = {"auth": base64.b64encode(b"ann:hub").decode(), "email": "ann@example.com"}
HUB = "https://index.docker.io/v1/"


def config(bench: Bench, name: str = "harbor-pull") -> dict[str, Any]:
    text = bench.secret(name).get(".dockerconfigjson") or bench.secret(name)["config.json"]
    held: dict[str, Any] = json.loads(text)
    return held


def put(
    bench: Bench, content: Any, name: str = "harbor-pull", key: str = ".dockerconfigjson"
) -> None:
    secret = bench.sandbox.kubernetes.get("Secret", name, "team-shop")
    assert secret is not None
    text = content if isinstance(content, str) else json.dumps(content)
    data = {key: base64.b64encode(text.encode()).decode()}
    bench.sandbox.kubernetes.put({**secret, "data": data})


def host(bench: Bench) -> str:
    return bench.systems.credentials.registry


def with_hub(bench: Bench, name: str = "harbor-pull") -> dict[str, Any]:
    """Return the Secret's content with an entry of another registry and a field of Docker."""
    held = config(bench, name)
    return {"auths": {**held["auths"], HUB: FOREIGN}, "credHelpers": {"gcr.io": "gcloud"}}


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
def test_silently_wrong_rotation_keeps_the_entry_of_another_registry(bench: Bench) -> None:
    bench.declare(rotation_harness.PULL).onboard()
    put(bench, with_hub(bench))
    assert not bench.plan().changes
    before = config(bench)["auths"][host(bench)]
    rotation_harness.run(bench, rotation_harness.order(bench, force=True))
    after = config(bench)
    assert after["auths"][host(bench)] != before
    assert after["auths"][HUB] == FOREIGN
    assert after["credHelpers"] == {"gcr.io": "gcloud"}
    assert not bench.plan().changes


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
def test_silently_wrong_adoption_keeps_the_entry_of_another_registry(bench: Bench) -> None:
    bench.declare({"name": "shop"}).onboard()
    put(bench, with_hub(bench))
    secret = bench.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop")
    assert secret is not None
    metadata = {**secret["metadata"], "labels": {}, "annotations": {}}
    bench.sandbox.kubernetes.put({**secret, "metadata": metadata})
    bench.declare({"name": "shop", "adopt": "yes"}, platform=ADOPTING).onboard()
    assert config(bench)["auths"].keys() == {host(bench), HUB}
    assert config(bench)["auths"][HUB] == FOREIGN
    assert not bench.plan().changes


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
def test_silently_wrong_repair_keeps_the_entry_of_another_registry(bench: Bench) -> None:
    """A credential that no longer works is replaced, and nothing else."""
    bench.declare({"name": "shop"}).onboard()
    held = with_hub(bench)
    held["auths"][host(bench)] = {"username": "robot$team-shop+pull-a", "password": "wrong"}
    put(bench, held)
    bench.onboard()
    assert config(bench)["auths"][HUB] == FOREIGN
    assert not bench.plan().changes


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
def test_silently_wrong_sinks_keep_the_entry_of_another_registry(bench: Bench) -> None:
    sink = {"namespace": "team-shop", "name": "for-ci", "format": "config.json"}
    team = {**rotation_harness.PULL, "robots": {"pull": {"sinks": [sink]}, "ci": None}}
    bench.declare(team).onboard()
    put(bench, with_hub(bench, "for-ci"), "for-ci", "config.json")
    rotation_harness.run(bench, rotation_harness.order(bench, force=True))
    assert config(bench, "for-ci")["auths"][HUB] == FOREIGN
    assert not bench.plan().changes


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
def test_silently_wrong_renamed_registry_is_recognised_among_others(bench: Bench) -> None:
    """The robot's entry is found by its user name. The password is kept, the old entry is removed."""
    bench.declare({"name": "shop"}).onboard()
    held = with_hub(bench)
    entry = held["auths"].pop(host(bench))
    held["auths"]["former.example.com"] = entry
    put(bench, held)
    assert found(bench.plan())["kubernetes/Secret/team-shop/harbor-pull"] == {
        "registry": ("former.example.com", host(bench))
    }
    bench.onboard()
    assert config(bench)["auths"] == {host(bench): entry, HUB: FOREIGN}


LEGAL = {
    "only auth, as docker writes it": lambda user, word: {"auth": auth(user, word)},
    "only a user and a password": lambda user, word: {"username": user, "password": word},
    "with an e-mail address": lambda user, word: {"auth": auth(user, word), "email": "a@b"},
}


def auth(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


@pytest.mark.demand("reality", "declared state, messages: file, line, value, remedy; no class name")
@pytest.mark.parametrize("entry", LEGAL.values(), ids=LEGAL)
def test_message_none_for_a_secret_as_docker_writes_it(entry: Any, bench: Bench) -> None:
    bench.declare({"name": "shop"}).onboard()
    username, password = bench.login("harbor-pull")
    put(bench, {"auths": {host(bench): entry(username, password)}})
    assert not bench.plan().changes


@pytest.mark.demand("reality", "declared state, silently wrong: kept as written, or a fault")
@pytest.mark.parametrize("stale", ["username", "password"])
def test_silently_wrong_entry_that_contradicts_itself_is_written_without_a_new_password(
    stale: str, bench: Bench
) -> None:
    """Kubelets read `auth`, and other clients the user name and the password."""
    bench.declare({"name": "shop"}).onboard()
    before = config(bench)
    entry = {**before["auths"][host(bench)], stale: "stale"}
    put(bench, {"auths": {host(bench): entry}})
    name = before["auths"][host(bench)]["username"]
    assert found(bench.plan()) == {
        "kubernetes/Secret/team-shop/harbor-pull": {
            "username": (f"'auth' contradicts '{stale}'", name)
        }
    }
    bench.onboard()
    assert config(bench) == before
    assert not bench.plan().changes


@pytest.mark.demand("reality", "declared state, messages: file, line, value, remedy; no class name")
@pytest.mark.parametrize("address", ["https://{}", "https://{}/", "{}/"])
def test_message_none_for_a_host_as_kubelets_accept_it(address: str, bench: Bench) -> None:
    bench.declare({"name": "shop"}).onboard()
    held = config(bench)["auths"][host(bench)]
    put(bench, {"auths": {address.format(host(bench)): held}})
    assert not bench.plan().changes


BROKEN = {
    "auth that is not base64": {"auth": "%%%"},
    "auth without a password": {"auth": auth("robot$x", "")},
    "a stale auth before a good password": {"auth": auth("robot$team-shop+pull-a", "stale")},
    "a number": 7,
    "null": None,
    "a list for a user": {"username": ["x"], "password": {}},
}


@pytest.mark.demand(
    "reality", "declared state, crashes: a message with place and remedy instead of a traceback"
)
@pytest.mark.parametrize("entry", BROKEN.values(), ids=BROKEN)
def test_crash_none_for_an_entry_that_cannot_be_read(entry: Any, bench: Bench) -> None:
    bench.declare({"name": "shop"}).onboard()
    username, password = bench.login("harbor-pull")
    given = (
        {"username": username, "password": password, **entry} if isinstance(entry, dict) else entry
    )
    foreign: dict[str, Any] = {HUB: FOREIGN, "odd.example.com": {"auth": [7]}}
    put(bench, {"auths": {host(bench): given, **foreign}})
    bench.onboard()
    held = config(bench)["auths"]
    assert {name: held[name] for name in foreign} == foreign
    assert not bench.plan().changes


@pytest.mark.demand(
    "reality", "declared state, crashes: a message with place and remedy instead of a traceback"
)
@pytest.mark.parametrize(
    "text", ["[" * 5000 + "]" * 5000, "[]", "null", '{"auths": []}', "{}", "%"]
)
def test_crash_none_for_a_configuration_that_cannot_be_read(text: str, bench: Bench) -> None:
    sink = {"namespace": "team-shop", "name": "for-ci", "format": "config.json"}
    bench.declare({"name": "shop", "robots": {"pull": {"sinks": [sink]}}}).onboard()
    put(bench, text, "for-ci", "config.json")
    bench.onboard()
    assert config(bench, "for-ci")["auths"].keys() == {host(bench)}
    assert not bench.plan().changes
