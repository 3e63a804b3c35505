"""The connection to a Keycloak, through python-keycloak.

Only this module and `answers.py` import python-keycloak, which takes a while. `KeycloakClient`
imports them when it connects.
"""

import json
from collections.abc import Callable
from typing import Any

from keycloak import KeycloakAdmin, KeycloakOpenID, KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakConnectionError, KeycloakError

from tenantry.calls import MAX_CONCURRENT_CALLS, TIMEOUT, CircuitBreaker
from tenantry.confidential import hide_wire_logs
from tenantry.connections import KeycloakAccount
from tenantry.errors import SystemUnavailable
from tenantry.systems.keycloak.answers import PYTHON_KEYCLOAK, OtherHost, failure, restrain, result
from tenantry.transport import translate_errors

hide_wire_logs()


class Connection:
    """The connection to one realm of a Keycloak. Safe to use from many threads.

    Retries of python-keycloak are off, since they would repeat a POST whose answer was lost.

    Every method raises SystemRefused if Keycloak refuses the call, and SystemUnavailable if
    Keycloak does not answer or cannot handle the call now.
    """

    def __init__(self, account: KeycloakAccount, realm: str) -> None:
        self._account = account
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
        """Get a token."""
        call = f"POST /realms/{self._account.realm}/…/token"
        self._translate(call, self._connection.get_token)

    def server_info(self) -> Any:
        """Return what the server tells administrators about itself."""
        return self._translate("GET /admin/serverinfo", self._admin.get_server_info)

    def openid_configuration(self, realm: str) -> Any:
        """Return the OpenID configuration of a realm, which needs no token."""
        openid = KeycloakOpenID(
            server_url=f"{self._account.url}/",
            realm_name=realm,
            client_id=self._account.client_id,
            verify=self._account.verify,
            timeout=int(TIMEOUT),
            max_retries=0,
        )
        restrain(openid.connection)
        call = f"GET /realms/{realm}/.well-known/openid-configuration"
        return self._translate(call, openid.well_known)

    def exchange(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        status: int = 200,
    ) -> Any:
        """Return the content of the response to a call.

        Args:
            method: the method.
            path: below the address of the server.
            query: the query parameters.
            body: the body of the request.
            status: the documented status of the response.
        """
        call = f"{method} /{path}"
        connection = self._connection
        if method == "GET":
            answer = self._translate(call, lambda: connection.raw_get(path, **(query or {})))
        else:
            senders = {
                "POST": connection.raw_post,
                "PUT": connection.raw_put,
                "DELETE": connection.raw_delete,
            }
            send = senders[method]
            answer = self._translate(call, lambda: send(path, data=json.dumps(body)))
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
            body = {"password": self._account.password.get_secret_value()}
            status, content = error.response_code or 0, error.response_body or b""
            raise failure(call, status, content, headers, body) from None
