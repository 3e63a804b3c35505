"""How the tests call a Harbor, and how they know its refusals."""

import base64
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from tenantry.calls import TIMEOUT
from tests.support.addresses import given, trusted

API = "/api/v2.0"
VERIFY = trusted(given().harbor)
# One for all, as each costs some milliseconds to make. It takes no cookies.
CLIENT = httpx.Client(
    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    timeout=TIMEOUT,
    verify=VERIFY,
)


class Caller:
    """Calls Harbor as somebody, and keeps no cookies."""

    def __init__(self, url: str, name: str = "", password: str = "") -> None:
        self.url = url
        self._headers = {}
        if name:
            secret = base64.b64encode(f"{name}:{password}".encode()).decode()
            self._headers = {"authorization": f"Basic {secret}"}

    def __call__(
        self, method: str, path: str, headers: dict | None = None, **kwargs: Any
    ) -> httpx.Response:
        if not path.startswith(("/v2", "/service", "/c/")):
            path = API + path
        headers = {**self._headers, **(headers or {})}
        return CLIENT.request(method, self.url + path, headers=headers, **kwargs)

    def json(self, path: str, **kwargs: Any) -> Any:
        response = self("GET", path, **kwargs)
        assert response.status_code == 200, response.text
        return response.json()

    def made(self, path: str, body: Any) -> int:
        """Create something and return its id."""
        response = self("POST", path, json=body)
        assert response.status_code == 201, response.text
        return int(response.headers["location"].rpartition("/")[2])

    def login(self, name: str, password: str) -> "Caller":
        return Caller(self.url, name, password)


def refused(response: httpx.Response, status: int, message: str, code: str | None = None) -> bool:
    """Whether an answer is Harbor's refusal with these words."""
    codes = {400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND"}
    codes |= {405: "METHOD_NOT_ALLOWED", 409: "CONFLICT", 412: "PRECONDITION", 500: "UNKNOWN"}
    codes |= {422: "UNPROCESSABLE_ENTITY"}
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.text.endswith("\n")
    expected = {"code": code or codes[status], "message": message}
    assert response.json() == {"errors": [expected]}
    return True
