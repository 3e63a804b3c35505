"""How the cases call a Harbor: all that a caller made is removed in the end."""

from typing import Any

import httpx

from tests.sandbox.calls import API, Caller


class HarborCaller(Caller):
    """Calls Harbor as somebody, keeps no cookies, and remembers what it made."""

    def __init__(self, url: str, name: str = "", password: str = "") -> None:
        super().__init__(url, name, password)
        self._made: list[str] = []

    def __call__(self, method: str, path: str, headers: dict | None = None, **kwargs: Any) -> Any:
        response: httpx.Response = super().__call__(method, path, headers, **kwargs)
        if method == "POST" and response.status_code == 201 and "location" in response.headers:
            self._made.append(response.headers["location"].removeprefix(API))
        return response

    def login(self, name: str, password: str) -> "HarborCaller":
        return HarborCaller(self.url, name, password)

    def clean_up(self) -> None:
        for path in reversed(self._made):
            self("DELETE", path)
