"""Searches everything that runs leave behind for secrets, in any encoding.

`Known` records each secret in a request to a sandbox or in its answer: a secret that was never sent
cannot leak. `Search` finds the secrets in files and in the tables of a SQLite database.
"""

import base64
import binascii
import json
import re
import secrets as random
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote

import numpy as np
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenantry.sandbox import Sandbox

SHORTEST = 8
"""The shortest secret, in characters: a shorter one cannot be distinguished from a word."""

Place = tuple[str, bytes]
"""The name of a place, and its content."""


@dataclass(frozen=True, order=True)
class Finding:
    """A leaked secret. It has the name of the secret, never its value."""

    place: str
    secret: str
    form: str


# --- The known secrets ---------------------------------------------------------------------------


_SECRET_FIELD = re.compile(r"secret|password|token|auth$|credential", re.IGNORECASE)
_PLAIN = re.compile(r"auth_?mode|(type|name|url|endpoint|time|policy)$", re.IGNORECASE)


class Known:
    """All known secrets and their names. Several threads add to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, str] = {}

    @property
    def found(self) -> dict[str, str]:
        """The name of each secret, by its value."""
        with self._lock:
            return dict(self._found)

    def add(self, name: str, secret: str) -> None:
        """Record a secret, unless it is too short."""
        if len(secret) >= SHORTEST:
            with self._lock:
                self._found.setdefault(secret, name)

    def wrap(self, system: str, app: ASGIApp) -> ASGIApp:
        """Wrap a system's app, and record the secrets in its requests and answers."""

        async def recording(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            request, answer = bytearray(), bytearray()

            async def record_request() -> Message:
                message = await receive()
                request.extend(message.get("body", b""))
                return message

            async def record_answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._headers(system, message["headers"])
                answer.extend(message.get("body", b""))
                await send(message)

            self._headers(system, scope["headers"])
            try:
                await app(scope, record_request, record_answer)
            finally:
                self._body(system, bytes(request))
                self._body(system, bytes(answer))

        return recording

    def add_request(self, system: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Record the secrets in a request that does not reach the system."""
        self._headers(system, headers)
        self._body(system, body)

    def _headers(self, system: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        for raw, content in headers:
            name, value = raw.decode("latin-1").lower(), content.decode("latin-1")
            if name == "authorization":
                kind, _, given = value.partition(" ")
                self.add(f"{system} {kind}", given)
                if kind.lower() == "basic":
                    self._pair(system, given)
            elif name in ("cookie", "set-cookie"):
                for cookie in value.split(";"):
                    key, _, content_of = cookie.strip().partition("=")
                    if key.lower() not in ("path", "max-age", "samesite", "expires", "domain"):
                        self.add(f"{system} cookie {key}", content_of)
            elif "csrf" in name:
                self.add(f"{system} CSRF token", value)

    def _pair(self, system: str, encoded: str) -> None:
        try:
            pair = base64.b64decode(encoded).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        self.add(f"{system} user and password", pair)
        self.add(f"{system} password", pair.partition(":")[2])

    def _body(self, system: str, body: bytes) -> None:
        text = body.decode(errors="replace")
        try:
            content = json.loads(text)
        except ValueError:
            for key, value in parse_qsl(text):
                self._value(system, key, value)
        else:
            self._walk(system, content)

    def _walk(self, system: str, content: Any) -> None:
        if isinstance(content, list):
            for item in content:
                self._walk(system, item)
        if not isinstance(content, dict):
            return
        if content.get("kind") == "Secret":
            for key, value in (content.get("data") or {}).items():
                self._kubernetes(key, value)
        if content.get("type") in ("secret", "password") and isinstance(content.get("value"), str):
            self.add(f"{system} {content['type']}", content["value"])
        for key, value in content.items():
            self._value(system, key, value)

    def _value(self, system: str, key: str, value: Any) -> None:
        if isinstance(value, str):
            if key in ("principal", "username"):
                return
            if _SECRET_FIELD.search(key) and not _PLAIN.search(key):
                self.add(f"{system} {key}", value)
                if key == "auth":
                    self._pair(system, value)
        else:
            self._walk(system, value)

    def _kubernetes(self, key: str, value: str) -> None:
        with suppress(ValueError):  # a malformed value is refused
            decoded = base64.b64decode(value).decode()
            if key == ".dockerconfigjson":
                self._walk("kubernetes", json.loads(decoded))
            else:
                self._value("kubernetes", key, decoded)


class WatchedSandbox(Sandbox):
    """A sandbox with random credentials, whose secrets are recorded."""

    def __init__(self, known: Known) -> None:
        super().__init__()
        self._known = known
        self._password = random.token_urlsafe(24)
        self.kubernetes.token = random.token_urlsafe(24)
        admin = self.keycloak.realms["master"].user_named("admin")
        assert admin is not None
        admin.password = self._password

    def addresses(self) -> dict[str, dict[str, str]]:
        """Return the addresses and the credentials of the systems."""
        found = super().addresses()
        found["keycloak"]["password"] = self._password
        for system in ("harbor", "keycloak"):
            self._known.add(f"{system} administrator's password", found[system]["password"])
        return found

    def _middleware(self, name: str, app: ASGIApp) -> ASGIApp:
        return self._known.wrap(name, super()._middleware(name, app))


# --- The encodings -------------------------------------------------------------------------------


def forms(secret: str) -> dict[bytes, str]:
    """Return the encodings of a secret: the bytes and the name of each."""
    raw = secret.encode()
    found = {
        quote(secret, safe="").encode(): "URL-encoded",
        quote(secret, safe="").replace("%2F", "/").encode(): "URL-encoded",
        quote_plus(secret).encode(): "URL-encoded",
        unquote(secret).encode(): "URL-decoded",
        json.dumps(secret)[1:-1].encode(): "in JSON",
        json.dumps(json.dumps(secret)[1:-1])[1:-1].encode(): "in JSON within JSON",
        raw.hex().encode(): "hexadecimal",
        raw.hex().upper().encode(): "hexadecimal",
    }
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found[_middle(encode, raw, offset)] = f"base64, {offset} bytes into a group"
    found[raw] = "not encoded"
    return {form: name for form, name in found.items() if len(form) >= SHORTEST}


def _middle(encode: Any, raw: bytes, offset: int) -> bytes:
    """Return the base64 of `raw` within other bytes, without the characters that depend on them."""
    encoded: bytes = encode(b"\0" * offset + raw)
    return encoded[-(-8 * offset // 6) : 8 * (offset + len(raw)) // 6]


# --- The places ----------------------------------------------------------------------------------


def files(*folders: Path) -> Iterator[Place]:
    """Return all files under these folders."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield f"file {path.relative_to(folder)}", path.read_bytes()


def tables(database: Path) -> Iterator[Place]:
    """Return all tables of a SQLite database."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in names.fetchall():
            rows = connection.execute(f'SELECT * FROM "{name}"')
            cells = (_bytes(cell) for row in rows for cell in row if cell is not None)
            yield f"table {name}", b"\n".join(cells)


def _bytes(cell: Any) -> bytes:
    return cell if isinstance(cell, bytes) else str(cell).encode()


# --- The search ----------------------------------------------------------------------------------


class Search:
    """Finds secrets in any encoding."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._by_start: dict[int, list[tuple[bytes, str, str]]] = {}
        self.forms = 0
        for secret, what in secrets.items():
            for form, name in forms(secret).items():
                start = int.from_bytes(form[:SHORTEST], "little")
                self._by_start.setdefault(start, []).append((form, what, name))
                self.forms += 1
        self._starts = np.array(sorted(self._by_start), dtype="<u8")

    def __call__(self, places: Iterable[Place]) -> list[Finding]:
        """Return each secret in each place, once for each encoding."""
        return sorted(
            {
                Finding(place, what, form)
                for place, content in places
                for what, form in self._in(content)
            }
        )

    def _in(self, content: bytes, step: int = 1 << 20) -> Iterator[tuple[str, str]]:
        # All windows of eight bytes are compared with all prefixes at once. This takes seconds;
        # one search for each secret would take minutes.
        for begin in range(0, len(content) - SHORTEST + 1, step):
            part = np.frombuffer(content[begin : begin + step + SHORTEST - 1], dtype=np.uint8)
            windows = np.lib.stride_tricks.sliding_window_view(part, SHORTEST)
            codes = np.ascontiguousarray(windows).view("<u8").ravel()
            for at in np.flatnonzero(np.isin(codes, self._starts)).tolist():
                for form, what, name in self._by_start[int(codes[at])]:
                    if content.startswith(form, begin + at):
                        yield what, name
