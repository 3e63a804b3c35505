"""Logins at Harbor: one password check, then a cookie and a CSRF token.

Measured on Harbor 2.15.2: a call in a session takes 2 ms. A call with basic auth takes 100 ms, for
PBKDF2.
"""

import time
from dataclasses import dataclass, field
from enum import Enum

import httpx

from tenantry.calls import is_temporary
from tenantry.connections import HarborAccount
from tenantry.errors import SystemRefused, SystemUnavailable
from tenantry.text import logger
from tenantry.transport import refusal

CSRF = "X-Harbor-CSRF-Token"
_LOG = logger(__name__)
LOCKED_FOR = 2.0
"""Harbor refuses any login of a name for 1.5 s after a wrong password for it."""
_SLOW = 1.0  # seconds; a slower rejection is due to the password, a faster one to the lock


@dataclass
class Session:
    """The cookies and the token of a session."""

    referer: str
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a call in the session. Only writes need the token."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        # If Harbor is served with TLS, its check of the token needs a Referer with the same host.
        sent = {"Cookie": cookie, CSRF: self.token, "Referer": self.referer}
        return {name: value for name, value in sent.items() if value}

    def update(self, answer: httpx.Response) -> None:
        """Store the cookies and the token of a response. Of two `sid` cookies, the last one is
        valid."""
        for header in answer.headers.get_list("set-cookie"):
            name, _, rest = header.partition("=")
            if name in ("sid", "_gorilla_csrf"):
                self.cookies[name] = rest.partition(";")[0]
        self.token = answer.headers.get(CSRF, self.token)


class NoSession(Enum):
    """The reason why an account gets no session, and the remedy."""

    NOT_ROUTED = "/c/login is not routed to Harbor's core. Route /c/ to it."
    NOT_LOCAL = (
        "only Harbor's local administrator can log in with a password. Set this account in the Harbor "
        "connection; robots and users of the provider cannot log in with a password."
    )


def log_in(http: httpx.Client, account: HarborAccount) -> Session | NoSession:
    """Log in, and return the session, or the reason why the account gets none.

    Raises:
        SystemRefused: the password is wrong.
        SystemUnavailable: Harbor cannot log in users now, or wrong passwords of another client keep
            the user locked.
    """
    for _ in range(4):
        session = Session(f"{account.url}/")
        for _ in range(3):  # the first response sets the sid, the next one its token
            if not session.token:
                answer = http.get("/api/v2.0/systeminfo", headers=session.headers)
                session.update(_refuse_temporary("GET /api/v2.0/systeminfo", answer))
        form = {"principal": account.username, "password": account.password.get_secret_value()}
        began = time.monotonic()
        answer = http.post("/c/login", data=form, headers=session.headers)
        took = time.monotonic() - began
        _refuse_temporary("POST /c/login", answer)
        if answer.status_code == 200 and "sid" in session.cookies:
            session.update(answer)
            return session
        if answer.status_code == 403 and _leads_to_provider(answer):
            return NoSession.NOT_LOCAL
        if answer.status_code != 401:
            return NoSession.NOT_ROUTED
        if took >= _SLOW:
            raise wrong_password(account)
        _LOG.info(
            "Harbor locks user '%s' for a moment after a wrong password. The login is repeated in "
            "%.0f s.",
            account.username,
            LOCKED_FOR,
        )
        time.sleep(LOCKED_FOR)
    raise SystemUnavailable(
        "harbor",
        "POST /c/login",
        f"user '{account.username}' stays locked",
        status=401,
        advice="Another client keeps trying a wrong password for this user. Find and correct it.",
    )


def _leads_to_provider(answer: httpx.Response) -> bool:
    """Return whether the response to a rejected login names the provider of the user."""
    try:
        return "redirect_location" in answer.json()
    except (ValueError, TypeError):
        return False


def _refuse_temporary(call: str, answer: httpx.Response) -> httpx.Response:
    """Return a response, unless its status is temporary: the client would never get a session then.

    Raises:
        SystemUnavailable: the status is temporary.
    """
    status = answer.status_code
    if is_temporary(status):
        reason = answer.reason_phrase or "no reason given"
        wait = answer.headers.get("Retry-After")
        raise refusal("harbor", call, status, reason, retry_after_header=wait)
    return answer


def wrong_password(account: HarborAccount) -> SystemRefused:
    """Return the error for an account that Harbor rejects."""
    return SystemRefused(
        "harbor",
        "POST /c/login",
        f"wrong user name or password for '{account.username}'",
        status=401,
        advice="Correct the Harbor connection.",
    )


def has_ended(answer: httpx.Response) -> bool:
    """Return whether a response to a call in a session shows that the session has expired.

    In an expired session, GET /projects is answered with 200 and the public projects. But the
    response sets a new `sid`, which no response in a valid session does. An administrator in a
    valid session never gets 401, and a 403 that mentions the token means that cookie and token are
    no longer valid.
    """
    if any(header.startswith("sid=") for header in answer.headers.get_list("set-cookie")):
        return True
    return answer.status_code == 401 or (answer.status_code == 403 and "CSRF token" in answer.text)
