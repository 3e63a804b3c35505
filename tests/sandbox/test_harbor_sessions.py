"""What of sessions no Harbor that others use can be asked for; the rest is in tests/conformance."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tenantry.sandbox import Sandbox
from tenantry.sandbox.harbor import SimulatedHarbor
from tests.conformance.harbor import TOKEN, Session
from tests.sandbox.calls import Caller, refused

pytestmark = pytest.mark.demand("real", "Harbor: sessions, dead ones too")

PASSWORD = "Harbor12345"


@pytest.fixture
def session(url: str) -> Session:
    return Session(url, "admin", PASSWORD)


# The records are counted: no answer tells of them.
def test_every_call_without_a_cookie_leaves_a_record(
    admin: Caller, session: Session, harbor: SimulatedHarbor
) -> None:
    before = len(harbor.state.sessions)
    for _ in range(5):
        admin("GET", "/ping")
        session("GET", "/ping")
    assert len(harbor.state.sessions) == before + 5


# Not among what was recorded: these are the words of the library that Harbor checks tokens with.
def test_a_token_of_another_cookie_is_refused(session: Session, url: str) -> None:
    other = Session(url, "admin", PASSWORD).token
    answer = session("POST", "/projects", json={"project_name": "x"}, headers={TOKEN: other})
    assert refused(answer, 403, "CSRF token invalid")


# The clock is moved: a real session lasts an hour.
def test_sessions_slide(session: Session, sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox.clock.move(50 * 60)
        assert session("GET", "/users/current").status_code == 200
    sandbox.clock.move(40 * 60)
    still = {"X-Harbor-No-Session-Renewal": "1"}
    assert session("GET", "/users/current", headers=still).status_code == 200
    sandbox.clock.move(21 * 60)
    assert session("GET", "/users/current").status_code == 401


# The setting is everybody's: others' sessions would end early.
def test_a_changed_timeout_takes_hold_at_the_next_request(
    session: Session, admin: Caller, url: str, sandbox: Sandbox
) -> None:
    idle = Session(url, "admin", PASSWORD)
    body = {"session_timeout": 5}
    assert admin("PUT", "/configurations", json=body).status_code == 200
    assert session("GET", "/users/current").status_code == 200
    sandbox.clock.move(6 * 60)
    assert session("GET", "/users/current").status_code == 401
    assert idle("GET", "/users/current").status_code == 200


# Harbor is stopped and started.
def test_sessions_and_tokens_outlive_harbor(session: Session, harbor: SimulatedHarbor) -> None:
    harbor.load(harbor.dump())
    assert session("POST", "/projects", json={"project_name": "x"}).status_code == 201


# The administrator is locked out for a moment, and the sandbox has no other local user.
def test_a_wrong_password_takes_time_and_locks_the_name(
    session: Session, admin: Caller, harbor: SimulatedHarbor
) -> None:
    harbor.login_delay = 0.5
    wrong = admin.login("admin", "wrong")
    with ThreadPoolExecutor() as pool:
        started = time.monotonic()
        slow = pool.submit(wrong, "GET", "/users/current")
        time.sleep(0.15)
        locked = time.monotonic()
        assert admin("GET", "/users/current").status_code == 401
        refusal = session.log_in()
        assert (refusal.status_code, refusal.content) == (401, b"")
        assert time.monotonic() - locked < 0.2
        assert session("GET", "/users/current").status_code == 200  # sessions don't mind
        assert slow.result().status_code == 401
    assert time.monotonic() - started >= 0.5
    assert admin("GET", "/users/current").status_code == 200


# As above: with OIDC only the administrator's password is tried at all.
@pytest.mark.parametrize("mode", ["db_auth", "oidc_auth"])
def test_the_administrators_wrong_password(
    session: Session, admin: Caller, harbor: SimulatedHarbor, mode: str
) -> None:
    harbor.configuration["auth_mode"] = mode
    form = {"principal": "admin", "password": "wrong"}
    answer = session("POST", "/c/login", data=form)
    assert (answer.status_code, answer.content) == (401, b"")
    wrong = admin.login("admin", "wrong")
    assert wrong("GET", "/projects").status_code == 200
    assert session("GET", "/users/current", auth=("admin", "wrong")).status_code == 200
    assert admin("GET", "/users/current").status_code == 200


# Time is measured, which tells nothing of a server far away or busy.
def test_refused_robots_are_slow_only_with_local_users(
    admin: Caller, harbor: SimulatedHarbor
) -> None:
    harbor.login_delay = 0.3
    robot = admin.login("robot$nosuch", "wrong")
    started = time.monotonic()
    assert robot("GET", "/users/current").status_code == 401
    assert time.monotonic() - started < 0.2
    harbor.configuration["auth_mode"] = "db_auth"
    started = time.monotonic()
    assert robot("GET", "/projects").status_code == 200
    assert time.monotonic() - started >= 0.3
