"""Fixtures for tests on real servers: those given by `tests.support.addresses`, or ones started once."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.real.servers import prerequisites
from tests.real.servers.apiserver import RealKubernetes
from tests.real.servers.cache import quiet
from tests.real.servers.given import members_role_kept, ready
from tests.real.servers.istioctl import Istioctl
from tests.real.servers.keycloak_server import ROTATION, RealKeycloak
from tests.real.servers.processes import ServerError
from tests.support.addresses import GivenHarbor, given

Server = TypeVar("Server")


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes API server that the tests may change freely."""

    kubeconfig: Path


@dataclass(frozen=True)
class Keycloak:
    """A Keycloak that the tests may change freely."""

    url: str
    username: str
    password: str
    verify: bool | str = True


def pytest_configure() -> None:
    """Reject an invalid variable before any server starts."""
    given()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests of a given system in one worker, which restores the system in the end."""
    for item in items:
        used: list[str] = getattr(item, "fixturenames", [])
        if (given().harbor and "given_harbor" in used) or (
            given().kubeconfig and "given_cluster" in used
        ):
            item.add_marker(pytest.mark.xdist_group("prefect"))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch and build the servers before the first test, outside the time limit of a test."""
    used = _used_fixtures(session)
    wanted = _wanted(session) | {
        "rotation": "real_keycloak_with_rotation" in used,
        "mesh": "real_istioctl" in used,
    }
    wanted["keycloak"] |= "real_keycloak_under_auth" in used
    if session.config.option.collectonly or not any(wanted.values()):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    progress: Callable[[str], None] = quiet if reporter is None else reporter.write_line
    # If this fails, the fixtures fail with the same message, and all other tests still run.
    try:
        prerequisites.prepare(**wanted, progress=progress)
    except ServerError as error:
        progress(str(error))


@pytest.fixture(scope="session")
def given_harbor() -> Iterator[GivenHarbor | None]:
    """Yield the Harbor with the given address, ready for teams; None without an address."""
    harbor = given().harbor
    if harbor is None:
        yield None
        return
    with _or_failing(ready(harbor)):
        yield harbor


@pytest.fixture(scope="session")
def given_cluster() -> Iterator[Cluster | None]:
    """Yield the cluster of the given kubeconfig; None without a kubeconfig."""
    kubeconfig = given().kubeconfig
    if kubeconfig is None:
        yield None
        return
    with members_role_kept(kubeconfig):
        yield Cluster(kubeconfig)


@pytest.fixture(scope="session")
def real_kubernetes(given_cluster: Cluster | None, _starting: dict[str, Future[Any]]) -> Cluster:
    """Return a Kubernetes API server with RBAC, quotas, and the CRDs of Istio and the Gateway API."""
    return given_cluster or Cluster(_or_fail(_starting["kubernetes"].result).kubeconfig)


@pytest.fixture(scope="session")
def real_keycloak(_starting: dict[str, Future[Any]]) -> Keycloak:
    """Return a Keycloak; one started here has only the realm `master`."""
    account = given().keycloak
    if account:
        password = account.password.get_secret_value()
        return Keycloak(account.url, account.username, password, account.verify)
    server = _or_fail(_starting["keycloak"].result)
    return Keycloak(server.url, server.username, server.password)


@pytest.fixture
def real_keycloak_under_auth() -> Iterator[Keycloak]:
    """Yield a dedicated Keycloak below the path /auth, the default before version 17."""

    def start() -> RealKeycloak:
        prerequisites.check(kubernetes=False, skopeo=False)
        return RealKeycloak(relative_path="/auth")

    with _or_fail(start) as server:
        yield Keycloak(server.url, server.username, server.password)


@pytest.fixture
def real_keycloak_with_rotation() -> Iterator[Keycloak]:
    """Yield a dedicated Keycloak with the client policy executor `secret-rotation`."""

    def start() -> RealKeycloak:
        prerequisites.check(kubernetes=False, skopeo=False)
        return RealKeycloak(features=ROTATION)

    with _or_fail(start) as server:
        yield Keycloak(server.url, server.username, server.password)


@pytest.fixture(scope="session")
def real_istioctl() -> Istioctl:
    """Return the `istioctl` that checks mesh configuration."""

    def build() -> Istioctl:
        prerequisites.check(keycloak=False, skopeo=False)
        return Istioctl()

    return _or_fail(build)


@pytest.fixture(scope="session")
def _starting(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Any]]]:
    """Yield the servers that the tests of this session use, by name, all starting concurrently."""
    wanted = _wanted(request.session)
    kinds: dict[str, Callable[[], Any]] = {"kubernetes": RealKubernetes, "keycloak": RealKeycloak}
    with ThreadPoolExecutor(len(kinds)) as pool:

        def start(name: str) -> Any:
            prerequisites.check(**{each: each == name for each in kinds}, skopeo=False)
            return kinds[name]()

        futures = {name: pool.submit(start, name) for name in kinds if wanted[name]}
        try:
            yield futures
        finally:
            for future in futures.values():
                if future.exception() is None:
                    future.result().stop()


def _or_fail(start: Callable[[], Server]) -> Server:
    """Return the started server, or fail the test with the error message and no traceback."""
    try:
        return start()
    except ServerError as error:
        message = str(error)
    pytest.fail(message, pytrace=False)


@contextmanager
def _or_failing(context: AbstractContextManager[None]) -> Iterator[None]:
    """Enter a context, and fail the test with the error message and no traceback."""
    _or_fail(context.__enter__)
    try:
        yield
    finally:
        _or_fail(lambda: context.__exit__(None, None, None))


def _wanted(session: pytest.Session) -> dict[str, bool]:
    """Return for each server whether a selected test needs it."""
    used = _used_fixtures(session)
    return {
        "kubernetes": "real_kubernetes" in used and given().kubeconfig is None,
        "keycloak": "real_keycloak" in used and given().keycloak is None,
    }


def _used_fixtures(session: pytest.Session) -> set[str]:
    return {name for item in session.items for name in getattr(item, "fixturenames", ())}
