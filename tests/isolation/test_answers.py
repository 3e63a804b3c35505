"""Unexpected answers of systems and proxies: a change that did not happen does not count as done.

tests/real/test_answers.py does the same with a real Keycloak and a real API server.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import pytest

from tenantry import calls, drift, onboarding
from tenantry.errors import InvalidResponse, SystemRefused, SystemUnavailable, TenantryError
from tenantry.systems.kubernetes import client as kubernetes_client
from tenantry.walk import observe_owners
from tests.support.harness import SHOP, Bench, FaultySandbox, connections
from tests.support.listener import Listener

pytestmark = pytest.mark.demand("isolation", "all of tests/isolation/test_answers.py")

LOGIN_PAGE = "<!DOCTYPE html><html><body><form action='/login'>Log in</form></body></html>"
LONG = pytest.mark.long
HTML = {"Content-Type": "text/html; charset=utf-8"}


class WrongAnswer(NamedTuple):
    """An answer that is not the one to the request."""

    status: int
    body: Any
    headers: dict[str, str]


WRONG_ANSWERS = {
    "a login page": WrongAnswer(200, LOGIN_PAGE, HTML),
    "a login page called JSON": WrongAnswer(200, LOGIN_PAGE, {}),
    "an empty object": WrongAnswer(200, {}, {}),
    "an empty object and 201": WrongAnswer(201, {}, {}),
    "an empty page and 202": WrongAnswer(202, "", HTML),
    "another object": WrongAnswer(200, {"kind": "Pod", "metadata": {"name": "x"}}, {}),
}
WRITES = {
    "create a group": ("keycloak", "POST", "*/groups"),
    "create a client": ("keycloak", "POST", "*/clients"),
    "add a member": ("keycloak", "PUT", "*/users/*/groups/*"),
    "create a project": ("harbor", "POST", "/api/v2.0/projects"),
    "add a group to a project": ("harbor", "POST", "*/members"),
    "create a robot": ("harbor", "POST", "/api/v2.0/robots"),
    "create a namespace": ("kubernetes", "PATCH", "/api/v1/namespaces/team-shop"),
    "create a Secret": ("kubernetes", "PATCH", "*/secrets/*"),
    "bind the members": ("kubernetes", "PATCH", "*/rolebindings/*"),
    "create a route": ("kubernetes", "PATCH", "*/virtualservices/*"),
}
RICH: dict[str, Any] = {
    **SHOP,
    "members": ["ann"],
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
    "routes": {"web": {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]}},
}


@pytest.fixture
def rich(bench: Bench) -> Bench:
    bench.sandbox.keycloak.add_user("platform", "ann")
    return bench.declare(RICH)


def inject(sandbox: FaultySandbox, wrong: WrongAnswer, write: str, times: int | None = None) -> Any:
    system, method, path = WRITES[write]
    return sandbox.controls.fail(
        wrong.status,
        system=system,  # type: ignore[arg-type]
        method=method,
        path=path,
        times=times,
        body=wrong.body,
        headers=wrong.headers,
    )


SAMPLE = [("a login page", write) for write in WRITES]
REST = [(wrong, write) for wrong in WRONG_ANSWERS for write in WRITES if wrong != "a login page"]


@pytest.mark.demand("isolation", "a write is done when its answer is the documented one")
@pytest.mark.parametrize(
    ("wrong", "write"),
    [*SAMPLE, *(pytest.param(*case, marks=LONG) for case in REST)],
)
def test_a_write_that_something_else_answers_is_not_done(
    rich: Bench, wrong: str, write: str
) -> None:
    """The team fails with a message, is not marked as applied, and the next run completes it."""
    fault = inject(rich.sandbox, WRONG_ANSWERS[wrong], write)

    with pytest.raises(TenantryError) as failed:
        rich.onboard()

    assert fault.injected
    assert isinstance(failed.value, SystemUnavailable), "the task is retried"
    assert "Traceback" not in str(failed.value)
    rich.sandbox.controls.clear()
    with rich.process() as systems:
        assert systems.not_applied(rich.teams) == rich.teams
        assert onboarding.onboard(systems, rich.team()).error is None
        assert systems.plan(rich.team(), observe_owners(systems.team_adapters, rich.teams)).is_empty


def test_an_empty_answer_of_something_else_is_not_harbors(rich: Bench) -> None:
    """Harbor answers most writes with 200 and an empty body."""
    rich.onboard()
    rich.declare({**RICH, "harbor": {"storage_quota": "7Gi"}})
    rich.sandbox.controls.fail(200, system="harbor", method="PUT", times=None, body="")

    with pytest.raises(SystemUnavailable, match="X-Request-Id"):
        rich.onboard()

    rich.sandbox.controls.clear()
    rich.declare({**RICH, "harbor": {"storage_quota": "7Gi"}})
    assert rich.plan().changes
    rich.onboard()
    assert rich.plan().is_empty


@pytest.mark.demand("isolation", "a write is done when its answer is the documented one")
def test_a_deletion_that_something_else_answers_is_not_done(rich: Bench) -> None:
    rich.onboard()
    rich.declare({**RICH, "routes": {}})
    rich.sandbox.controls.fail(
        200, system="kubernetes", method="DELETE", times=None, body=LOGIN_PAGE, headers=HTML
    )

    with pytest.raises(SystemUnavailable):
        rich.onboard()

    assert rich.sandbox.kubernetes.get("VirtualService", "web", "team-shop")
    rich.sandbox.controls.clear()
    rich.declare({**RICH, "routes": {}}).onboard()
    assert rich.sandbox.kubernetes.get("VirtualService", "web", "team-shop") is None


@pytest.mark.parametrize(
    ("system", "path"),
    [
        ("harbor", "/api/v2.0/projects/*"),
        ("harbor", "/api/v2.0/robots"),
        ("keycloak", "/admin/realms/*"),
        ("kubernetes", "/api/v1/namespaces/*"),
    ],
)
def test_a_page_that_says_404_does_not_mean_that_something_is_missing(
    rich: Bench, system: Any, path: str
) -> None:
    """A proxy without a backend answers 404. Existing resources are not created or reported missing."""
    rich.onboard()
    rich.sandbox.controls.fail(
        404, system=system, method="GET", path=path, times=None, body=LOGIN_PAGE, headers=HTML
    )
    before = len(rich.sandbox.requests.log)

    with rich.process(extras=True) as systems:
        seen = drift.observe(systems, rich.teams, drift.SYSTEMS)
        report = drift.detect(systems, rich.teams, seen, drift.SYSTEMS).report

    assert {finding.class_ for finding in report.findings} == {"unreadable"}
    assert any("proxy" in finding.detail for finding in report.findings)
    sent = rich.sandbox.requests.log[before:]
    assert {
        request.method
        for request in sent
        if "token" not in request.target and "/c/" not in request.target
    } <= {"GET"}


# Redirects

REDIRECTS = (302, 307, *(pytest.param(status, marks=LONG) for status in (301, 303, 308)))


@pytest.fixture
def elsewhere() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


def redirect(
    sandbox: FaultySandbox, to: Listener, status: int, system: Any, path: str = "*"
) -> None:
    sandbox.controls.fail(
        status, system=system, path=path, times=None, headers={"Location": f"{to.url}/elsewhere"}
    )


@pytest.mark.demand("isolation", "no credential follows a redirect to another host")
@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize(
    ("system", "path"),
    [
        ("keycloak", "*/token"),
        ("keycloak", "/admin/*"),
        ("harbor", "*"),
        ("harbor", "/c/login"),
        ("harbor", "/api/*"),
        ("harbor", "/service/token"),
        ("kubernetes", "*"),
    ],
)
def test_no_credential_follows_a_redirect_to_another_host(
    rich: Bench, elsewhere: Listener, system: Any, path: str, status: int
) -> None:
    redirect(rich.sandbox, elsewhere, status, system, path)

    error: TenantryError | None = None
    try:
        with rich.process() as systems:
            systems.check()
            onboarding.onboard(systems, rich.team())
    except TenantryError as failed:
        error = failed

    assert elsewhere.requests == []
    if path != "/c/login":  # without a session, Harbor is called with basic auth
        assert error is not None
        assert elsewhere.host in str(error)
        assert "sends credentials to no other" in str(error)


@pytest.mark.demand("isolation", "no credential follows a redirect to another host")
def test_a_password_in_the_body_stays_where_it_is(rich: Bench, elsewhere: Listener) -> None:
    """A client that follows a 307 would send the request again with its body, the password."""
    redirect(rich.sandbox, elsewhere, 307, "keycloak", "*/token")

    with pytest.raises(SystemRefused) as refused, rich.process() as systems:
        systems.keycloak_client.log_in()

    assert elsewhere.requests == []
    password = connections(rich.sandbox).keycloak.password.get_secret_value()
    assert password not in str(refused.value)
    assert "Correct the address in the Keycloak connection" in str(refused.value)


# Long lists


@pytest.fixture
def short_pages() -> Iterator[None]:
    with mock.patch.object(kubernetes_client, "_PAGE", 2):
        yield


EXPIRED = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "reason": "Expired",
    "code": 410,
    "message": "The provided continue parameter is too old to display a consistent list result.",
}


def create_namespaces(bench: Bench) -> set[str]:
    for number in range(5):
        metadata = {"name": f"namespace-{number}"}
        bench.sandbox.kubernetes.put(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        )
    with bench.process() as systems:
        return {row["metadata"]["name"] for row in systems.home_cluster.list("Namespace")}


@pytest.mark.demand("isolation", "410 on a continue token restarts the list, within bounds")
@pytest.mark.usefixtures("short_pages")
def test_a_list_whose_continue_token_is_too_old_is_read_from_its_start(rich: Bench) -> None:
    names = create_namespaces(rich)
    rich.sandbox.controls.fail(410, path="/api/v1/namespaces", at=3, body=EXPIRED)

    with rich.process() as systems:
        found = list(systems.home_cluster.list("Namespace"))

    assert sorted(row["metadata"]["name"] for row in found) == sorted(names), "each one once"


@pytest.mark.demand("isolation", "410 on a continue token restarts the list, within bounds")
@pytest.mark.usefixtures("short_pages")
def test_a_list_that_always_changes_ends(rich: Bench) -> None:
    create_namespaces(rich)

    def expired(system: str, method: str, path: str) -> int | None:
        return 410 if path == "/api/v1/namespaces" and next(turns) % 2 else None

    turns = iter(range(1000))
    rich.sandbox.fault_for = expired
    with (
        pytest.raises(SystemUnavailable, match="changed faster than it could be read"),
        rich.process() as systems,
    ):
        list(systems.home_cluster.list("Namespace"))

    assert next(turns) == 2 * 3


@pytest.mark.demand("isolation", "410 on a continue token restarts the list, within bounds")
def test_410_on_a_first_page_is_a_refusal(rich: Bench) -> None:
    rich.sandbox.controls.fail(410, path="/api/v1/namespaces", times=None, body=EXPIRED)
    with pytest.raises(SystemRefused), rich.process() as systems:
        list(systems.home_cluster.list("Namespace"))


@pytest.mark.parametrize("answer", [{}, {"metadata": {}}, {"kind": "Status", "metadata": {}}])
def test_an_object_that_is_not_a_list_is_not_an_empty_one(rich: Bench, answer: Any) -> None:
    rich.sandbox.controls.fail(200, path="/api/v1/namespaces", times=None, body=answer)
    with pytest.raises(InvalidResponse), rich.process() as systems:
        list(systems.home_cluster.list("Namespace"))


# Waiting


def failing(*waits: float | None) -> tuple[Callable[[], None], list[float | None]]:
    """Return a function that fails with these Retry-After values, and the list of its calls.

    The last value repeats.
    """
    made: list[float | None] = []

    def call() -> None:
        made.append(waits[min(len(made), len(waits) - 1)])
        raise SystemUnavailable("harbor", "GET /x", "busy", status=503, retry_after=made[-1])

    return call, made


@pytest.mark.demand("isolation", "Retry-After is bounded")
@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("waits", "calls_made"),
    [((None,), 4), ((0.0,), 4), ((3600.0,), 1), ((31.0,), 1), ((20.0,), 2), ((10.0, 25.0), 2)],
)
def test_a_read_waits_thirty_seconds_in_all_at_most(
    waits: tuple[float | None, ...], calls_made: int
) -> None:
    call, made = failing(*waits)

    with pytest.raises(SystemUnavailable):
        calls.retry_read(call)

    assert len(made) == calls_made


@pytest.mark.usefixtures("no_waiting")
def test_the_log_says_what_is_waited_for_and_what_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tenantry")
    call, _ = failing(10.0, 3600.0)

    with pytest.raises(SystemUnavailable):
        calls.retry_read(call)

    waited, given_up = (record.getMessage() for record in caplog.records)
    assert waited.startswith("Harbor: GET /x answered 503: busy. The call is repeated in ")
    assert "asks to wait 3600 s" in given_up


@pytest.mark.demand("isolation", "Retry-After is bounded")
@pytest.mark.parametrize("system", ["harbor", "keycloak", "kubernetes"])
def test_a_system_that_asks_for_an_hour_holds_up_no_run(rich: Bench, system: Any) -> None:
    """Earlier, each read waited 90 seconds, and a login to Keycloak waited for an hour."""
    rich.sandbox.controls.fail(
        429, system=system, times=None, body={}, headers={"Retry-After": "3600"}
    )
    with rich.process(extras=True) as systems:
        began = len(rich.sandbox.requests.log)
        with pytest.raises(SystemUnavailable) as failed:
            systems.check()
        sent = rich.sandbox.requests.log[began:]
    assert failed.value.status == 429
    # python-keycloak hides the headers of a rejected login.
    maximum = 4 if system == "keycloak" else 1
    assert len([request for request in sent if request.system == system]) <= maximum
