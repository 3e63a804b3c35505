"""The Harbor that the people of a lab log in to: the sandbox's, or one that is given."""

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
"""Seconds after which a Harbor knows of its provider's new settings: it keeps the old ones for 3."""


class LabHarbor:
    """A Harbor whose OIDC provider a lab replaces, and which is left as it was found.

    The given one is used if its provider may be replaced, else the sandbox's. What a lab makes
    there has the lab's mark in its name.

    Attributes:
        account: its address, and its administrator.
        url: its address.
        caller: calls it as its administrator.
        is_the_sandboxs: whether it is the sandbox's, which can do more than its API.
    """

    def __init__(self, sandbox: Sandbox, given: GivenHarbor | None = None) -> None:
        chosen = given if given and given.sign_on else None
        own = sandbox.addresses()["harbor"]
        self.account: HarborAccount = chosen or HarborAccount.model_validate(own)
        self.is_the_sandboxs = chosen is None
        self.url = self.account.url
        password = self.account.password.get_secret_value()
        self.caller = Caller(self.url, self.account.username, password)
        self._sandbox = sandbox
        self._before = self.settings()

    # Its settings

    def settings(self) -> dict[str, Any]:
        """What it is set to, as far as it shows that."""
        found = self.caller.json("/configurations").items()
        return {name: each["value"] for name, each in found if each.get("value") is not None}

    def set(self, **settings: Any) -> None:
        """Changes some settings behind Tenantry's back, and waits until they hold."""
        self._put(settings)
        self.settle()

    def settle(self) -> None:
        """Waits until a provider's settings hold that were changed just now."""
        if self.is_the_sandboxs:
            self._sandbox.harbor.provider = None
        else:
            time.sleep(_REMEMBERS)

    def forget_provider(self) -> None:
        """Takes the provider away: Tenantry replaces none by which Harbor knows people."""
        self._put({"oidc_endpoint": ""})

    def _put(self, settings: dict[str, Any]) -> None:
        answer = self.caller("PUT", "/configurations", json=settings)
        assert answer.status_code == 200, answer.text

    # Logins

    def log_in(self, name: str, password: str) -> tuple[httpx.Client, httpx.Response]:
        """A person's browser, which whoever calls closes, and Harbor's answer to the login."""
        login, back = (f"{self.url}/c/oidc/{step}" for step in ("login", "callback"))
        return browser.log_in_at(login, back, name, password)

    def current(self, client: httpx.Client) -> dict[str, Any]:
        """Who Harbor says that a browser's person is."""
        found: dict[str, Any] = client.get(f"{self.url}/api/v2.0/users/current").json()
        return found

    # The end

    def close(self, mark: str) -> None:
        """Removes what has the mark, and puts the settings back."""
        try:
            self.remove(mark)
        finally:
            self.put_back()

    def remove(self, mark: str) -> None:
        """Removes the users, projects, robots and groups that have the mark in their names."""
        for user in self.caller.json(f"/users?q=username%3D~{mark}&page_size=0"):
            answer = self.caller("DELETE", f"/users/{user['user_id']}")
            assert answer.status_code == 200, answer.text
        remove_from_harbor(self.account, mark)

    def put_back(self) -> None:
        """Sets what was changed to what it was. The provider's secret stays: nobody can see it."""
        now = self.settings()
        changed = {name: value for name, value in self._before.items() if now.get(name) != value}
        if changed:
            self.set(**changed)


def new_mark() -> str:
    """What nothing else has in its name. Keycloak's user names are in lower case, as this is."""
    return uuid.uuid4().hex[:8]
