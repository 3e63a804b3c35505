"""The Harbor to which the users of a lab log in: the simulated one, or a given one."""

import time
import uuid
from typing import Any

import httpx

from tenantry.connections import HarborAccount
from tenantry.sandbox import Sandbox
from tests.real.servers import browser
from tests.real.servers.given import remove_from_harbor
from tests.sandbox.calls import Caller
from tests.support.addresses import GivenHarbor

_REMEMBERS = 4
"""Seconds until Harbor uses changed provider settings: it caches the old ones for 3 seconds."""


class LabHarbor:
    """A Harbor whose OIDC provider a lab replaces, and whose original state `close` restores.

    The given Harbor is used if its provider may be replaced, else the simulated one. The names of
    the lab's objects in Harbor contain the lab's mark.

    Attributes:
        account: The address and the administrator of this Harbor.
        url: The address of this Harbor.
        caller: A client that authenticates as the administrator.
        is_simulated: Whether this is the sandbox's Harbor, where a test can also change the state
            for which Harbor has no API call.
    """

    def __init__(self, sandbox: Sandbox, given: GivenHarbor | None = None) -> None:
        chosen = given if given and given.sign_on else None
        own = sandbox.addresses()["harbor"]
        self.account: HarborAccount = chosen or HarborAccount.model_validate(own)
        self.is_simulated = chosen is None
        self.url = self.account.url
        password = self.account.password.get_secret_value()
        self.caller = Caller(self.url, self.account.username, password)
        self._sandbox = sandbox
        self._before = self.settings()

    # Its settings

    def settings(self) -> dict[str, Any]:
        """Return the visible settings, by name."""
        found = self.caller.json("/configurations").items()
        return {name: each["value"] for name, each in found if each.get("value") is not None}

    def set(self, **settings: Any) -> None:
        """Change settings outside Tenantry, and wait until they take effect."""
        self._put(settings)
        self.settle()

    def settle(self) -> None:
        """Wait until the last change of the provider settings takes effect."""
        if self.is_simulated:
            self._sandbox.harbor.provider = None
        else:
            time.sleep(_REMEMBERS)

    def forget_provider(self) -> None:
        """Remove the provider, because Tenantry never replaces one that Harbor has users of."""
        self._put({"oidc_endpoint": ""})

    def _put(self, settings: dict[str, Any]) -> None:
        answer = self.caller("PUT", "/configurations", json=settings)
        assert answer.status_code == 200, answer.text

    # Logins

    def log_in(self, name: str, password: str) -> tuple[httpx.Client, httpx.Response]:
        """Log a user in, and return the browser and Harbor's response; the caller closes it."""
        login, back = (f"{self.url}/c/oidc/{step}" for step in ("login", "callback"))
        return browser.log_in_at(login, back, name, password)

    def current(self, client: httpx.Client) -> dict[str, Any]:
        """Return the user that Harbor reports for the session of a browser."""
        found: dict[str, Any] = client.get(f"{self.url}/api/v2.0/users/current").json()
        return found

    # The end

    def close(self, mark: str) -> None:
        """Remove the objects with the mark, and restore the settings."""
        try:
            self.remove(mark)
        finally:
            self.restore()

    def remove(self, mark: str) -> None:
        """Remove the users, projects, robots and groups with the mark in their names."""
        for user in self.caller.json(f"/users?q=username%3D~{mark}&page_size=0"):
            answer = self.caller("DELETE", f"/users/{user['user_id']}")
            assert answer.status_code == 200, answer.text
        remove_from_harbor(self.account, mark)

    def restore(self) -> None:
        """Restore the changed settings, except the provider's secret, which Harbor never shows."""
        now = self.settings()
        changed = {name: value for name, value in self._before.items() if now.get(name) != value}
        if changed:
            self.set(**changed)


def new_mark() -> str:
    """Return a unique part for names, in lower case like the user names of Keycloak."""
    return uuid.uuid4().hex[:8]
