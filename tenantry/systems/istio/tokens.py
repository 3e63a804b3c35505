"""Who may reach Harbor's portal: tokens of the realm's are looked at there, and nowhere else.

A RequestAuthentication refuses every token that it does not know, on whatever path, and
docker sends Harbor's own. So it selects the portal's pods only: core never meets it, nor
does the gateway.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tenantry.declared.platform import PortalTokens

NAME = "harbor-portal"


def rules(
    declared: PortalTokens, issuer: str, selector: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and spec of each object, in the order in which nobody is shut out.

    Args:
        declared: what is declared.
        issuer: the realm's issuer, in its own words.
        selector: the labels of the portal's pods.
    """
    pods = {"matchLabels": dict(selector)}
    rule: dict[str, Any] = {
        "issuer": issuer,
        "jwksUri": f"{issuer}/protocol/openid-connect/certs",
        "forwardOriginalToken": True,
    }
    if declared.audiences:
        rule["audiences"] = sorted(declared.audiences)
    yield "RequestAuthentication", {"selector": pods, "jwtRules": [rule]}
    if declared.required:
        source = {"source": {"requestPrincipals": [f"{issuer}/*"]}}
        yield (
            "AuthorizationPolicy",
            {
                "selector": pods,
                "action": "ALLOW",
                "rules": [{"from": [source]}],
            },
        )
