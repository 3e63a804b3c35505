"""Sessions and CSRF of Harbor 2.15.2: cookies, tokens, login and logout.

Logins through the IdP are in oidc.py. ``SimulatedHarbor.sign_in`` changes the state like such a
login, and ``open_session`` returns the value of its cookie.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from tenantry.sandbox.harbor.access import ADMIN, ANONYMOUS, Caller, check_password
from tenantry.sandbox.harbor.model import Session, User
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, compact

if TYPE_CHECKING:
    from tenantry.sandbox.harbor.app import SimulatedHarbor

TOKEN = "x-harbor-csrf-token"
_COOKIE = "_gorilla_csrf"
_LIFETIME = 12 * 60 * 60  # seconds that the cookie of the CSRF token is valid
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
_MAX_SESSIONS = 20_000  # each call without a cookie creates an anonymous session


# --- CSRF ----------------------------------------------------------------------------------------


class Csrf:
    """The CSRF check of one request, and the token in its answer."""

    def __init__(self, harbor: "SimulatedHarbor", request: Request) -> None:
        self._key = harbor.state.csrf_key.encode()
        self._now = harbor.clock.now()
        self._request = request
        # A cookie of that name makes it a request in a session, even if it is invalid.
        self.needed = request.scope["path"].startswith("/c/") or "sid" in request.cookies
        self._new = False
        if self.needed:
            self._secret = self._from_cookie()

    def _from_cookie(self) -> bytes:
        value, _, signature = self._request.cookies.get(_COOKIE, "").partition(".")
        if hmac.compare_digest(signature, self._signature(value)):
            return bytes.fromhex(value)
        self._new = True
        return secrets.token_bytes(32)

    def _signature(self, value: str) -> str:
        return hmac.new(self._key, value.encode(), hashlib.sha256).hexdigest()

    def check(self) -> None:
        """Raise Refusal for a write without the token that belongs to its cookie."""
        if not self.needed or self._request.method in _SAFE:
            return
        token = _unmasked(self._request.headers.get(TOKEN, ""))
        if token is None:
            raise Refusal(403, "CSRF token not found in request")
        if not hmac.compare_digest(token, self._secret):
            raise Refusal(403, "CSRF token invalid")

    def mark(self, response: Response) -> None:
        """Add a new token to the answer. Earlier tokens for the cookie remain valid."""
        if not self.needed:
            return
        response.headers[TOKEN] = _masked(self._secret)
        if self._new:
            value = self._secret.hex()
            until = format_datetime(self._now + timedelta(seconds=_LIFETIME), usegmt=True)
            _add_cookie(
                response,
                f"{_COOKIE}={value}.{self._signature(value)}; Path=/; Expires={until}; "
                f"Max-Age={_LIFETIME}; HttpOnly; SameSite=Strict",
            )


def _masked(secret: bytes) -> str:
    pad = secrets.token_bytes(len(secret))
    return base64.b64encode(pad + _xor(pad, secret)).decode()


def _unmasked(token: str) -> bytes | None:
    try:
        raw = base64.b64decode(token, validate=True)
    except ValueError:
        return None
    return _xor(raw[:32], raw[32:]) if len(raw) == 64 else None


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _add_cookie(response: Response, cookie: str) -> None:
    response.raw_headers.append((b"set-cookie", cookie.encode("latin-1")))


# --- Sessions ------------------------------------------------------------------------------------


class Visit:
    """The session of one request, or a new anonymous one."""

    def __init__(self, harbor: "SimulatedHarbor", request: Request) -> None:
        self._harbor = harbor
        now = harbor.clock.now()
        self.sid = request.cookies.get("sid", "")
        session = harbor.state.sessions.get(self.sid)
        if harbor.database_is_down and session and session.user_id is not None:
            session = None  # its user cannot be read; it remains invalid when the database is back
        # A new sid in the answer to a request with a sid means that the session was invalid.
        self.is_new = session is None or session.ends <= now
        if session is None or session.ends <= now:
            harbor.state.sessions.pop(self.sid, None)
            self.sid = open_session(harbor)
        elif "x-harbor-no-session-renewal" not in request.headers:
            session.ends = now + _lifetime(harbor)

    @property
    def caller(self) -> Caller:
        """The user who logged in, even if it was deleted since."""
        session = self._harbor.state.sessions.get(self.sid)
        if session is None or session.user_id is None:
            return ANONYMOUS
        user = session.user or self._harbor.users.get(session.user_id)
        return Caller(user.username, user=user) if user else ANONYMOUS

    def mark(self, response: Response) -> None:
        """Add the cookie of a new session, before the cookie of a login."""
        if self.is_new:
            cookie = f"sid={self.sid}; Path=/; HttpOnly"
            response.raw_headers.insert(0, (b"set-cookie", cookie.encode()))


def open_session(harbor: "SimulatedHarbor", user_id: int | None = None) -> str:
    """Create a session and return its id."""
    sid = secrets.token_hex(16)
    sessions = harbor.state.sessions
    sessions[sid] = Session(harbor.clock.now() + _lifetime(harbor), user_id)
    if len(sessions) > _MAX_SESSIONS:
        del sessions[next(s for s, session in sessions.items() if session.user_id is None)]
    return sid


def _lifetime(harbor: "SimulatedHarbor") -> timedelta:
    return timedelta(minutes=harbor.configuration["session_timeout"])


@routes.add("POST", "/c/login")
async def login(call: Call) -> Response:
    """Log in by a form. The last ``sid`` of the answer is the session."""
    harbor = call.harbor
    form = {name: values[0] for name, values in parse_qs(call.raw.decode(errors="replace")).items()}
    name, password = form.get("principal", ""), form.get("password", "")
    if harbor.configuration["auth_mode"] == "oidc_auth" and name not in (ADMIN, ""):
        body = {"redirect_location": f"{harbor.ext_endpoint}/c/oidc/login"}
        return Response(
            compact(body), 403, headers={"content-type": "application/json; charset=utf-8"}
        )
    user = await check_password(harbor, name, password)
    if user is None:
        return Response(status_code=401)
    harbor.state.sessions.pop(call.sid, None)
    response = Response()
    _add_cookie(response, f"sid={open_session(harbor, user.id)}; Path=/; HttpOnly")
    return response


def log_in_session(call: Call, user: User, response: Response) -> Response:
    """Log in a user from the IdP, and return the response with the new id of the session."""
    sessions = call.harbor.state.sessions
    before = sessions.pop(call.sid, None)
    sid = open_session(call.harbor, user.id)
    sessions[sid].user, sessions[sid].values = user, before.values if before else {}
    _add_cookie(response, f"sid={sid}; Path=/; HttpOnly")
    return response


@routes.add("GET", "/c/log_out")
def log_out(call: Call) -> Response:
    """End the session. A session from an IdP login is redirected to the provider instead."""
    harbor = call.harbor
    session = harbor.state.sessions.get(call.sid)
    user = harbor.users.get(session.user_id) if session and session.user_id else None
    if session and session.user:
        user = session.user
    if user and user.subiss and harbor.configuration["auth_mode"] == "oidc_auth":
        body = {"redirect_location": f"{harbor.ext_endpoint}/c/oidc/logout"}
        return Response(compact(body), 403, headers={"content-type": "application/json"})
    harbor.state.sessions.pop(call.sid, None)
    response = Response()
    ended = format_datetime(harbor.clock.now(), usegmt=True)
    _add_cookie(response, f"sid=; Path=/; Expires={ended}; Max-Age=0; HttpOnly")
    return response
