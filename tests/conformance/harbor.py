"""How the cases call a Harbor: all that a caller made is removed in the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.sandbox.calls import API, CLIENT, Caller

# No real Harbor can be started here, so none of its cases is confirmed. A Harbor that is given gets
# them one after another (tests.real.fixtures): some hold settings of all of it for a moment.
MARKS = [pytest.mark.facts]
TOKEN = "x-harbor-csrf-token"
NO_TOKEN = "CSRF token not found in request"
# An id that no Harbor has come to.
MISSING = 2_147_483_000


class HarborCaller(Caller):
    """Calls Harbor as somebody, keeps no cookies, and remembers what it made."""

    def __init__(self, url: str, name: str = "", password: str = "") -> None:
        super().__init__(url, name, password)
        self._made: list[str] = []

    def __call__(
        self, method: str, path: str, headers: dict | None = None, **kwargs: Any
    ) -> httpx.Response:
        response = super().__call__(method, path, headers, **kwargs)
        if method == "POST" and response.status_code == 201 and "location" in response.headers:
            self._made.append(response.headers["location"].removeprefix(API))
        return response

    def login(self, name: str, password: str) -> "HarborCaller":
        """Somebody else, what it makes is removed with what this one made."""
        other = HarborCaller(self.url, name, password)
        other._made = self._made
        return other

    def clean_up(self) -> None:
        for path in reversed(self._made):
            self("DELETE", path)


def done(response: httpx.Response) -> bool:
    """Whether it is what Harbor says to an update or a deletion: 200 and nothing."""
    assert (response.status_code, response.content) == (200, b""), response.text
    return True


def made(response: httpx.Response) -> bool:
    """Whether it is what Harbor says to a create: 201 and nothing but where."""
    assert (response.status_code, response.content) == (201, b""), response.text
    assert response.headers["location"].startswith(f"{API}/")
    return True


@contextmanager
def changed(caller: HarborCaller, **settings: Any) -> Iterator[httpx.Response]:
    """Harbor's answer to these settings, which are put back whatever happens meanwhile."""
    held = caller.json("/configurations")
    try:
        yield caller("PUT", "/configurations", json=settings)
    finally:
        before = {name: held[name]["value"] for name in settings}
        assert done(caller("PUT", "/configurations", json=before))


class Session:
    """A user's session, its cookies kept by hand: what Harbor sets changes nothing here.

    Attributes:
        login: Harbor's answer to the login.
        sid: the cookie that says which session it is.
        token: the CSRF token of before the login; it serves every write.
        csrf: the cookie that belongs to the token.
    """

    def __init__(self, url: str, username: str, password: str) -> None:
        self._url = url
        self._form = {"principal": username, "password": password}
        self.sid, self.csrf, self.token = "unknown", "", ""
        answer = self("GET", "/systeminfo")
        self.token, self.csrf = answer.headers[TOKEN], cookies(answer)["_gorilla_csrf"]
        self.login = self.log_in()
        self.sid = cookies(self.login)["sid"]

    def log_in(self) -> httpx.Response:
        """Harbor's answer to one more login; the session stays the one that it was."""
        return self("POST", "/c/login", data=self._form)

    def __call__(
        self, method: str, path: str, headers: dict | None = None, **kwargs: Any
    ) -> httpx.Response:
        sent = {"cookie": f"sid={self.sid}; _gorilla_csrf={self.csrf}", TOKEN: self.token}
        path = path if path.startswith("/c/") else API + path
        sent |= {**referer(self._url), **(headers or {})}
        return CLIENT.request(method, self._url + path, headers=sent, **kwargs)


def referer(url: str) -> dict[str, str]:
    """The header that the check of the token asks for behind TLS, and nowhere else."""
    return {"referer": f"{url}/"} if url.startswith("https:") else {}


def cookies(response: httpx.Response) -> dict[str, str]:
    """The cookies that an answer sets; of several of one name the last."""
    found = [line.partition(";")[0] for line in response.headers.get_list("set-cookie")]
    return dict(line.partition("=")[::2] for line in found)
