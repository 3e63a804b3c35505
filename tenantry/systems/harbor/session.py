"""A login at Harbor: one password check, then a cookie and a CSRF token.

Measured on Harbor 2.15.2: a call in a session takes 2 ms where basic auth takes
100 ms, a PBKDF2 each time.
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
_SLOW = 1.0  # seconds; a refusal after that is about the password, a faster one is the lock


@dataclass
class Session:
    """What a call sends to be in the session."""

    referer: str
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a call in the session; writes need the token, reads don't mind it."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        # The check of the token asks for a referer of the same host where it knows of TLS.
        sent = {"Cookie": cookie, CSRF: self.token, "Referer": self.referer}
        return {name: value for name, value in sent.items() if value}

    def take(self, answer: httpx.Response) -> None:
        """Keeps what an answer sets: of two `sid` the last is the one that counts."""
        for header in answer.headers.get_list("set-cookie"):
            name, _, rest = header.partition("=")
            if name in ("sid", "_gorilla_csrf"):
                self.cookies[name] = rest.partition(";")[0]
        self.token = answer.headers.get(CSRF, self.token)


class NoSession(Enum):
    """Why an account gets no session, and what to do."""

    NOT_ROUTED = "/c/login does not lead to Harbor's core. Route /c/ to it."
    NOT_LOCAL = (
        "Harbor lets only its local administrator log in with a password. Give the Harbor "
        "connection that account; robots and users of the provider have no such login."
    )


def log_in(http: httpx.Client, account: HarborAccount) -> Session | NoSession:
    """Logs in.

    Returns:
        The session, or why the account gets none.

    Raises:
        SystemRefused: the password is wrong.
        SystemUnavailable: Harbor asks to come back later, or someone else's wrong password keeps
            the name locked.
    """
    for _ in range(4):
        session = Session(f"{account.url}/")
        for _ in range(3):  # the first answer sets the sid, the next the token that goes with it
            if not session.token:
                answer = http.get("/api/v2.0/systeminfo", headers=session.headers)
                session.take(_there("GET /api/v2.0/systeminfo", answer))
        form = {"principal": account.username, "password": account.password.get_secret_value()}
        began = time.monotonic()
        answer = http.post("/c/login", data=form, headers=session.headers)
        took = time.monotonic() - began
        _there("POST /c/login", answer)
        if answer.status_code == 200 and "sid" in session.cookies:
            session.take(answer)
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
        advice="Somebody keeps trying a wrong password for this user.",
    )


def _leads_to_provider(answer: httpx.Response) -> bool:
    """Return whether a refused login names the provider that its user is to log in at."""
    try:
        return "redirect_location" in answer.json()
    except (ValueError, TypeError):
        return False


def _there(call: str, answer: httpx.Response) -> httpx.Response:
    """The answer, unless it says "later": that is no reason to go without a session for good."""
    status = answer.status_code
    if is_temporary(status):
        reason = answer.reason_phrase or "no reason given"
        wait = answer.headers.get("Retry-After")
        raise refusal("harbor", call, status, reason, retry_after_header=wait)
    return answer


def wrong_password(account: HarborAccount) -> SystemRefused:
    """What is said of an account that Harbor does not let in."""
    return SystemRefused(
        "harbor",
        "POST /c/login",
        f"wrong user name or password for '{account.username}'",
        status=401,
        advice="Correct the Harbor connection.",
    )


def has_ended(answer: httpx.Response) -> bool:
    """Whether an answer to a call in a session shows that the session is dead.

    A dead session's GET /projects is 200 with the public projects only. What
    tells: the answer sets a new sid, which no live session's answer does. 401 is
    never given to a live administrator's session, and 403 for the token says that
    the pair is of no use any more.
    """
    if any(header.startswith("sid=") for header in answer.headers.get_list("set-cookie")):
        return True
    return answer.status_code == 401 or (answer.status_code == 403 and "CSRF token" in answer.text)
