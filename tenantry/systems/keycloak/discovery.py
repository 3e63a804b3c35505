"""The discovery document of an external provider."""

from typing import Any

import httpx

from tenantry.calls import TIMEOUT, is_temporary, retry_read
from tenantry.errors import SystemRefused
from tenantry.transport import HTTPX, refusal, translate_errors

_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def discover(issuer: str) -> dict[str, Any]:
    """Return the discovery document of an issuer.

    Raises:
        SystemRefused: the document does not exist, names another issuer, or lacks an endpoint.
        SystemUnavailable: the issuer does not answer.
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
    with translate_errors(HTTPX, "provider", call):
        answer = httpx.get(url, timeout=TIMEOUT, follow_redirects=True)
    status = answer.status_code
    if is_temporary(status):
        reason, wait = answer.reason_phrase, answer.headers.get("Retry-After")
        raise refusal("provider", call, status, reason, retry_after_header=wait)
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not answer.is_success or not isinstance(document, dict):
        text = "there is no discovery document"
        raise SystemRefused("provider", call, text, status=status)
    return document
