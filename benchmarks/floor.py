"""The floor: the requests of a run, repeated by a bare thread pool and plain connections.

The requests of the client libraries are recorded. When they are repeated, the requests of one team keep
their order, since most depend on an earlier answer; nothing else waits. Ids and secrets differ from one
sandbox to the next, so the recorded values are replaced by those of the present answers.
"""

import base64
import json
import re
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self
from unittest import mock
from urllib.parse import quote, unquote, urlsplit

import httpx
import requests.adapters
import urllib3

from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.connections import HarborAccount
from tenantry.systems.harbor.session import Session, log_in

_TEAM = re.compile(r"\bt\d{3,}\b")
_PARTS = re.compile(r"[/=,&?]")
_PART = re.compile(r"(?<![^/=,&?])[^/=,&?]+")
_PAGE = re.compile(r"\bpage(_size)?=\d+&?")
"""Parameters whose numbers are not ids."""
_LOGINS = ("/c/login", "/protocol/openid-connect/token", "/api/v2.0/systeminfo")
_KEPT = ("content-type", "x-is-resource-name")


@dataclass
class Recorded:
    """A request, and the beginning of its answer."""

    origin: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    location: str = ""
    answer: Any = None
    chain: str = ""


@dataclass
class Recording:
    """The requests of one run, in the order in which they ended."""

    requests: list[Recorded] = field(default_factory=list)
    projects: dict[str, str] = field(default_factory=dict)
    """The team of each project, by number: an earlier recording may know it."""

    def add(self, request: Recorded) -> None:
        """Record a request, and the team that it belongs to."""
        text = f"{request.target} {request.body.decode(errors='replace')} {_user(request.headers)}"
        found = _TEAM.search(text)
        last = request.location.rsplit("/", 1)[-1]
        if found:
            request.chain = found[0]
            if last:
                self.projects[last] = found[0]
        else:
            parts = _PARTS.split(unquote(_PAGE.sub("", request.target)))
            request.chain = next((self.projects[p] for p in parts if p in self.projects), "")
        self.requests.append(request)


@contextmanager
def recorded(recording: Recording) -> Iterator[None]:
    """Record all requests that httpx, requests and urllib3 send in this process."""
    lock = threading.Lock()

    def keep(
        method: str, url: str, headers: Any, body: Any, status: int, location: str, answer: Any
    ) -> None:
        split = urlsplit(url)
        target = split.path + (f"?{split.query}" if split.query else "")
        known = {str(k).lower(): str(v) for k, v in dict(headers).items()}
        data = body.encode() if isinstance(body, str) else (body or b"")
        made = Recorded(
            f"{split.scheme}://{split.netloc}",
            method,
            target,
            known,
            data,
            status,
            location,
            answer,
        )
        with lock:
            recording.add(made)

    by_httpx = httpx.HTTPTransport.handle_request
    by_requests = requests.adapters.HTTPAdapter.send
    by_urllib3 = urllib3.PoolManager.urlopen

    def through_httpx(self: Any, request: httpx.Request) -> httpx.Response:
        answer = by_httpx(self, request)
        answer.read()
        said = _json(answer.content)
        location = answer.headers.get("location", "")
        keep(
            request.method,
            str(request.url),
            request.headers,
            request.content,
            answer.status_code,
            location,
            said,
        )
        return answer

    def through_requests(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        answer = by_requests(self, request, *args, **options)
        location = answer.headers.get("location", "")
        said = _json(answer.content)
        keep(
            request.method,
            request.url,
            request.headers,
            request.body,
            answer.status_code,
            location,
            said,
        )
        return answer

    def through_urllib3(self: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
        answer = by_urllib3(self, method, url, *args, **options)
        headers, body = options.get("headers") or {}, options.get("body")
        keep(method, url, headers, body, answer.status, "", None)
        return answer

    with ExitStack() as stack:
        for owner, name, function in (
            (httpx.HTTPTransport, "handle_request", through_httpx),
            (requests.adapters.HTTPAdapter, "send", through_requests),
            (urllib3.PoolManager, "urlopen", through_urllib3),
        ):
            stack.enter_context(mock.patch.object(owner, name, function))
        yield


class Floor:
    """Plain connections to a sandbox, and its ids by those of the recording."""

    def __init__(self, origins: dict[str, str], addresses: dict[str, Any], token: str) -> None:
        # Given up before the sandbox does, which closes what is idle for five seconds.
        limits = httpx.Limits(
            max_connections=MAX_CONCURRENT_CALLS,
            max_keepalive_connections=MAX_CONCURRENT_CALLS,
            keepalive_expiry=2,
        )
        self._systems = origins
        self._clients = {
            system: httpx.Client(
                base_url=addresses[system]["url"],
                limits=limits,
                timeout=60,
                # Cookies of earlier answers would belong to another session.
                cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
                verify=ssl.create_default_context(cafile=addresses[system].get("ca")),
            )
            for system in origins.values()
        }
        self._addresses = addresses
        self._token = token
        self._now: dict[str, dict[Any, Any]] = defaultdict(dict)
        self.differing: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._log_in()
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def seconds(self, recording: Recording) -> float:
        """Repeat the requests of a run, and return the seconds that it took."""
        chains: dict[str, list[Recorded]] = defaultdict(list)
        for made in recording.requests:
            if not urlsplit(made.target).path.endswith(_LOGINS):
                chains[made.chain or f"({len(chains)})"].append(made)
        began = time.monotonic()
        self._log_in()
        with ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as pool:
            for done in [pool.submit(self._chain, key, chain) for key, chain in chains.items()]:
                done.result()
        return time.monotonic() - began

    def _log_in(self) -> None:
        account = HarborAccount.model_validate(self._addresses["harbor"])
        session = log_in(self._clients["harbor"], account)
        assert isinstance(session, Session), session
        keycloak = self._addresses["keycloak"]
        form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": keycloak["username"],
            "password": keycloak["password"],
        }
        path = "/realms/master/protocol/openid-connect/token"
        answer = self._clients["keycloak"].post(path, data=form).raise_for_status()
        self._headers = {
            "harbor": session.headers,
            "keycloak": {"Authorization": f"Bearer {answer.json()['access_token']}"},
            "kubernetes": {"Authorization": f"Bearer {self._token}"},
        }

    def _chain(self, key: str, chain: list[Recorded]) -> None:
        now = self._now[key]
        for made in chain:
            self._again(made, now)

    def _again(self, made: Recorded, now: dict[Any, Any]) -> None:
        system = self._systems[made.origin]
        headers = {name: made.headers[name] for name in _KEPT if name in made.headers}
        user = _user(made.headers)
        if system == "harbor" and user:
            name, _, secret = user.partition(":")
            pair = f"{now.get(name, name)}:{now.get(secret, secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        elif system == "harbor" and (token := _token(made.headers)):
            headers["Authorization"] = f"Bearer {now.get(token, token)}"
        else:
            headers |= self._headers[system]
        target = _renumbered(made.target, now)
        body = made.body
        # What the precondition of another server's object was would be refused here.
        body = re.sub(rb'"resourceVersion": ?"\d+",? ?', b"", body)
        if now and body and made.headers.get("content-type", "").startswith("application/json"):
            body = json.dumps(_replaced(json.loads(body), now)).encode()
        answer = self._clients[system].request(made.method, target, headers=headers, content=body)
        if answer.status_code != made.status:
            self.differing[f"{made.method} {made.status} -> {answer.status_code}"] += 1
        if made.chain:
            _learn(made.answer, _json(answer.content) if made.answer is not None else None, now)
            then, here = made.location, answer.headers.get("location", "")
            if then and here:
                pairs = zip(_PARTS.split(then), _PARTS.split(here), strict=False)
                now.update(pair for pair in pairs if pair[0] != pair[1])


def _renumbered(target: str, now: dict[Any, Any]) -> str:
    """Return a target with the present ids, also in an encoded query; page numbers stay."""
    path, mark, query = target.partition("?")

    def renumber(text: str) -> str:
        return _PART.sub(lambda part: str(now.get(part[0], part[0])), text)

    fields = []
    for field_ in query.split("&") if mark else ():
        name, equals, value = field_.partition("=")
        kept = name in ("page", "page_size")
        fields.append(name + equals + (value if kept else quote(renumber(unquote(value)), "")))
    return renumber(path) + mark + "&".join(fields)


def _user(headers: dict[str, str]) -> str:
    kind, _, value = headers.get("authorization", "").partition(" ")
    return base64.b64decode(value).decode() if kind == "Basic" else ""


def _token(headers: dict[str, str]) -> str:
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value if kind == "Bearer" else ""


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _learn(then: Any, now: Any, known: dict[Any, Any]) -> None:
    """Record the ids and secrets that differ between two answers to the same request."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in then.keys() & now.keys():
            old, new = then[key], now[key]
            if isinstance(old, dict | list):
                _learn(old, new, known)
            elif old != new and (key.endswith(("id", "_id")) or key in ("secret", "uid", "token")):
                known[str(old)] = new
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for old, new in zip(then, now, strict=True):
            _learn(old, new, known)


def _replaced(value: Any, known: dict[Any, Any]) -> Any:
    if isinstance(value, dict):
        return {
            key: known.get(str(below), below)
            if key in ("id", "project_id", "ref")
            else _replaced(below, known)
            for key, below in value.items()
        }
    if isinstance(value, list):
        return [_replaced(below, known) for below in value]
    return known.get(value, value) if isinstance(value, str) else value
