"""Who may reach Harbor's portal: tokens of the realm's are looked at there, and nowhere else.

A RequestAuthentication refuses every token that it does not know, on whatever path, and
docker sends Harbor's own. So it selects the portal's pods only: core never meets it, nor
does the gateway.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tenantry.declared.platform import PortalTokens
from tenantry.kinds import Kind
from tenantry.systems.istio.kinds import AUTHORIZATION_POLICY, REQUEST_AUTHENTICATION

NAME = "harbor-portal"


def rules(
    declared: PortalTokens, issuer: str, selector: Mapping[str, str]
) -> Iterator[tuple[Kind, dict[str, Any]]]:
    """Kind and spec of each object, in the order in which nobody is shut out.

    Args:
        declared: what is declared.
        issuer: the realm's issuer, in its own words.
        selector: the labels of the portal's pods.
    """
    pods = {"matchLabels": dict(selector)}
    issuers = list(dict.fromkeys((issuer, *declared.other_issuers)))
    jwt = [_rule(each, declared.audiences, realm=each == issuer) for each in issuers]
    yield REQUEST_AUTHENTICATION, {"selector": pods, "jwtRules": jwt}
    if declared.required:
        source = {"source": {"requestPrincipals": [f"{each}/*" for each in issuers]}}
        yield (
            AUTHORIZATION_POLICY,
            {
                "selector": pods,
                "action": "ALLOW",
                "rules": [{"from": [source]}],
            },
        )


def _rule(issuer: str, audiences: Sequence[str], *, realm: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {"issuer": issuer, "forwardOriginalToken": True}
    if realm:  # where another's keys are, Istio reads in its discovery document
        rule["jwksUri"] = f"{issuer}/protocol/openid-connect/certs"
    if audiences:
        rule["audiences"] = sorted(audiences)
    return rule
