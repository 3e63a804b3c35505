"""What each check finds: what a user sees, the cause, the remedy, and the source of the fact.

`docs/checks.md` has the table that is generated from this one.
"""

from typing import NamedTuple


class Check(NamedTuple):
    """A check of the systems together. The texts are Markdown."""

    name: str
    symptom: str
    cause: str
    remedy: str
    source: str


CATALOGUE = (
    Check(
        "team files",
        "a change in the declared state has no effect",
        "a team's file is faulty, so that its team is left out of every run",
        "correct the file; `tenantry validate` lists every fault",
        "the declared state",
    ),
    Check(
        "single sign-on",
        "users cannot log in through the realm; the groups of the teams have no effect in Harbor",
        "Harbor has no OIDC provider or another one, or the realm has no client for "
        "Harbor; the other checks of the login are left out",
        "declare `harbor: {single_sign_on: {}}` and run `configure-platform`",
        "Harbor's configuration and the realm's clients",
    ),
    Check(
        "issuer",
        "login ends with 500; CLI secrets fail",
        "Harbor's `oidc_endpoint`, or the issuer of a RequestAuthentication, differs from"
        " the realm's issuer: a slash, http, `/auth`",
        "run `configure-platform`, or set Keycloak's hostname",
        "Harbor refuses a discovery document whose issuer differs",
    ),
    Check(
        "client secret",
        "login ends with 400 `unauthorized_client`",
        "the secret was renewed in Keycloak, or Harbor does not reach the realm",
        "run `configure-platform`",
        "tested by a login with an invented code; Harbor never shows the secret",
    ),
    Check(
        "redirect URI",
        "Keycloak shows *Invalid parameter: redirect_uri*",
        "the client lacks `<external URL>/c/oidc/callback`",
        "run `configure-platform`, or correct the external URL",
        "Harbor builds it from its external URL",
    ),
    Check(
        "PKCE",
        "Keycloak shows *Missing parameter: code_challenge_method*",
        "the client requires PKCE and Harbor is older than 2.13, or the client requires `plain`",
        "run `configure-platform`, or update Harbor",
        "Harbor sends S256 from 2.13 on",
    ),
    Check(
        "scopes",
        "login is refused, or CLI secrets expire with the session",
        "Harbor requests a scope that the client does not have, or does not request "
        "`openid` or `offline_access`",
        "run `configure-platform`",
        "Harbor's documentation of OIDC",
    ),
    Check(
        "claims",
        "users log in and see no project",
        "the token lacks a claim, or its groups are not a list, are paths, or lack the "
        "team's group",
        "run `configure-platform`; complete the user's profile",
        "Harbor accepts only a list of strings, and compares whole names",
    ),
    Check(
        "group type",
        "members of a team see no project",
        "Harbor knows the group as one of LDAP or HTTP; names are unique over all types",
        "delete it in Harbor, onboard the team again",
        "Harbor logs a warning only",
    ),
    Check(
        "group filter",
        "members of a team see no project",
        "`oidc_group_filter` hides the group, or is not a regular expression",
        "correct `group_filter`",
        "Harbor 2.7 and later",
    ),
    Check(
        "admin group",
        "only `admin` administers Harbor",
        "`oidc_admin_group` has no members",
        "add a member",
        "Harbor compares one group name",
    ),
    Check(
        "robot expiry",
        "pulls fail with 401, or will soon",
        "the robot expires soon or has expired, and was not rotated",
        "run `rotate-robots` if rotation is declared, otherwise onboard the team again",
        "Harbor rejects an expired robot like a wrong secret",
    ),
    Check(
        "robot access",
        "none; a stolen credential does more harm",
        "the robot was given more access by hand",
        "onboard the team again, or declare the access",
        "compared with the declared access",
    ),
    Check(
        "robot prefix",
        "all pulls of a team fail with 401",
        "`robot_name_prefix` changed since the Secret was written",
        "set it back, or onboard the team again",
        "Harbor adds the prefix to each name when it reads it",
    ),
    Check(
        "pull secrets",
        "none",
        "another tool attached an image pull secret to the ServiceAccount, and its robot "
        "was retired since",
        "remove it from `imagePullSecrets`, then delete it",
        "Tenantry leaves the image pull secrets of others attached, since pods may depend on them",
    ),
    Check(
        "keys",
        "login fails; tokens are rejected",
        "the discovery document or the keys cannot be read, or the certificate is not trusted",
        "correct the network or the certificate",
        "read from where the flows run",
    ),
    Check(
        "clocks",
        "tokens are rejected as not yet valid",
        "clocks differ by more than 30 s",
        "synchronize both with NTP",
        "the answer's Date header",
    ),
    Check(
        "port names",
        "rules about paths and tokens have no effect",
        "the name of a port in the mesh does not show its protocol",
        "name it `<protocol>[-suffix]`, or set `appProtocol`; for Harbor's ports, declare"
        " it in `mesh.harbor.app_protocols`",
        "Istio, protocol selection",
    ),
    Check(
        "port protocols",
        "requests fail now and then",
        "one port number is HTTP in one Service and TCP in another",
        "use another port",
        "Istio, deployment requirements",
    ),
    Check(
        "sidecars",
        "plain text between Harbor's pods; with STRICT they cannot connect",
        "a pod is older than the injection label",
        "restart the pod",
        "Istio: the label affects new pods only",
    ),
    Check(
        "route order",
        "the portal answers API calls",
        "a shorter prefix comes before a longer one",
        "put the longer one first",
        "VirtualService: the first match wins",
    ),
    Check(
        "hosts",
        "requests reach either of two services",
        "two routes of one gateway have the same host",
        "use one route, or two hosts",
        "Istio merges them in an undefined order",
    ),
    Check(
        "destinations",
        "503",
        "a route leads to a Service or port that does not exist",
        "correct the route",
        "",
    ),
    Check(
        "docker tokens",
        "docker pull and push end with 401",
        "a RequestAuthentication before Harbor's core or at the gateway reads `Authorization`",
        "select the portal only (`mesh.harbor.portal_tokens` does), or use `fromHeaders`",
        "Istio rejects a token of an unknown issuer before it evaluates any policy",
    ),
)
"""The checks, in the order of the report."""

CHECKS = tuple(check.name for check in CATALOGUE)
"""The names of the checks in findings."""
