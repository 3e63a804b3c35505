"""Where the cases run: on the sandbox, with `--target real` on the real servers, or on both.

A case asserts nothing but what a client sees, takes no server for empty, and leaves nothing behind.
It says how far it is confirmed, by exactly one marker:

- `confirmed("keycloak 26.7.3")`: it passed on this real server,
- `facts`: it holds what was recorded of a real server that is not at hand.

A system whose address is given (`tests.support.addresses`) is used whatever the target, unless each case
runs on both (`--target both`). No real Harbor can be started: without its address its cases run on the
sandbox only.
"""

import itertools
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from keycloak import KeycloakAdmin
from kubernetes import client, config

from tenantry.connections import HarborAccount
from tenantry.sandbox import Sandbox
from tests.conformance import recorder
from tests.conformance.harbor import HarborCaller
from tests.real.fixtures import Cluster as RealCluster
from tests.real.fixtures import Keycloak as RealKeycloak
from tests.real.servers.given import remove_from_harbor
from tests.sandbox.calls import CLIENT
from tests.support.addresses import given
from tests.support.demands import mark_folder

HERE = Path(__file__).parent
# In the name of all that this session makes.
MARK = uuid.uuid4().hex[:8]
_numbers = itertools.count()
# What the real servers' fixtures are called.
REAL = {"keycloak": "real_keycloak", "cluster": "real_kubernetes"}
CONFIRMED, FACTS = "confirmed", "facts"
SYSTEMS = {"harbor": "Harbor", "keycloak": "Keycloak", "kubernetes": "Kubernetes"}
PLACES = {"sandbox": "the sandbox", "real": "the real server"}
# By default a password costs a second of processor time, and a realm the making of long keys.
QUICK: dict[str, Any] = {
    "passwordPolicy": "hashAlgorithm(pbkdf2-sha256) and hashIterations(1)",
    "components": {
        "org.keycloak.keys.KeyProvider": [
            {"name": name, "providerId": name, "config": {key: [value]}}
            for name, key, value in (
                ("rsa-generated", "keySize", "2048"),
                ("hmac-generated", "algorithm", "HS512"),
                ("aes-generated", "secretSize", "16"),
            )
        ]
    },
}


@dataclass(frozen=True)
class Keycloak:
    """A Keycloak, and a realm of one's own in it."""

    url: str
    username: str
    password: str
    realm: str
    verify: bool | str = True


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes API server, and a namespace of one's own in it."""

    kubeconfig: Path
    namespace: str


@dataclass(frozen=True)
class Harbor:
    """A Harbor and its administrator."""

    url: str
    username: str
    password: str


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """With `--target both`, run a case on the sandbox and on the real server, if there is one."""
    if metafunc.config.getoption("--target") == "both":
        used = metafunc.fixturenames
        has_real = any(name in used for name in REAL) or (given().harbor and "harbor" in used)
        places = list(PLACES) if has_real else ["sandbox"]
        metafunc.parametrize("place", places, indirect=True, scope="session")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a case with what all cases prove on the sandbox, and on the real servers."""
    place = _place(item)
    system = item.path.stem.split("_")[1]
    if place == "sandbox":
        mark_folder(item, "real", "all of tests/conformance and tests/sandbox, on the sandbox")
    if place == "real":
        mark_folder(item, "real", "all of tests/conformance and tests/real, on the real servers")
    if place and system in SYSTEMS:
        where = f"{SYSTEMS[system]}: every case passes on {PLACES[place]}"
        mark_folder(item, "real", where)
    for mark in item.iter_markers(CONFIRMED):
        if place == "real":
            mark_folder(item, "real", f"cases confirmed on {mark.args[0]}")
    for _ in item.iter_markers(FACTS):
        if place == "sandbox":
            mark_folder(item, "real", "cases confirmed by facts only")
    if system == "harbor" and place == "sandbox":
        mark_folder(item, "reality", "each Harbor case gives the recorded answers on the sandbox")
    if system == "harbor" and place == "real":
        mark_folder(item, "reality", "each Harbor case on the given Harbor")
    if item.path.stem == "test_declared_values" and place == "sandbox":
        mark_folder(item, "reality", "the systems give the same verdicts on declared values")


def _place(item: pytest.Item) -> str:
    """Return where a case runs with `--target both`, or an empty text."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("place", "")) if callspec else ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    cases = [item for item in items if HERE in item.path.parents]
    for case in cases:
        said = [mark for mark in case.iter_markers() if mark.name in (CONFIRMED, FACTS)]
        if len(said) != 1:
            message = f"{case.nodeid}: say how far it is confirmed, by one of the two markers"
            raise pytest.UsageError(message)
        [mark] = said
        case.user_properties.append((CONFIRMED, mark.args[0] if mark.args else FACTS))
        place = _place(case)
        if config.getoption("--target") == "real" or place == "real":
            case.add_marker("real")
        names: list[str] = getattr(case, "fixturenames", [])
        # Named here, the real servers are fetched and built before the first test.
        names += [
            real for name, real in REAL.items() if name in names and _on_real(config, name, place)
        ]


def _on_real(config: pytest.Config, system: str, place: str) -> bool:
    if place:
        return place == "real"
    is_given = {"keycloak": given().keycloak, "cluster": given().kubeconfig}
    return bool(config.getoption("--target") == "real" or is_given[system])


def unique(prefix: str) -> str:
    """A name that nothing else has; what bears it in Harbor is removed in the end."""
    return f"{prefix}-{MARK}{next(_numbers):03x}"


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> str:
    """Return where the case runs with `--target both`: sandbox, or real; otherwise an empty text."""
    return getattr(request, "param", "")


@pytest.fixture(scope="session")
def simulated() -> Iterator[Sandbox]:
    with Sandbox() as running:
        running.harbor.login_delay = 0.1
        yield running


# Keycloak


@pytest.fixture
def keycloak(request: pytest.FixtureRequest, place: str) -> Keycloak:
    """A Keycloak, and the name of a realm that `admin` makes and removes."""
    realm = unique("conformance")
    if _on_real(request.config, "keycloak", place):
        real: RealKeycloak = request.getfixturevalue(REAL["keycloak"])
        return Keycloak(real.url, real.username, real.password, realm, real.verify)
    url = request.getfixturevalue("simulated").keycloak.url
    return Keycloak(url, "admin", "admin", realm)


@pytest.fixture
def admin(keycloak: Keycloak) -> Iterator[KeycloakAdmin]:
    """An administrator, in a realm with nothing in it."""
    admin = KeycloakAdmin(
        # Without the slash at its end, python-keycloak drops the path.
        server_url=f"{keycloak.url}/",
        username=keycloak.username,
        password=keycloak.password,
        realm_name="master",
        user_realm_name="master",
        verify=keycloak.verify,
        max_retries=0,
    )
    admin.create_realm({"realm": keycloak.realm, "enabled": True, **QUICK})
    admin.change_current_realm(keycloak.realm)
    yield admin
    admin.delete_realm(keycloak.realm)


# Kubernetes


@pytest.fixture
def cluster(request: pytest.FixtureRequest, place: str) -> Iterator[Cluster]:
    if _on_real(request.config, "cluster", place):
        real: RealCluster = request.getfixturevalue(REAL["cluster"])
        kubeconfig = real.kubeconfig
    else:
        sandbox = request.getfixturevalue("simulated")
        kubeconfig = Path(sandbox.addresses()["kubernetes"]["kubeconfig"])
    name = unique("conformance")
    with _connected(kubeconfig) as api:
        core: Any = client.CoreV1Api(api)
        core.create_namespace({"metadata": {"name": name}})
        yield Cluster(kubeconfig, name)
        with suppress(client.ApiException):
            core.delete_namespace(name)


@pytest.fixture
def api(cluster: Cluster) -> Iterator[client.ApiClient]:
    with _connected(cluster.kubeconfig) as api:
        yield api


# Untyped, because the client's types know no dictionaries as bodies.
@pytest.fixture
def core(api: client.ApiClient) -> Any:
    return client.CoreV1Api(api)


@pytest.fixture
def team(cluster: Cluster) -> str:
    """The name of the namespace."""
    return cluster.namespace


def _connected(kubeconfig: Path) -> Any:
    load: Any = config.new_client_from_config
    return load(str(kubeconfig))


# Harbor


@pytest.fixture(scope="session")
def harbor(
    request: pytest.FixtureRequest, given_harbor: HarborAccount | None, place: str
) -> Iterator[Harbor]:
    """The given Harbor, or the sandbox's; in the end without what the cases left there."""
    account = given_harbor
    if account is None or place == "sandbox":
        started = request.getfixturevalue("simulated").addresses()
        account = HarborAccount.model_validate(started["harbor"])
    yield Harbor(account.url, account.username, account.password.get_secret_value())
    remove_from_harbor(account, MARK)


@pytest.fixture(scope="session")
def recorded(
    request: pytest.FixtureRequest, harbor: Harbor, given_harbor: HarborAccount | None
) -> Iterator[dict[str, dict[str, list[str] | None]]]:
    """What the given Harbor answers, by module and case; written in the end if that is asked for."""
    found: dict[str, dict[str, list[str] | None]] = defaultdict(dict)
    yield found
    if request.config.getoption("--record"):
        assert given_harbor is not None, "--record needs a Harbor: give TENANTRY_TEST_HARBOR_URL"
        admin = HarborCaller(harbor.url, harbor.username, harbor.password)
        recorder.write(admin.json("/systeminfo")["harbor_version"], found)


@pytest.fixture(autouse=True)
def held_to_the_recordings(request: pytest.FixtureRequest, place: str) -> Iterator[None]:
    """Record the answers of a given Harbor, or hold the sandbox to those recorded."""
    if not request.module.__name__.rpartition(".")[2].startswith("test_harbor_"):
        yield
        return
    harbor: Harbor = request.getfixturevalue("harbor")
    found = request.getfixturevalue("recorded")
    module, case = request.module.__name__.rpartition(".")[2], request.node.name
    if place:
        name, _, parameters = case.removesuffix("]").partition("[")
        others = f"-{parameters}-".replace(f"-{place}-", "-", 1)[1:-1]
        case = f"{name}[{others}]" if others else name
    answers = recorder.Recorder(harbor.url, MARK)
    CLIENT.event_hooks = {"response": [answers]}
    yield
    CLIENT.event_hooks = {}
    unordered = request.node.get_closest_marker("unordered") is not None
    found[module][case] = None if answers.elsewhere or unordered else answers.exchanges
    is_given = place != "sandbox" and request.getfixturevalue("given_harbor") is not None
    recorded = recorder.read(module)
    held = recorded.get(case)
    if not is_given and case not in recorded and not unordered:
        pytest.fail("no Harbor was asked: record it (docs/testing.md)", pytrace=False)
    if not is_given and held is not None:
        unlike = recorder.differences(answers.exchanges, held)
        if unlike:
            pytest.fail("\n".join(unlike), pytrace=False)


@pytest.fixture
def caller(harbor: Harbor) -> Iterator[HarborCaller]:
    """Calls Harbor as its administrator, and removes in the end what it made."""
    caller = HarborCaller(harbor.url, harbor.username, harbor.password)
    yield caller
    CLIENT.event_hooks = {}  # what a case leaves behind is removed unrecorded
    caller.clean_up()


@pytest.fixture
def nobody(harbor: Harbor) -> HarborCaller:
    """Calls Harbor without credentials."""
    return HarborCaller(harbor.url)


@pytest.fixture
def project(caller: HarborCaller) -> str:
    """The name of a new private project."""
    name = unique("conformance")
    caller.made("/projects", {"project_name": name})
    return name
