"""The client of Keycloak's admin API, through python-keycloak.

Retries of python-keycloak are off, since they would repeat a POST whose answer was lost. Lists are
read in pages here: its `get_groups` omits children, and its `get_idps` returns 100 at most.
"""

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any
from urllib.parse import quote

from keycloak import KeycloakAdmin, KeycloakOpenID, KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakConnectionError, KeycloakError

from tenantry.answers import Answer, many, one
from tenantry.calls import MAX_CONCURRENT_CALLS, TIMEOUT, CircuitBreaker, retry_read
from tenantry.connections import KeycloakAccount
from tenantry.errors import (
    InvalidResponse,
    SystemRefused,
    SystemUnavailable,
)
from tenantry.systems.keycloak.answers import PYTHON_KEYCLOAK, OtherHost, failure, restrain, result
from tenantry.transport import conflict_as_change, ignore_missing, translate_errors

_PAGE = 100

Representation = dict[str, Any]


class KeycloakClient:
    """The connection to one realm of a Keycloak. Safe to use from many threads.

    Every method raises SystemRefused if Keycloak refuses the call, and SystemUnavailable if
    Keycloak does not answer or cannot handle the call now.
    """

    def __init__(self, account: KeycloakAccount, realm: str) -> None:
        self.realm = realm
        self.url = account.url
        self.verify = account.verify
        self.account = account
        self._connection = KeycloakOpenIDConnection(
            server_url=f"{account.url}/",
            username=account.username,
            password=account.password.get_secret_value(),
            client_id=account.client_id,
            realm_name=realm,
            user_realm_name=account.realm,
            verify=account.verify,
            timeout=int(TIMEOUT),
            max_retries=0,
            pool_maxsize=MAX_CONCURRENT_CALLS,
        )
        restrain(self._connection)
        restrain(self._connection.keycloak_openid.connection)
        self._breaker = CircuitBreaker("keycloak")
        self._admin = KeycloakAdmin(connection=self._connection)

    def close(self) -> None:
        """Close the connections."""
        self._connection._s.close()

    def log_in(self) -> None:
        """Get the first token, so that concurrent threads do not each get one."""
        retry_read(
            lambda: self._translate(f"POST /realms/{self.account.realm}/…/token", self._log_in)
        )

    def _log_in(self) -> None:
        self._connection.get_token()

    def version(self) -> str:
        """Return the version of the server, such as `26.7.3`. Keycloak shows it to administrators
        only."""
        call = "GET /admin/serverinfo"
        info = retry_read(lambda: self._translate(call, self._admin.get_server_info))
        try:
            return str(info["systemInfo"]["version"])
        except (LookupError, TypeError):
            return "of unknown version"

    @cached_property
    def issuer(self) -> str:
        """The issuer of the realm, as the realm states it. It can differ from the connection's
        address."""
        return self._issuer_of(self.realm)

    def issuer_to_be(self) -> str:
        """Return the issuer of the realm, also before the realm exists: derived from another
        realm."""
        try:
            return self.issuer
        except SystemRefused as error:
            if error.status != 404:
                raise
        neighbour = self._issuer_of(self.account.realm)
        return neighbour.removesuffix(self.account.realm) + self.realm

    def _issuer_of(self, realm: str) -> str:
        openid = KeycloakOpenID(
            server_url=f"{self.url}/",
            realm_name=realm,
            client_id=self.account.client_id,
            verify=self.account.verify,
            timeout=int(TIMEOUT),
            max_retries=0,
        )
        restrain(openid.connection)
        call = f"GET /realms/{realm}/.well-known/openid-configuration"
        document = retry_read(lambda: self._translate(call, openid.well_known))
        issuer = document.get("issuer") if isinstance(document, dict) else None
        if not isinstance(issuer, str) or not issuer:
            raise InvalidResponse("keycloak", call, "the answer lacks 'issuer'")
        return issuer

    def realm_exists(self) -> bool:
        """Return whether the realm exists."""
        return self.get("") is not None

    def realms(self) -> list[str]:
        """Return the names of all realms that the account can see."""
        query = {"briefRepresentation": "true"}
        found = retry_read(lambda: self._exchange("GET", "admin/realms", query=query))
        call = "GET /admin/realms"
        return [str(each["realm"]) for each in many(found or [], "keycloak", call)]

    def get(self, path: str, **query: Any) -> Answer | None:
        """Return the object at a path below the realm; None if there is none."""
        found = self._read(path, query)
        return None if found is None else one(found, "keycloak", self._call("GET", path))

    def rows(self, path: str, **query: Any) -> list[Answer] | None:
        """Return the list at a path below the realm; None if there is none."""
        found = self._read(path, query)
        return None if found is None else many(found, "keycloak", self._call("GET", path))

    def count(self, path: str, **query: Any) -> int:
        """Return the number at a path below the realm; 0 if there is none."""
        found = self._read(path, query) or 0
        if not isinstance(found, int):
            raise InvalidResponse("keycloak", self._call("GET", path), "the answer is not a number")
        return found

    def _read(self, path: str, query: dict[str, Any]) -> Any:
        with ignore_missing():
            return retry_read(lambda: self._send("GET", path, query=query))
        return None

    def pages(self, path: str, **query: Any) -> Iterator[Answer]:
        """Yield all items of a list below the realm."""
        first = 0
        while True:
            page = self.rows(path, first=first, max=_PAGE, **query) or []
            yield from page
            if len(page) < _PAGE:
                return
            first += _PAGE

    def post(self, path: str, body: Representation, *, status: int = 201) -> str:
        """Create a resource, or carry out an action.

        Args:
            path: below the realm.
            body: the body of the request.
            status: the documented status of the response.

        Returns:
            The id of the resource, which is the last part of the Location; empty if the status is
            not 201.

        Raises:
            ChangedMeanwhile: the resource exists now.
            InvalidResponse: the response is not the documented one, so the call may have had no
                effect.
        """
        with conflict_as_change():
            return str(self._send("POST", path, body=body, status=status) or "")

    def create_realm(self, settings: Representation) -> None:
        """Create the realm, and get a new token, since the former one has no rights in the realm.

        Raises:
            ChangedMeanwhile: the realm exists now.
        """
        body = {"realm": self.realm, "enabled": True, **settings}
        with conflict_as_change():
            self._exchange("POST", "admin/realms", body=body, status=201)
        self.log_in()

    def put(self, path: str, body: Representation | None = None, *, status: int = 204) -> None:
        """Update a resource.

        Args:
            path: below the realm.
            body: the body of the request.
            status: the documented status of the response.

        Raises:
            InvalidResponse: the response is not the documented one, so the call may have had no
                effect.
        """
        self._send("PUT", path, body=body or {}, status=status)

    def delete(self, path: str) -> None:
        """Delete a resource. It is no error if the resource does not exist."""
        with ignore_missing():
            self._send("DELETE", path, status=204)

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Representation | None = None,
        status: int = 200,
    ) -> Any:
        return self._exchange(method, self._path(path), query=query, body=body, status=status)

    def _path(self, path: str) -> str:
        realm = quote(self.realm, safe="")
        return f"admin/realms/{realm}" + (f"/{path}" if path else "")

    def _call(self, method: str, path: str) -> str:
        return f"{method} /{self._path(path)}"

    def _exchange(
        self,
        method: str,
        full: str,
        *,
        query: dict[str, Any] | None = None,
        body: Representation | None = None,
        status: int = 200,
    ) -> Any:
        call = f"{method} /{full}"
        connection = self._connection
        if method == "GET":
            answer = self._translate(call, lambda: connection.raw_get(full, **(query or {})))
        else:
            senders = {
                "POST": connection.raw_post,
                "PUT": connection.raw_put,
                "DELETE": connection.raw_delete,
            }
            send = senders[method]
            answer = self._translate(call, lambda: send(full, data=json.dumps(body)))
        return result(call, status, answer)

    def _translate(self, call: str, work: Callable[[], Any]) -> Any:
        with self._breaker.guard(call), translate_errors(PYTHON_KEYCLOAK, "keycloak", call):
            return self._translated(call, work)

    def _translated(self, call: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except KeycloakConnectionError as error:
            if isinstance(error.__cause__, OtherHost):
                raise error.__cause__.refusal(call) from None
            raise
        except (TypeError, ValueError):
            # python-keycloak's message contains the whole answer, which may have a token.
            raise SystemUnavailable("keycloak", call, "the answer is not what it must be") from None
        except KeycloakError as error:
            headers = self._connection.headers or {}
            body = {"password": self.account.password.get_secret_value()}
            status, content = error.response_code or 0, error.response_body or b""
            raise failure(call, status, content, headers, body) from None
