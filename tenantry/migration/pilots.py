"""The links by which pilots log in by a new provider that the realm's login page does not show yet.

A person asks for a hidden provider by the parameter `kc_idp_hint`. It cannot be added to the page that
Harbor sends people to where Harbor sends the parameter itself: Keycloak refuses a duplicated one with
400. And a link of ours to Harbor's client lacks the state that Harbor keeps in its session. So the
first link begins a session of the realm through the client of its account console, by the new
provider; Harbor's own login then finds that session, whatever parameter it sends. Tried with
Keycloak 26.7.3: the cookie of a session comes before the hint.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from tenantry.errors import SystemRefused
from tenantry.systems.systems import Systems

_CLIENTS = ("account", "account-console")
"""Clients that Keycloak makes in every realm; both return to the realm's account console."""
_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""A challenge for PKCE, which the client of the account console demands (the example of RFC 7636).
Its code is never redeemed: the session is all that is wanted."""


@dataclass(frozen=True)
class PilotLinks:
    """What a pilot opens, in this order and in one browser."""

    realm: str
    """Begins a session of the realm by the new provider; empty where Harbor's login leads there."""
    harbor: str
    """Harbor's own login."""

    def __str__(self) -> str:
        if not self.realm:
            return f"Pilots log in to Harbor: {self.harbor}"
        return (
            f"Pilots log in by the new provider: {self.realm} and then open Harbor: {self.harbor}"
        )


def links(systems: Systems, provider: str = "") -> PilotLinks:
    """Return the links for a realm and its Harbor.

    Args:
        systems: the systems.
        provider: alias of the hidden provider; empty where Harbor trusts another issuer already.

    Raises:
        SystemRefused: the realm has no client that a person can log in by without Harbor.
    """
    base = str(systems.harbor_client.info()["external_url"]).rstrip("/")
    harbor = f"{base}/c/oidc/login"
    if not provider:
        return PilotLinks("", harbor)
    keycloak = systems.keycloak_client
    for name in _CLIENTS:
        found = keycloak.rows("clients", clientId=name) or ()
        if any(client.get("enabled") and client.get("standardFlowEnabled") for client in found):
            query = {
                "client_id": name,
                "redirect_uri": f"{keycloak.issuer}/account/",
                "response_type": "code",
                "scope": "openid",
                "code_challenge": _CHALLENGE,
                "code_challenge_method": "S256",
                "kc_idp_hint": provider,
            }
            page = f"{keycloak.issuer}/protocol/openid-connect/auth"
            return PilotLinks(f"{page}?{urlencode(query)}", harbor)
    raise SystemRefused(
        "keycloak",
        "GET clients",
        "neither client of the account console can be used, so pilots have no login by the provider",
        advice="Enable the client 'account' of the realm.",
    )
