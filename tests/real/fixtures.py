"""Real servers for the tests that ask for them, started once a session.

TENANTRY_TEST_KUBECONFIG names a cluster to use instead of starting one; it must be one to spoil.
TENANTRY_TEST_KEYCLOAK_URL, _USERNAME and _PASSWORD do the same for a Keycloak.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.real.servers import prerequisites
from tests.real.servers.apiserver import RealKubernetes
from tests.real.servers.cache import quiet
from tests.real.servers.keycloak_server import PASSWORD, USERNAME, RealKeycloak
from tests.real.servers.processes import ServerError

_KUBECONFIG = "TENANTRY_TEST_KUBECONFIG"
_KEYCLOAK = "TENANTRY_TEST_KEYCLOAK"

Server = TypeVar("Server")


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes API server the tests may change at will."""

    kubeconfig: Path


@dataclass(frozen=True)
class Keycloak:
    """A Keycloak the tests may change at will."""

    url: str
    username: str
    password: str


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch and build before the first test: inside one, its time limit would count."""
    wanted = _wanted(session)
    wanted["keycloak"] |= "real_keycloak_under_auth" in _used_fixtures(session)
    if session.config.option.collectonly or not any(wanted.values()):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    progress: Callable[[str], None] = quiet if reporter is None else reporter.write_line
    # Where this fails, the fixtures fail with the same words, and all other tests still run.
    try:
        prerequisites.prepare(**wanted, progress=progress)
    except ServerError as error:
        progress(str(error))


@pytest.fixture(scope="session")
def real_kubernetes(_starting: dict[str, Future[Any]]) -> Cluster:
    """A Kubernetes API server with RBAC, quotas, Istio's and the Gateway API's definitions."""
    if os.environ.get(_KUBECONFIG):
        return Cluster(Path(os.environ[_KUBECONFIG]).expanduser())
    return Cluster(_or_fail(_starting["kubernetes"].result).kubeconfig)


@pytest.fixture(scope="session")
def real_keycloak(_starting: dict[str, Future[Any]]) -> Keycloak:
    """A Keycloak with nothing but its realm master."""
    if os.environ.get(f"{_KEYCLOAK}_URL"):
        return Keycloak(
            os.environ[f"{_KEYCLOAK}_URL"].rstrip("/"),
            os.environ.get(f"{_KEYCLOAK}_USERNAME", USERNAME),
            os.environ.get(f"{_KEYCLOAK}_PASSWORD", PASSWORD),
        )
    server = _or_fail(_starting["keycloak"].result)
    return Keycloak(server.url, server.username, server.password)


@pytest.fixture
def real_keycloak_under_auth() -> Iterator[Keycloak]:
    """A Keycloak of one's own whose addresses start with /auth, as all did before version 17."""

    def start() -> RealKeycloak:
        prerequisites.check(kubernetes=False)
        return RealKeycloak(relative_path="/auth")

    with _or_fail(start) as server:
        yield Keycloak(server.url, server.username, server.password)


@pytest.fixture(scope="session")
def _starting(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Any]]]:
    """The servers that some test of this session asks for, all starting at once."""
    wanted = _wanted(request.session)
    kinds: dict[str, Callable[[], Any]] = {"kubernetes": RealKubernetes, "keycloak": RealKeycloak}
    with ThreadPoolExecutor(len(kinds)) as pool:

        def start(name: str) -> Any:
            prerequisites.check(**{each: each == name for each in kinds})
            return kinds[name]()

        futures = {name: pool.submit(start, name) for name in kinds if wanted[name]}
        try:
            yield futures
        finally:
            for future in futures.values():
                if future.exception() is None:
                    future.result().stop()


def _or_fail(start: Callable[[], Server]) -> Server:
    """Return the server, or fail with nothing but the words of its error."""
    try:
        return start()
    except ServerError as error:
        words = str(error)
    pytest.fail(words, pytrace=False)


def _wanted(session: pytest.Session) -> dict[str, bool]:
    """Tell which servers have to be started for the tests that were selected."""
    used = _used_fixtures(session)
    return {
        "kubernetes": "real_kubernetes" in used and not os.environ.get(_KUBECONFIG),
        "keycloak": "real_keycloak" in used and not os.environ.get(f"{_KEYCLOAK}_URL"),
    }


def _used_fixtures(session: pytest.Session) -> set[str]:
    return {name for item in session.items for name in getattr(item, "fixturenames", ())}
