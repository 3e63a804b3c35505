"""The client of Keycloak's admin API.

Lists are read in pages here: `get_groups` of python-keycloak omits children, and its `get_idps`
returns 100 at most.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any
from urllib.parse import quote

from tenantry.answers import Answer, many, one
from tenantry.calls import retry_read
from tenantry.connections import KeycloakAccount
from tenantry.errors import InvalidResponse, SystemRefused
from tenantry.transport import conflict_as_change, ignore_missing

_PAGE = 100

Representation = dict[str, Any]


class KeycloakClient:
    """The connection to one realm of a Keycloak. Safe to use from many threads.

    Every method raises SystemRefused if Keycloak refuses the call, and SystemUnavailable if
    Keycloak does not answer or cannot handle the call now.
    """

    def __init__(self, account: KeycloakAccount, realm: str) -> None:
        # Imported here, because python-keycloak takes a while to load.
        from tenantry.systems.keycloak.connection import Connection

        self.realm = realm
        self.url = account.url
        self.verify = account.verify
        self.account = account
        self._connection = Connection(account, realm)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def log_in(self) -> None:
        """Get the first token, so that concurrent threads do not each get one."""
        retry_read(self._connection.log_in)

    def version(self) -> str:
        """Return the version of the server, such as `26.7.3`. Keycloak shows it to administrators
        only."""
        info = retry_read(self._connection.server_info)
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
        document = retry_read(lambda: self._connection.openid_configuration(realm))
        issuer = document.get("issuer") if isinstance(document, dict) else None
        if not isinstance(issuer, str) or not issuer:
            call = f"GET /realms/{realm}/.well-known/openid-configuration"
            raise InvalidResponse("keycloak", call, "the answer lacks 'issuer'")
        return issuer

    def realm_exists(self) -> bool:
        """Return whether the realm exists."""
        return self.get("") is not None

    def realms(self) -> list[str]:
        """Return the names of all realms that the account can see."""
        query = {"briefRepresentation": "true"}
        found = retry_read(lambda: self._connection.exchange("GET", "admin/realms", query=query))
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
            self._connection.exchange("POST", "admin/realms", body=body, status=201)
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
        full = self._path(path)
        return self._connection.exchange(method, full, query=query, body=body, status=status)

    def _path(self, path: str) -> str:
        realm = quote(self.realm, safe="")
        return f"admin/realms/{realm}" + (f"/{path}" if path else "")

    def _call(self, method: str, path: str) -> str:
        return f"{method} /{self._path(path)}"
