"""The chain from the realm's token to Harbor's group: issuer, client, claims, groups."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cached_property

from tenantry.checks.view import View
from tenantry.declared import Team
from tenantry.declared.expressions import Expression
from tenantry.drift.findings import Finding
from tenantry.resources import Id
from tenantry.systems import Systems
from tenantry.systems.harbor.configuration import SINGLE_SIGN_ON
from tenantry.systems.harbor.settings import Settings
from tenantry.systems.keycloak.client import Representation
from tenantry.systems.keycloak.clients import named
from tenantry.systems.keycloak.harbors_client import PKCE_SINCE

_OIDC_GROUP = 3


class Login(View):
    """What Harbor and the realm say of each other. Read once, when a check asks for it."""

    def __init__(self, systems: Systems) -> None:
        super().__init__(systems)
        self.harbor = systems.harbor_client
        self.realm = systems.keycloak_client

    @cached_property
    def settings(self) -> Settings:
        """Harbor's configuration."""
        return self.harbor.settings()

    @cached_property
    def client(self) -> Representation | None:
        """Harbor's client in the realm."""
        name = self.settings["oidc_client_id"]
        return named(self.realm.rows("clients", clientId=name), name, key="clientId")

    @property
    def misnamed(self) -> bool:
        """Whether Harbor calls the realm otherwise than it does itself: no login works then."""
        return str(self.settings["oidc_endpoint"]) != self.realm.issuer

    @property
    def asked(self) -> list[str]:
        """The scopes that Harbor asks for."""
        named = (scope.strip() for scope in str(self.settings["oidc_scope"]).split(","))
        return [scope for scope in named if scope]

    @property
    def had(self) -> set[str]:
        """The scopes that the client may have."""
        lists = ("defaultClientScopes", "optionalClientScopes")
        return {name for each in lists for name in (self.client or {}).get(each) or ()}

    @property
    def client_resource(self) -> Id:
        """How Harbor's client is known."""
        return Id("keycloak", "client", str(self.settings["oidc_client_id"]))

    @cached_property
    def sample(self) -> tuple[Team, Representation] | None:
        """A team, and somebody in its group; None if there is nobody in any."""
        for team in self.systems.state.teams.values():
            group = self.group(team.oidc_group)
            members = self.realm.rows(f"groups/{group['id']}/members", max=1) if group else None
            if members:
                return team, members[0]
        return None

    def group(self, name: str) -> Representation | None:
        """The group of this name, wherever it is: claims carry leaf names."""
        found = self.realm.rows("groups", search=name, exact="true") or []
        while found:
            if match := named(found, name):
                return match
            found = [child for group in found for child in group.get("subGroups") or ()]
        parent = self.systems.state.platform.keycloak.parent_group
        above = named(self.realm.rows("groups", search=parent, exact="true"), parent or "")
        if parent is None or above is None:
            return None
        path = f"groups/{above['id']}/children"
        return named(self.realm.rows(path, search=name, exact="true"), name)


def issuer(login: Login) -> Iterator[Finding]:
    """Harbor's endpoint is the realm's issuer, letter for letter."""
    endpoint, told = str(login.settings["oidc_endpoint"]), login.realm.issuer
    if login.misnamed:
        yield login.finding(
            "issuer",
            "critical",
            SINGLE_SIGN_ON,
            f"Harbor's oidc_endpoint is '{endpoint}', and the realm calls itself '{told}'"
            f"{_how(endpoint, told)}",
            "Set Harbor's oidc_endpoint to the realm's own word (configure-platform does), or "
            "Keycloak's hostname to the address that Harbor uses.",
        )


def _how(one: str, other: str) -> str:
    """What two issuers differ in, where it is one of the usual slips."""
    if one.rstrip("/") == other.rstrip("/"):
        return ": a slash at the end"
    if one.partition("://")[2] == other.partition("://")[2]:
        return ": http and https"
    if one.replace("/auth/realms/", "/realms/") == other.replace("/auth/realms/", "/realms/"):
        return ": /auth, which Keycloak has no longer since version 17"
    return ""


def client_secret(login: Login) -> Iterator[Finding]:
    """The realm takes the client id and secret that Harbor holds."""
    words = login.harbor.tried_client()
    if "unauthorized_client" in words or "invalid_client" in words:
        yield login.finding(
            "client secret",
            "critical",
            SINGLE_SIGN_ON,
            f"the realm refuses Harbor's client: {words}",
            "Run configure-platform: it hands Harbor the client's secret.",
        )
    elif words and "invalid_grant" not in words and not login.misnamed:
        yield login.finding(
            "client secret",
            "critical",
            SINGLE_SIGN_ON,
            f"a login through Harbor ends with: {words}",
            "See whether Harbor's core reaches the realm at its oidc_endpoint, and trusts its "
            "certificate.",
        )


def redirect_uri(login: Login) -> Iterator[Finding]:
    """The client's redirect URIs cover Harbor's callback."""
    callback = f"{str(login.harbor.info()['external_url']).rstrip('/')}/c/oidc/callback"
    client = login.client
    if client is None:
        yield login.finding(
            "redirect URI",
            "critical",
            login.client_resource,
            f"realm '{login.realm.realm}' has no such client, and Harbor logs in as it",
            "Declare harbor.single_sign_on and run configure-platform, or create the client.",
        )
    elif not any(_covers(uri, callback) for uri in client.get("redirectUris") or ()):
        yield login.finding(
            "redirect URI",
            "critical",
            login.client_resource,
            f"no redirect URI covers '{callback}', which is made of Harbor's external URL",
            "Add it to the client (configure-platform does), or correct Harbor's external URL.",
        )


def _covers(uri: str, callback: str) -> bool:
    return fnmatchcase(callback, uri) if uri.endswith("*") else uri == callback


def pkce(login: Login) -> Iterator[Finding]:
    """The client does not ask for PKCE of a Harbor that has none."""
    method = ((login.client or {}).get("attributes") or {}).get("pkce.code.challenge.method")
    if method == "S256" and login.harbor.version() < PKCE_SINCE:
        yield login.finding(
            "PKCE",
            "critical",
            login.client_resource,
            "the client requires PKCE, and Harbor sends it from version 2.13 on",
            "Take it off the client (configure-platform does), or update Harbor.",
        )
    elif method == "plain":
        yield login.finding(
            "PKCE",
            "critical",
            login.client_resource,
            "the client requires PKCE by 'plain', and Harbor sends S256",
            "Set it to S256 (configure-platform does).",
        )


def scopes(login: Login) -> Iterator[Finding]:
    """What Harbor asks for can be had, and CLI secrets outlive the login."""
    asked = login.asked
    if login.client is not None:
        missing = [scope for scope in asked if scope not in login.had | {"openid"}]
        if missing:
            yield login.finding(
                "scopes",
                "critical",
                login.client_resource,
                f"Harbor asks for {', '.join(missing)}, which the client may not have",
                "Assign it to the client, or take it out of Harbor's oidc_scope.",
            )
    if "openid" not in asked:
        yield login.finding(
            "scopes",
            "critical",
            SINGLE_SIGN_ON,
            "Harbor's oidc_scope lacks openid: no login has an ID token",
            "Add it (configure-platform does).",
        )
    if "offline_access" not in asked:
        yield login.finding(
            "scopes",
            "warning",
            SINGLE_SIGN_ON,
            "Harbor's oidc_scope lacks offline_access: people's CLI secrets die with their login",
            "Add it (configure-platform does), and let programs use robots.",
        )


def claims(login: Login) -> Iterator[Finding]:
    """An ID token for somebody of a team holds what Harbor needs. No password is needed."""
    if login.client is None or login.sample is None:
        return
    team, user = login.sample
    # A scope that can't be had is the finding of another check.
    asked = " ".join(["openid", *(scope for scope in login.asked if scope in login.had)])
    path = f"clients/{login.client['id']}/evaluate-scopes/generate-example-id-token"
    token: Representation = login.realm.get(path, userId=user["id"], scope=asked) or {}
    told = f"an ID token for '{user['username']}'"
    for name in ("iss", "sub", "email", "email_verified"):
        if token.get(name) is None:
            yield _claim(login, f"{told} has no '{name}'", team)
    if token.get("iss") not in (None, login.settings["oidc_endpoint"]) and not login.misnamed:
        yield _claim(login, f"{told} is issued by '{token['iss']}'", team)
    yield from _groups(login, token, told, team)


def _groups(login: Login, token: Representation, told: str, team: Team) -> Iterator[Finding]:
    name = str(login.settings["oidc_groups_claim"])
    groups = token.get(name)
    if groups is None:
        yield _claim(login, f"{told} has no claim '{name}', which Harbor reads groups from", team)
    elif not isinstance(groups, list) or not all(isinstance(each, str) for each in groups):
        yield _claim(login, f"the claim '{name}' of {told} is no list of texts", team)
    elif any(each.startswith("/") for each in groups):
        yield _claim(
            login,
            f"the claim '{name}' of {told} holds paths ({', '.join(groups)}): Harbor takes "
            "'/a' for another group than 'a'",
            team,
        )
    elif team.oidc_group not in groups:
        yield _claim(login, f"the claim '{name}' of {told} lacks '{team.oidc_group}'", team)


def _claim(login: Login, cause: str, team: Team) -> Finding:
    remedy = (
        "Correct the mappers of Harbor's client and its scopes (configure-platform does), or the "
        "user's profile."
    )
    return login.finding("claims", "critical", login.client_resource, cause, remedy, team.name)


def group_type(login: Login) -> Iterator[Finding]:
    """Harbor knows no team's group under another type than OIDC."""
    owners = {team.oidc_group: team.name for team in login.systems.state.teams.values()}
    for group in login.harbor.pages("/usergroups"):
        name = group["group_name"]
        if name in owners and group["group_type"] != _OIDC_GROUP:
            yield login.finding(
                "group type",
                "critical",
                Id("harbor", "user group", name),
                f"Harbor knows it as type {group['group_type']}, and names are unique over all "
                "types: who logs in with it gets nothing",
                "Delete it in Harbor once you have noted its memberships, which go with it in "
                "every project; then onboard the team again.",
                owners[name],
            )


def group_filter(login: Login) -> Iterator[Finding]:
    """Harbor's filter hides no team's group."""
    text = str(login.settings.get("oidc_group_filter") or "")
    if not text:
        return
    try:
        pattern = Expression(text)
    except ValueError:
        yield login.finding(
            "group filter",
            "warning",
            SINGLE_SIGN_ON,
            f"oidc_group_filter '{text}' is no regular expression: Harbor ignores it silently",
            "Correct harbor.single_sign_on.group_filter.",
        )
        return
    for team in login.systems.state.teams.values():
        if not pattern.is_in(team.oidc_group):
            yield login.finding(
                "group filter",
                "critical",
                SINGLE_SIGN_ON,
                f"oidc_group_filter '{text}' hides '{team.oidc_group}'",
                "Widen harbor.single_sign_on.group_filter.",
                team.name,
            )


def admin_group(login: Login) -> Iterator[Finding]:
    """Somebody is in the group of Harbor's administrators."""
    name = str(login.settings.get("oidc_admin_group") or "")
    if not name:
        return
    group = login.group(name)
    members = login.realm.rows(f"groups/{group['id']}/members", max=1) if group else None
    if not members:
        what = "nobody is in it" if group else "the realm has no such group"
        yield login.finding(
            "admin group",
            "warning",
            Id("keycloak", "group", name),
            f"it is Harbor's oidc_admin_group, and {what}",
            "Put somebody in, or name another in harbor.single_sign_on.admin_group.",
        )
