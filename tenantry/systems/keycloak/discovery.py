"""An external provider's discovery document, as this process reads it."""

from typing import Any

import httpx

from tenantry.calls import TIMEOUT, retry_read
from tenantry.errors import SystemRefused, SystemUnavailable, no_answer

_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def discover(issuer: str) -> dict[str, Any]:
    """The document of an issuer.

    Raises:
        SystemRefused: there is none, or it is another issuer's, or lacks an endpoint.
        SystemUnavailable: no answer.
    """
    url = f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
    document = retry_read(lambda: _fetch(url))
    if document.get("issuer") != issuer:
        raise SystemRefused(
            "provider",
            f"GET {url}",
            f"its issuer is '{document.get('issuer')}', and '{issuer}' is declared: they must be "
            "the same, letter for letter",
        )
    missing = [name for name in _NEEDED if not document.get(name)]
    if missing:
        raise SystemRefused("provider", f"GET {url}", f"it lacks {', '.join(missing)}")
    return document


def _fetch(url: str) -> dict[str, Any]:
    call = f"GET {url}"
    try:
        answer = httpx.get(url, timeout=TIMEOUT, follow_redirects=True)
    except httpx.TransportError as error:
        raise no_answer("provider", call, error) from None
    if answer.status_code >= 500:
        raise SystemUnavailable("provider", call, answer.reason_phrase, status=answer.status_code)
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not answer.is_success or not isinstance(document, dict):
        text = "there is no discovery document"
        raise SystemRefused("provider", call, text, status=answer.status_code)
    return document
