"""A running sandbox; its Harbor starts anew for each test."""

from collections.abc import Iterator

import httpx
import pytest

from tenantry.sandbox import Controls, Sandbox
from tenantry.sandbox.harbor import ADMIN, ADMIN_PASSWORD, SimulatedHarbor
from tests.sandbox.calls import Caller
from tests.support.demands import mark_folder


def pytest_itemcollected(item: pytest.Item) -> None:
    mark_folder(item, "real", "all of tests/conformance and tests/sandbox, on the sandbox")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def harbor(sandbox: Sandbox) -> Iterator[SimulatedHarbor]:
    """The simulated Harbor, as new."""
    simulated = sandbox.harbor
    pristine = simulated.dump()
    delay, simulated.login_delay = simulated.login_delay, 0.1
    simulated.issued_secrets.clear()
    sandbox.requests.reset()
    yield simulated
    simulated.login_delay = delay
    simulated.load(pristine)


@pytest.fixture
def url(sandbox: Sandbox, harbor: SimulatedHarbor) -> str:
    return sandbox.addresses()["harbor"]["url"]


@pytest.fixture
def admin(url: str) -> Caller:
    """Calls with the admin's basic auth."""
    return Caller(url, ADMIN, ADMIN_PASSWORD)


@pytest.fixture
def nobody(url: str) -> Caller:
    """Calls without credentials."""
    return Caller(url)


@pytest.fixture
def demo(admin: Caller) -> int:
    """The id of a private project team-demo."""
    return admin.made("/projects", {"project_name": "team-demo"})


@pytest.fixture
def controls(sandbox: Sandbox, harbor: SimulatedHarbor) -> Iterator[Controls]:
    yield sandbox.controls
    sandbox.controls.clear()


@pytest.fixture
def control(sandbox: Sandbox, controls: Controls) -> httpx.Client:
    """Calls the controls' server."""
    return httpx.Client(base_url=sandbox.addresses()["controls"]["url"])
