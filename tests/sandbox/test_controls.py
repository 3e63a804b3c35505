"""What can be made to go wrong with the simulated systems, as a client sees it."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tenantry.sandbox import Clock, Controls, RequestCounter, Sandbox
from tenantry.sandbox.counting import Answered, Counted
from tenantry.sandbox.faults import FaultName, SystemName
from tenantry.sandbox.harbor import SimulatedHarbor
from tenantry.sandbox.harbor.routing import routes
from tenantry.sandbox.keycloak import SimulatedKeycloak
from tenantry.sandbox.realistic import CALL, COSTS, PASSWORD, ROBOT, Charge, Cost, Costs
from tests.sandbox.calls import API, CLIENT, Caller

ADMIN = ("admin", "Harbor12345")
PROJECTS = f"{API}/projects"
TEAM = {"project_name": "team-demo"}


def wait_for(happened: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def statuses(controls: Controls) -> list[tuple[int, str]]:
    return [(request.status, request.fault) for request in controls.requests.log]


# The fault of a request


@pytest.mark.demand("real", "Controls: fault: a status")
def test_a_status_comes_with_body_and_headers_and_nothing_is_done(
    controls: Controls, admin: Caller, harbor: SimulatedHarbor
) -> None:
    controls.fail(503, body="busy", headers={"Retry-After": "7", "Content-Type": "text/plain"})

    answer = admin("POST", "/projects", json=TEAM)

    assert (answer.status_code, answer.text) == (503, "busy")
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["content-type"] == "text/plain"
    assert "team-demo" not in harbor.projects
    assert controls.requests.log == [Answered("harbor", "POST", PROJECTS, 503, "503")]
    assert admin("POST", "/projects", json=TEAM).status_code == 201


@pytest.mark.demand("real", "Controls: fault: a status")
def test_a_status_may_have_a_json_body_or_none(controls: Controls, nobody: Caller) -> None:
    controls.fail(500, body={"errors": []})
    controls.fail(502)
    controls.fail(204)

    assert nobody("GET", "/ping").json() == {"errors": []}
    assert nobody("GET", "/ping").json() == {}
    assert nobody("GET", "/ping").content == b""


@pytest.mark.demand("real", "Controls: fault: reset")
def test_a_reset_comes_before_anything_is_done(
    controls: Controls, admin: Caller, harbor: SimulatedHarbor
) -> None:
    controls.fail("reset")

    with pytest.raises(httpx.ReadError, match="reset"):
        admin("POST", "/projects", json=TEAM)

    assert "team-demo" not in harbor.projects
    assert statuses(controls) == [(0, "reset")]
    assert admin("POST", "/projects", json=TEAM).status_code == 201


@pytest.mark.demand("real", "Controls: fault: answer lost after the work")
def test_a_lost_answer_is_one_whose_work_was_done(
    controls: Controls, admin: Caller, harbor: SimulatedHarbor
) -> None:
    controls.fail("lost")

    with pytest.raises(httpx.ReadError, match="reset"):
        admin("POST", "/projects", json=TEAM)

    assert "team-demo" in harbor.projects
    assert statuses(controls) == [(201, "lost")]
    assert admin("POST", "/projects", json=TEAM).status_code == 409


@pytest.mark.demand("real", "Controls: fault: time-out")
def test_a_time_out_lasts_as_long_as_the_client_waits(
    controls: Controls, admin: Caller, harbor: SimulatedHarbor
) -> None:
    controls.fail("timeout")

    with pytest.raises(httpx.ReadTimeout):
        admin("POST", "/projects", json=TEAM, timeout=0.05)

    wait_for(controls.requests.total)
    wait_for(lambda: not controls._held)
    assert statuses(controls) == [(0, "timeout")]
    assert "team-demo" not in harbor.projects


@pytest.mark.demand("real", "Controls: fault: time-out")
@pytest.mark.parametrize("end", [Controls.release, Controls.clear_faults])
def test_a_time_out_can_be_ended(controls: Controls, url: str, end: Any) -> None:
    controls.fail("timeout")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(httpx.get, f"{url}{API}/ping", timeout=30)
        wait_for(lambda: controls._held)
        end(controls)
        with pytest.raises(httpx.ReadError):
            waiting.result()


def test_a_sandbox_ends_although_a_request_waits() -> None:
    running = Sandbox().__enter__()
    running.controls.fail("timeout")
    url = running.addresses()["harbor"]["url"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(httpx.get, f"{url}{API}/ping", timeout=30)
        wait_for(lambda: running.controls._held)
        running.__exit__(None, None, None)
        assert isinstance(waiting.exception(), httpx.ReadError)


@pytest.mark.demand("real", "Controls: fault: truncated body")
def test_a_truncated_body_looks_whole_and_is_no_json(controls: Controls, admin: Caller) -> None:
    controls.fail("truncated", times=2)

    answer = admin("GET", "/projects")
    assert answer.status_code == 200
    assert answer.headers["x-total-count"] == "1"
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert admin("POST", "/projects", json=TEAM).text == "{"

    assert statuses(controls) == [(200, "truncated"), (201, "truncated")]


@pytest.mark.demand("real", "Controls: fault: truncated body")
@pytest.mark.parametrize("path", ["/ping", "/users/current"])
def test_a_cut_body_ends_with_the_connection(controls: Controls, admin: Caller, path: str) -> None:
    controls.fail("cut")

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        admin("GET", path)

    assert statuses(controls) == [(200, "cut")]


@pytest.mark.demand("real", "Controls: fault: malformed body")
def test_a_page_of_html_comes_in_place_of_json(controls: Controls, admin: Caller) -> None:
    controls.fail("not-json")

    answer = admin("GET", "/projects")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert answer.text.startswith("<html>")
    assert statuses(controls) == [(200, "not-json")]


@pytest.mark.parametrize("fault", ["truncated", "cut", "not-json"])
def test_where_there_is_no_body_none_is_spoiled(
    controls: Controls, admin: Caller, fault: FaultName
) -> None:
    controls.fail(fault)

    answer = admin("HEAD", "/projects?project_name=library")

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("fault", [418, "reset", "lost", "truncated"])
def test_the_other_systems_fail_alike(sandbox: Sandbox, controls: Controls, fault: Any) -> None:
    addresses = sandbox.addresses()
    urls: dict[SystemName, str] = {
        "keycloak": addresses["keycloak"]["url"] + "/realms/platform",
        "kubernetes": addresses["kubernetes"]["url"] + "/version",
    }
    trusting = ssl.create_default_context(cafile=addresses["kubernetes"]["ca"])
    with httpx.Client(verify=trusting) as client:
        for system, url in urls.items():
            controls.fail(fault, system=system)
            if fault in ("reset", "lost"):
                # Python reports a reset of a TLS connection as its end.
                with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                    client.get(url)
            else:
                assert client.get(url).status_code == (418 if fault == 418 else 200)
            assert client.get(url).json()
    assert [f.injected for f in controls.faults] == [1, 1]


# Which requests


@pytest.mark.demand("real", "Controls: at the n-th request or by pattern")
def test_the_nth_matching_request_is_struck_and_as_many_as_asked(
    controls: Controls, nobody: Caller
) -> None:
    fault = controls.fail(500, path=f"{API}/ping", at=3, times=2)

    seen = []
    for _ in range(6):
        nobody("GET", "/health")
        seen.append(nobody("GET", "/ping").status_code)

    assert seen == [200, 200, 500, 500, 200, 200]
    assert controls.faults == [fault]
    assert (fault.matched, fault.injected) == (6, 2)


def test_a_fault_may_last(controls: Controls, nobody: Caller) -> None:
    fault = controls.fail(500, at=2, times=None)

    assert [nobody("GET", "/ping").status_code for _ in range(4)] == [200, 500, 500, 500]
    assert fault.injected == 3


def test_the_oldest_of_several_strikes(controls: Controls, nobody: Caller) -> None:
    controls.fail(500)
    controls.fail(502)

    assert [nobody("GET", "/ping").status_code for _ in range(3)] == [500, 502, 200]


@pytest.mark.demand("real", "Controls: at the n-th request or by pattern")
@pytest.mark.parametrize(
    ("which", "struck"),
    [
        ({}, True),
        ({"system": "harbor"}, True),
        ({"system": "keycloak"}, False),
        ({"method": "get"}, True),
        ({"method": "POST"}, False),
        ({"path": f"{API}/projects/library/members"}, True),
        ({"path": f"{API}/projects/{{project}}/members"}, True),
        ({"path": "*/members"}, True),
        ({"path": f"{API}/projects/?ibrary/*"}, True),
        ({"path": f"{API}/projects"}, False),
    ],
)
def test_system_method_and_path_say_which(
    controls: Controls, admin: Caller, which: dict[str, Any], struck: bool
) -> None:
    fault = controls.fail(500, **which)

    admin("GET", "/projects/library/members?page=1")

    assert fault.injected == struck


def test_a_function_may_choose(controls: Controls, nobody: Caller) -> None:
    controls.choose = lambda system, method, path: 500 if path.endswith("/ping") else None

    assert nobody("GET", "/ping").status_code == 500
    assert nobody("GET", "/health").status_code == 200


def test_a_struck_request_is_counted_by_its_template(controls: Controls, admin: Caller) -> None:
    controls.fail(500)

    admin("GET", "/projects/library/members")

    assert controls.requests.counts() == {
        Counted("harbor", "GET", f"{API}/projects/{{project}}/members"): 1
    }


def test_all_can_be_taken_back(controls: Controls, nobody: Caller) -> None:
    controls.fail(500, times=None)
    controls.choose = lambda system, method, path: 500
    controls.delay(30)
    controls.clear()

    assert nobody("GET", "/ping").text == "Pong"
    assert controls.faults == []
    assert set(controls.latency.values()) == {0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"fault": "nonsense"},
        {"fault": 42},
        {"fault": 500, "system": "gitlab"},
        {"fault": 500, "at": 0},
        {"fault": 500, "times": 0},
        {"fault": "lost", "body": "x"},
    ],
)
def test_what_is_no_fault_is_refused(
    controls: Controls, control: httpx.Client, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="validation error"):
        controls.fail(**wrong)
    answer = control.post("/faults", json=wrong)
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert controls.faults == []


# Latency


@pytest.mark.demand("real", "Controls: added latency")
def test_latency_is_waited_before_anything_is_done() -> None:
    events: list[Any] = []

    async def sleep(seconds: float) -> None:
        events.append(seconds)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        events.append("work")
        await Response()(scope, receive, send)

    clock = Clock()
    controls = Controls(
        RequestCounter(), clock, SimulatedKeycloak(clock), SimulatedHarbor(clock), sleep
    )
    around = controls.wrap("harbor", app, lambda scope: scope["path"])

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(around)) as client:
            await client.get("http://harbor/")

    controls.delay(7, "keycloak")
    asyncio.run(ask())
    controls.delay(8)
    asyncio.run(ask())
    controls.delay(9, "harbor")
    asyncio.run(ask())

    assert events == ["work", 8, "work", 9, "work"]
    assert controls.latency == {"harbor": 9, "keycloak": 8, "kubernetes": 8}
    assert controls.requests.total() == 3


@pytest.mark.demand("real", "Controls: added latency")
def test_a_system_answers_with_latency_too(controls: Controls, nobody: Caller) -> None:
    controls.delay(0.01, "harbor")

    assert nobody("GET", "/ping").text == "Pong"


# Over HTTP


@pytest.mark.demand("real", "Controls: over HTTP, off the servers' own paths")
def test_requests_can_be_read_and_forgotten(control: httpx.Client, admin: Caller) -> None:
    admin("POST", "/projects", json=TEAM)
    for _ in range(2):
        admin("GET", "/projects/team-demo/members")

    assert control.get("/requests").json() == {
        "total": 3,
        "writes": 1,
        "requests": [
            {
                "system": "harbor",
                "method": "GET",
                "template": f"{API}/projects/{{project}}/members",
                "count": 2,
            },
            {"system": "harbor", "method": "POST", "template": PROJECTS, "count": 1},
        ],
    }
    assert control.delete("/requests").status_code == 204
    assert control.get("/requests").json() == {"total": 0, "writes": 0, "requests": []}


@pytest.mark.demand("real", "Controls: over HTTP, off the servers' own paths")
def test_faults_can_be_set_read_and_taken_back(control: httpx.Client, nobody: Caller) -> None:
    asked = {"fault": 429, "system": "harbor", "path": "*/ping", "times": None}
    asked["headers"] = {"retry-after": "1"}
    shown = {**asked, "method": None, "at": 1, "body": None, "matched": 0, "injected": 0}

    answer = control.post("/faults", json=asked)
    assert (answer.status_code, answer.json()) == (201, shown)
    assert nobody("GET", "/ping").headers["retry-after"] == "1"
    assert control.get("/faults").json() == [{**shown, "matched": 1, "injected": 1}]
    assert control.delete("/faults").status_code == 204
    assert nobody("GET", "/ping").status_code == 200
    assert control.get("/faults").json() == []


@pytest.mark.demand("real", "Controls: over HTTP, off the servers' own paths")
def test_latency_can_be_set(control: httpx.Client, controls: Controls) -> None:
    answer = control.put("/latency", json={"seconds": 0.5, "system": "keycloak"})
    assert answer.json() == {"harbor": 0, "keycloak": 0.5, "kubernetes": 0} == controls.latency
    assert set(control.put("/latency", json={"seconds": 0}).json().values()) == {0}
    assert control.put("/latency", json={"seconds": -1}).status_code == 422


@pytest.mark.demand("real", "Controls: a clock that can be moved")
@pytest.mark.demand("real", "Controls: over HTTP, off the servers' own paths")
def test_the_clock_can_be_moved_over_http(sandbox: Sandbox, control: httpx.Client) -> None:
    before = sandbox.clock.now()
    now = control.post("/clock", json={"move": 86_400}).json()["now"]
    assert control.post("/clock", json={"move": -86_400}).status_code == 200
    assert now[:10] > before.isoformat()[:10]
    assert control.post("/clock", content=b"{").status_code == 422


@pytest.mark.demand("real", "Controls: over HTTP, off the servers' own paths")
def test_the_controls_are_not_on_the_systems_paths(control: httpx.Client, nobody: Caller) -> None:
    answer = CLIENT.get(f"{nobody.url}/faults")
    assert answer.status_code == 404
    assert control.get("/requests").json()["total"] == 1


def test_the_controls_are_open_to_this_machine_only(sandbox: Sandbox) -> None:
    url = httpx.URL(sandbox.addresses()["controls"]["url"])
    assert url.host == "127.0.0.1"
    with socket.create_connection((url.host, url.port or 0)) as opened:
        assert opened.getpeername()[0] == "127.0.0.1"


# Realistic costs


@pytest.fixture(scope="module")
def real() -> Iterator[Sandbox]:
    with Sandbox(realistic=True) as running:
        yield running


@pytest.fixture
def charged(real: Sandbox) -> Any:
    assert real.costs
    real.costs.charged.clear()
    return real.costs.charged


@pytest.mark.demand("real", "Controls: realistic costs")
def test_a_call_in_a_session_costs_much_less_than_one_with_a_password(
    real: Sandbox, charged: Any
) -> None:
    url = real.addresses()["harbor"]["url"]
    shown = CLIENT.get(f"{url}/c/login", headers={"cookie": "sid=x"})
    cookie = shown.headers.get_list("set-cookie")[-1].partition(";")[0]
    assert cookie.startswith("_gorilla_csrf=")
    headers = {"x-harbor-csrf-token": shown.headers["x-harbor-csrf-token"], "cookie": cookie}
    form = {"principal": ADMIN[0], "password": ADMIN[1]}
    login = CLIENT.post(f"{url}/c/login", data=form, headers=headers)
    sid = login.headers.get_list("set-cookie")[-1].partition(";")[0]
    assert list(charged) == [Charge("password", PASSWORD.seconds)]

    members = f"{url}{API}/projects/library/members"
    charged.clear()
    assert CLIENT.get(members, headers={"cookie": f"{cookie}; {sid}"}).status_code == 200
    in_session = list(charged)
    charged.clear()
    assert CLIENT.get(members, auth=ADMIN).status_code == 200

    assert in_session == [Charge(f"GET {API}/projects/{{project}}/members", 0.002)]
    assert list(charged) == [Charge("password", PASSWORD.seconds), *in_session]
    assert sum(c.seconds for c in charged) > 10 * sum(c.seconds for c in in_session)


@pytest.mark.demand("real", "Controls: realistic costs")
def test_a_robot_costs_little(real: Sandbox, charged: Any) -> None:
    url = real.addresses()["harbor"]["url"]
    CLIENT.get(f"{url}{API}/projects", auth=("robot$nobody", "x"))
    assert charged[0] == Charge("robot", ROBOT.seconds)


@pytest.mark.demand("real", "Controls: realistic costs")
def test_lists_cost_by_the_row(real: Sandbox, charged: Any) -> None:
    admin = Caller(real.addresses()["harbor"]["url"], *ADMIN)
    for name in ("team-a", "team-b"):
        admin.made("/projects", {"project_name": name})
    charged.clear()
    rows = len(admin.json("/quotas")), len(admin.json("/projects")), len(admin.json("/robots"))
    costs = {charge.reason: charge.seconds for charge in charged}
    assert costs[f"GET {API}/quotas"] == pytest.approx(0.018 * rows[0])
    assert costs[f"GET {API}/projects"] == pytest.approx(0.00145 * rows[1])
    assert costs[f"GET {API}/robots"] == pytest.approx(0.002 + 0.0004 * rows[2])


def test_what_is_refused_costs_its_proof_only(real: Sandbox, charged: Any) -> None:
    admin = Caller(real.addresses()["harbor"]["url"], *ADMIN)
    admin("GET", "/projects/nosuch")
    assert [charge.reason for charge in charged] == ["password"]
    charged.clear()
    Caller(admin.url)("GET", "/ping")
    Caller(admin.url)("GET", "/systeminfo")
    assert list(charged) == [Charge(f"GET {API}/systeminfo", CALL.seconds)]


def test_a_sandbox_costs_nothing_unless_asked(sandbox: Sandbox) -> None:
    assert sandbox.costs is None


@pytest.mark.demand("real", "Controls: realistic costs")
def test_every_cost_is_that_of_a_route() -> None:
    for method, template in COSTS:
        assert routes.find(method, template)[1] == template


@pytest.mark.demand("real", "Controls: realistic costs")
@pytest.mark.parametrize(
    ("what", "cost", "most"),
    [("password", PASSWORD, 2), ("GET x", CALL, 1), ("GET y", Cost(0, concurrency=None), 8)],
)
def test_so_many_are_worked_on_at_once(what: str, cost: Cost, most: int) -> None:
    under_way, highest = 0, 0

    async def sleep(seconds: float) -> None:
        nonlocal under_way, highest
        under_way += 1
        highest = max(highest, under_way)
        for _ in range(5):
            await asyncio.sleep(0)
        under_way -= 1

    async def all_at_once(costs: Costs) -> None:
        await asyncio.gather(*(costs._charge(what, cost) for _ in range(8)))

    with Sandbox() as running:
        asyncio.run(all_at_once(Costs(running.harbor, sleep)))

    assert highest == most
