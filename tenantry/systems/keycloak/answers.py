"""Keycloak's responses: the check that they are the documented ones, and errors with advice."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import requests
from keycloak.exceptions import KeycloakConnectionError
from requests.adapters import HTTPAdapter

from tenantry.answers import Members, is_page, not_documented, parse
from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.confidential import without_secrets
from tenantry.errors import SystemRefused, SystemUnavailable
from tenantry.transport import Library, redirected, refusal

MEMBERS: Members = {
    **dict.fromkeys(("id", "name", "username", "clientId", "alias", "path", "realm"), str),
    **dict.fromkeys(("identityProvider", "userId", "userName", "protocolMapper"), str),
    **dict.fromkeys(("executor", "email", "firstName", "lastName"), str),
    **dict.fromkeys(("attributes", "config", "clientMappings"), dict),
    **dict.fromkeys(("publicClient", "enabled", "emailVerified"), bool),
    **{name: [str] for name in ("redirectUris", "webOrigins", "requiredActions")},
    **{name: [str] for name in ("defaultClientScopes", "optionalClientScopes")},
    **{name: [dict] for name in ("protocolMappers", "subGroups", "executors", "mappings")},
    "realmMappings": [dict],
    "createdTimestamp": int,
}
"""The types of the members that are read, as Keycloak's API specifies them."""


def _cause(error: BaseException) -> BaseException:
    return error.__cause__ or error


PYTHON_KEYCLOAK = Library((KeycloakConnectionError, requests.RequestException), _cause)
"""python-keycloak wraps what requests raises."""


class OtherHost(Exception):
    """A redirect to another host, which is not followed."""

    def __init__(self, status: int, target: str) -> None:
        self.status = status
        self.target = target

    def refusal(self, call: str) -> SystemRefused:
        """Return the error of the call that was redirected."""
        advice = (
            "Correct the address in the Keycloak connection, or the proxy in front of Keycloak."
        )
        return redirected("keycloak", call, self.status, self.target, advice)


def restrain(connection: Any) -> None:
    """Turn off the retries of a connection, and redirects to other hosts.

    A 307 or 308 repeats the request with its body, which contains the password or a secret. And the
    connection that python-keycloak uses for tokens repeats a request after any Retry-After.
    """
    for prefix in ("https://", "http://"):
        adapter = HTTPAdapter(max_retries=0, pool_maxsize=MAX_CONCURRENT_CALLS)
        connection._s.mount(prefix, adapter)
    session: requests.Session = connection._s
    target_of = session.get_redirect_target

    def same_host(resp: requests.Response) -> str | None:
        target = target_of(resp)
        if target and session.should_strip_auth(resp.url, urljoin(resp.url, target)):
            raise OtherHost(resp.status_code, urljoin(resp.url, target))
        return target

    session.get_redirect_target = same_host  # type: ignore[method-assign]


def result(call: str, status: int, answer: requests.Response) -> Any:
    """Return the content of a response if it is the one that Keycloak's API documents for the call.

    Args:
        call: method and path.
        status: the documented status.
        answer: the response.

    Raises:
        SystemRefused: Keycloak refuses the call.
        SystemUnavailable: Keycloak cannot answer it now.
        InvalidResponse: it is another response, such as the login page of a proxy.
    """
    if answer.status_code >= 300:
        page = is_page(answer.headers.get("Content-Type"), answer.content)
        if answer.status_code == 404 and page:
            raise not_documented("keycloak", call, 404, "an error in JSON")
        wait = answer.headers.get("Retry-After")
        sent = answer.request
        raise failure(call, answer.status_code, answer.content, sent.headers, sent.body, wait)
    location = answer.headers.get("Location", "").rsplit("/", 1)[-1]
    if answer.status_code != status or (status == 201 and not location):
        wanted = f"{status} with a Location" if status == 201 else str(status)
        raise not_documented("keycloak", call, answer.status_code, wanted)
    if status == 201:
        return location
    if status == 204:
        return None
    content = parse(answer.content, "keycloak", call, MEMBERS)
    return content if call.startswith("GET ") else None


def failure(
    call: str,
    status: int,
    content: bytes,
    headers: Mapping[str, Any],
    body: object,
    retry_after_header: str | None = None,
) -> SystemRefused | SystemUnavailable:
    """Return the error for a response with an error status."""
    reason = without_secrets(_reason(content), headers, body)
    advice = ""
    # Measured: Keycloak 26.7 answers a wrong password with 400 and this error, not with 401.
    if status == 401 or b"invalid_grant" in content:
        advice = "The credentials of the Keycloak connection are not accepted."
    elif status == 403:
        advice = "The account of the Keycloak connection lacks this right."
    # Concurrent writes in one realm can fail with 500, by optimistic locking: that is temporary.
    return refusal(
        "keycloak", call, status, reason, advice=advice, retry_after_header=retry_after_header
    )


def _reason(content: bytes) -> str:
    """Return Keycloak's error message, which has different keys in different responses."""
    try:
        said = json.loads(content)
    except ValueError:
        return "no reason given"
    if not isinstance(said, dict):
        return "no reason given"
    for key in ("errorMessage", "error_description", "error"):
        if said.get(key):
            return str(said[key])
    return "no reason given"
