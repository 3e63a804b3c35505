"""The links with which pilots log in through a provider that the login page does not show yet.

A user selects a hidden provider with the parameter `kc_idp_hint`. The parameter cannot be added to
Harbor's login redirect if Harbor itself sends it: Keycloak rejects a duplicate parameter with 400.
A link to Harbor's client does not work either, because it lacks the state that Harbor keeps in its
session. The first link therefore begins a session of the realm through the account console's client
and the new provider. Harbor's login then finds that session, independent of its own parameter.
Tested with Keycloak 26.7.3: a session cookie takes precedence over the hint.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from tenantry.errors import SystemRefused
from tenantry.migration.journal import Journal
from tenantry.migration.options import PILOT
from tenantry.migration.snapshot import Snapshot
from tenantry.systems.systems import Systems

_CLIENTS = ("account", "account-console")
"""Clients that Keycloak creates in every realm. Both return to the realm's account console."""
_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""A PKCE challenge (the example of RFC 7636), which the account console's client requires. The code is
never redeemed, since only the session is needed."""


@dataclass(frozen=True)
class PilotLinks:
    """The links that a pilot opens, in this order and in one browser."""

    realm: str
    """Begins a session of the realm through the new provider; empty if Harbor's login does that."""
    harbor: str
    """Harbor's own login."""

    def __str__(self) -> str:
        if not self.realm:
            return f"Pilots log in to Harbor: {self.harbor}"
        return (
            f"Pilots log in with the new provider: {self.realm} and then open Harbor: {self.harbor}"
        )


def make_links(systems: Systems, provider: str = "") -> PilotLinks:
    """Return the links for a realm and its Harbor.

    Args:
        systems: the systems.
        provider: alias of the hidden provider; empty if Harbor already trusts the new issuer.

    Raises:
        SystemRefused: no client of the realm allows a login without Harbor.
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
        "both clients of the account console are disabled, so pilots cannot log in with the provider",
        advice="Enable the client 'account' of the realm.",
    )


def are_due(snapshot: Snapshot, entry: Journal) -> bool:
    """Return whether pilots need links: they are moved, and the login page does not show the provider.

    Before their wave, a login with the new provider would create a second account.
    """
    due = snapshot.waves[0] == PILOT and 0 < entry.waves_done < entry.waves
    return due and (entry.switched_at is None or entry.situation == "issuer")
