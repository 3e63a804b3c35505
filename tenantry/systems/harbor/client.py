"""The client of Harbor's API."""

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tenantry.answers import Answer, many, one, parse
from tenantry.calls import retry_read
from tenantry.connections import HarborAccount
from tenantry.errors import SystemRefused, SystemUnavailable
from tenantry.systems.harbor.answers import MEMBERS, error_message, failure
from tenantry.systems.harbor.session import wrong_password
from tenantry.systems.harbor.settings import Settings
from tenantry.systems.harbor.transport import API, HarborTransport
from tenantry.transport import conflict_as_change, ignore_missing

OLDEST = (2, 4)
SERVICE = "harbor-registry"
"""The name of Harbor's registry in requests to the token service."""
_PAGE = 100

Row = dict[str, Any]


class HarborClient:
    """The connection to one Harbor. Safe to use from many threads.

    Every method raises SystemRefused if Harbor refuses the call, and SystemUnavailable if Harbor
    does not answer or cannot handle the call now.
    """

    def __init__(self, account: HarborAccount) -> None:
        self.account = account
        self.transport = HarborTransport(account)
        self._info: Row | None = None
        self._reading_info = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def info(self) -> Row:
        """Return `/systeminfo` as an administrator sees it, with version and registry_url. It is
        read once.

        Raises:
            SystemRefused: the password of the account is wrong, or Harbor is older than 2.4.
        """
        with self._reading_info:
            if self._info is None:
                info = self.get("/systeminfo")
                if "harbor_version" not in info:
                    self.transport.check_database()
                    raise wrong_password(self.account)
                _check_version(info["harbor_version"])
                self._info = info
            return self._info

    def version(self) -> tuple[int, int]:
        """Return Harbor's version, such as (2, 15)."""
        found = re.match(r"v?(\d+)\.(\d+)", str(self.info()["harbor_version"]))
        return (int(found[1]), int(found[2])) if found else OLDEST

    def is_administrator(self) -> bool:
        """Return whether the account is a system administrator."""
        try:
            return bool(self.get("/users/current").get("sysadmin_flag"))
        except SystemRefused as error:
            if error.status == 412:  # the status for robots
                return False
            raise

    def get(self, path: str, *, by_name: bool = False, **query: Any) -> Answer:
        """Return the object at a path of the API.

        Args:
            path: below `/api/v2.0`.
            by_name: whether the path contains the name of a project. Otherwise Harbor takes a name
                that consists of digits for a number.
            query: the parameters of the query. Harbor decodes `q` twice, so a `+` in it must be
                `%2B`.
        """
        return one(self._read(path, by_name, query), "harbor", f"GET {API}{path}")

    def rows(self, path: str, *, by_name: bool = False, **query: Any) -> list[Answer]:
        """Return the rows of one page of a list, with the arguments of `get`."""
        return many(self._read(path, by_name, query), "harbor", f"GET {API}{path}")

    def _read(self, path: str, by_name: bool, query: Row) -> Any:
        answer = retry_read(lambda: self.transport.send("GET", path, by_name=by_name, query=query))
        return parse(answer.content, "harbor", f"GET {API}{path}", MEMBERS)

    def find(self, path: str, *, by_name: bool = False) -> Answer | None:
        """Return the object at a path, as `get` does; None if it does not exist."""
        with ignore_missing():
            return self.get(path, by_name=by_name)
        return None

    def pages(self, path: str, **query: Any) -> Iterator[Answer]:
        """Yield all rows of a list. X-Total-Count is ignored: it includes rows that the list
        omits."""
        page = 1
        while True:
            rows = self.rows(path, page=page, page_size=_PAGE, **query)
            yield from rows
            if len(rows) < _PAGE:
                return
            page += 1

    def post(
        self, path: str, body: Row, *, by_name: bool = False, status: int = 201
    ) -> httpx.Response:
        """Send a POST and return the response. After a creation it has the Location of the
        resource.

        Args:
            path: below `/api/v2.0`.
            body: the body of the request.
            by_name: as in `get`.
            status: the documented status of the response.

        Raises:
            InvalidResponse: the response is not the documented one, so the call may have had no
                effect.
        """
        return self.transport.send("POST", path, by_name=by_name, body=body, status=status)

    def create(self, path: str, body: Row) -> httpx.Response:
        """Create a resource that did not exist when it was observed, and return the response.

        Raises:
            ChangedMeanwhile: Harbor answers 409, since it exists now.
        """
        with conflict_as_change():
            return self.post(path, body)

    def put(self, path: str, body: Row) -> None:
        """Update a resource."""
        self.transport.send("PUT", path, body=body)

    def delete(self, path: str, *, by_name: bool = False) -> None:
        """Delete a resource. It is no error if the resource does not exist."""
        with ignore_missing():
            self.transport.send("DELETE", path, by_name=by_name)

    def patch(self, path: str, body: Row) -> Any:
        """Update part of a resource, and return the content of the response; None if it is
        empty."""
        answer = self.transport.send("PATCH", path, body=body)
        return answer.json() if answer.content else None

    def settings(self) -> Settings:
        """Return Harbor's configuration."""
        return Settings.of(self.get("/configurations"), f"GET {API}/configurations")

    def token_lifetime(self) -> timedelta:
        """Return how long a token of the registry is valid, even if its owner is deleted."""
        return timedelta(minutes=self.settings().number("token_expiration"))

    def accepts(self, username: str, password: str) -> bool:
        """Return whether Harbor accepts a robot's credential, used as docker uses it.

        While Harbor's database is down, its token service rejects valid credentials, too. So a
        rejection counts only if Harbor accepts the connection's own account afterwards, and rejects
        the credential again between two such checks.

        Raises:
            SystemUnavailable: Harbor rejects the connection's own account, too.
        """
        for _ in range(2):
            if self._gets_token(username, password):
                return True
            self.check_logins()
        return False

    def check_logins(self) -> None:
        """Check that Harbor can distinguish valid credentials from invalid ones now.

        Raises:
            SystemUnavailable: Harbor rejects the connection's own account, too.
        """
        if not self._gets_token(self.account.username, self.account.password.get_secret_value()):
            raise SystemUnavailable(
                "harbor",
                "GET /service/token",
                "it rejects the connection's own account, so valid credentials cannot be "
                "distinguished from invalid ones; this happens while its database is down",
            )

    def _gets_token(self, username: str, password: str) -> bool:
        # With a scope, Harbor would answer 200 to a wrong secret, too. The cookie of the session
        # would hide a wrong secret.
        path = "/service/token"

        def ask() -> bool:
            auth = httpx.BasicAuth(username, password)
            answer = self.transport.send_without_session(
                "GET", path, params={"service": SERVICE}, auth=auth
            )
            if answer.status_code not in (200, 401):
                raise failure("GET", path, answer)
            return answer.status_code == 200

        return retry_read(ask)

    def try_oidc_client(self) -> str:
        """Let Harbor use its OIDC client, and return what the provider answers.

        Harbor never shows the client secret. In a login with an invalid code, Harbor sends the
        secret to the provider, which checks the client before the code. No user is logged in.

        Returns:
            The message in Harbor's response: `oauth2: "invalid_grant" …` if only the code was
            rejected; empty if `/c/` is not routed to Harbor's core.
        """
        begun = retry_read(lambda: self.transport.exchange("GET", "/c/oidc/login"))
        if begun.status_code != httpx.codes.FOUND:
            return error_message(begun)
        state = parse_qs(urlsplit(begun.headers.get("location", "")).query).get("state")
        if not state:
            return ""
        cookies = "; ".join(f"{name}={value}" for name, value in begun.cookies.items())
        answer = self.transport.exchange(
            "GET",
            "/c/oidc/callback",
            params={"state": state[0], "code": "tenantry-tries-the-client"},
            headers={"Cookie": cookies},
        )
        return error_message(answer)


def _check_version(text: str) -> None:
    found = re.match(r"v?(\d+)\.(\d+)", text)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        raise SystemRefused(
            "harbor",
            "GET /api/v2.0/systeminfo",
            f"it is version {text}, and Tenantry needs {OLDEST[0]}.{OLDEST[1]} or later "
            "(the robots of older ones can't be renewed)",
            advice="Update Harbor.",
        )
