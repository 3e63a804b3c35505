"""Checks of the login chain, from the realm's token to Harbor's groups."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cached_property

from tenantry.checks.view import View
from tenantry.declared import Team
from tenantry.drift.findings import Finding
from tenantry.resources import Id
from tenantry.systems.harbor.platform import SINGLE_SIGN_ON
from tenantry.systems.harbor.settings import Settings
from tenantry.systems.keycloak.client import Representation
from tenantry.systems.keycloak.clients import named
from tenantry.systems.keycloak.harbors_client import PKCE_SINCE
from tenantry.systems.keycloak.kinds import CLIENT
from tenantry.systems.systems import Systems


class Login(View):
    """The login settings of Harbor and the realm. Each is read once, when a check needs it."""

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
    def is_declared(self) -> bool:
        """Whether the platform declares single sign-on, so that configure-platform manages it."""
        return self.systems.state.platform.harbor.single_sign_on is not None

    def or_configure(self, advice: str, otherwise: str = "") -> str:
        """Return advice that mentions configure-platform as a way to do it.

        Args:
            advice: the manual remedy, without a full stop.
            otherwise: a further alternative, beginning with a comma.
        """
        if self.is_declared:
            return f"{advice} (configure-platform does){otherwise}."
        declare = "or declare harbor.single_sign_on and run configure-platform"
        return f"{advice}, {declare}{otherwise}."

    @property
    def misnamed(self) -> bool:
        """Whether Harbor's endpoint differs from the realm's issuer, so that no login works."""
        return str(self.settings["oidc_endpoint"]) != self.realm.issuer

    @property
    def requested_scopes(self) -> list[str]:
        """The scopes that Harbor requests."""
        named = (scope.strip() for scope in str(self.settings["oidc_scope"]).split(","))
        return [scope for scope in named if scope]

    @property
    def assigned_scopes(self) -> set[str]:
        """The scopes that are assigned to the client."""
        lists = ("defaultClientScopes", "optionalClientScopes")
        return {name for each in lists for name in (self.client or {}).get(each) or ()}

    @property
    def client_resource(self) -> Id:
        """The id of Harbor's client as a resource."""
        return Id(CLIENT, str(self.settings["oidc_client_id"]))

    @cached_property
    def sample(self) -> tuple[Team, Representation] | None:
        """A team and a member of its group; None if no group has members."""
        for team in self.systems.state.teams.values():
            group = self.group(team.oidc_group)
            members = self.realm.rows(f"groups/{group['id']}/members", max=1) if group else None
            if members:
                return team, members[0]
        return None

    def group(self, name: str) -> Representation | None:
        """Return the group with this name at any level, because claims contain leaf names."""
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


def single_sign_on(login: Login) -> Iterator[Finding]:
    """Check that Harbor's login uses the realm, whether it was declared or set up by hand.

    Otherwise the other login checks would report the same cause many times.
    """
    endpoint = str(login.settings["oidc_endpoint"] or "")
    if login.is_declared:
        if not endpoint:
            yield login.finding(
                "single sign-on",
                "critical",
                SINGLE_SIGN_ON,
                "it is declared, but Harbor has no OIDC provider",
                "Run configure-platform.",
            )
        return
    if not endpoint:
        why = "Harbor has no OIDC provider"
    elif login.misnamed and not _difference(endpoint, login.realm.issuer):
        why = f"Harbor's login uses '{endpoint}', which is another provider"
    elif login.client is None:
        why = f"realm '{login.realm.realm}' has no client for Harbor"
    else:
        return
    yield login.finding(
        "single sign-on",
        "warning",
        SINGLE_SIGN_ON,
        f"it is not declared, and {why}: no user can log in to Harbor through realm "
        f"'{login.realm.realm}', and the groups of the teams have no effect in Harbor",
        "Declare 'harbor: {single_sign_on: {}}' in platform.yaml and run configure-platform.",
    )


def issuer(login: Login) -> Iterator[Finding]:
    """Check that Harbor's endpoint is exactly the realm's issuer."""
    endpoint, expected = str(login.settings["oidc_endpoint"]), login.realm.issuer
    if login.misnamed:
        yield login.finding(
            "issuer",
            "critical",
            SINGLE_SIGN_ON,
            f"Harbor's oidc_endpoint is '{endpoint}', but the realm's issuer is '{expected}'"
            f"{_difference(endpoint, expected)}",
            login.or_configure(
                "Set Harbor's oidc_endpoint to the realm's issuer",
                ", or set Keycloak's hostname to the address that Harbor uses",
            ),
        )


def _difference(one: str, other: str) -> str:
    """Return the difference between two issuers, if it is a common mistake."""
    if one.rstrip("/") == other.rstrip("/"):
        return ": they differ in a slash at the end"
    if one.partition("://")[2] == other.partition("://")[2]:
        return ": one uses http, the other https"
    if one.replace("/auth/realms/", "/realms/") == other.replace("/auth/realms/", "/realms/"):
        return ": they differ in /auth, which Keycloak no longer uses since version 17"
    return ""


def client_secret(login: Login) -> Iterator[Finding]:
    """Check that the realm accepts Harbor's client id and secret."""
    words = login.harbor.try_oidc_client()
    if "unauthorized_client" in words or "invalid_client" in words:
        yield login.finding(
            "client secret",
            "critical",
            SINGLE_SIGN_ON,
            f"the realm rejects Harbor's client: {words}",
            login.or_configure("Set the client's id and secret in Harbor"),
        )
    elif words and "invalid_grant" not in words and not login.misnamed:
        yield login.finding(
            "client secret",
            "critical",
            SINGLE_SIGN_ON,
            f"a login through Harbor fails with: {words}",
            "Check that Harbor's core can reach the realm at its oidc_endpoint, and trusts its "
            "certificate.",
        )


def redirect_uri(login: Login) -> Iterator[Finding]:
    """Check that the client's redirect URIs include Harbor's callback."""
    callback = f"{str(login.harbor.info()['external_url']).rstrip('/')}/c/oidc/callback"
    client = login.client
    if client is None:
        yield login.finding(
            "redirect URI",
            "critical",
            login.client_resource,
            f"realm '{login.realm.realm}' has no such client, but Harbor's login uses it",
            login.or_configure("Create the client"),
        )
    elif not any(_covers(uri, callback) for uri in client.get("redirectUris") or ()):
        yield login.finding(
            "redirect URI",
            "critical",
            login.client_resource,
            f"no redirect URI matches '{callback}', which derives from Harbor's external URL",
            login.or_configure("Add it to the client", ", or correct Harbor's external URL"),
        )


def _covers(uri: str, callback: str) -> bool:
    return fnmatchcase(callback, uri) if uri.endswith("*") else uri == callback


def pkce(login: Login) -> Iterator[Finding]:
    """Check that the client does not require PKCE if Harbor does not support it."""
    method = ((login.client or {}).get("attributes") or {}).get("pkce.code.challenge.method")
    if method == "S256" and login.harbor.version() < PKCE_SINCE:
        yield login.finding(
            "PKCE",
            "critical",
            login.client_resource,
            "the client requires PKCE, which Harbor supports from version 2.13 on",
            login.or_configure("Remove it from the client", ", or upgrade Harbor"),
        )
    elif method == "plain":
        yield login.finding(
            "PKCE",
            "critical",
            login.client_resource,
            "the client requires PKCE with 'plain', but Harbor uses S256",
            login.or_configure("Set it to S256"),
        )


def scopes(login: Login) -> Iterator[Finding]:
    """Check that the client has Harbor's scopes, and that CLI secrets outlive the session."""
    requested = login.requested_scopes
    if login.client is not None:
        assigned = login.assigned_scopes | {"openid"}
        missing = [scope for scope in requested if scope not in assigned]
        if missing:
            yield login.finding(
                "scopes",
                "critical",
                login.client_resource,
                f"Harbor requests scopes that the client does not have: {', '.join(missing)}",
                "Assign them to the client, or remove them from Harbor's oidc_scope.",
            )
    if "openid" not in requested:
        yield login.finding(
            "scopes",
            "critical",
            SINGLE_SIGN_ON,
            "Harbor's oidc_scope lacks openid: logins return no ID token",
            login.or_configure("Add it"),
        )
    if "offline_access" not in requested:
        yield login.finding(
            "scopes",
            "warning",
            SINGLE_SIGN_ON,
            "Harbor's oidc_scope lacks offline_access: a user's CLI secret expires with the session",
            login.or_configure("Add it", ", and use robots for programs"),
        )


def claims(login: Login) -> Iterator[Finding]:
    """Check that an example ID token for a team member has the claims that Harbor needs.

    Keycloak generates the token without the user's password.
    """
    if login.client is None or login.sample is None:
        return
    team, user = login.sample
    # Another check reports scopes that are not assigned.
    assigned = (scope for scope in login.requested_scopes if scope in login.assigned_scopes)
    requested = " ".join(["openid", *assigned])
    path = f"clients/{login.client['id']}/evaluate-scopes/generate-example-id-token"
    token: Representation = login.realm.get(path, userId=user["id"], scope=requested) or {}
    label = f"an ID token for '{user['username']}'"
    for name in ("iss", "sub", "email", "email_verified"):
        if token.get(name) is None:
            yield _claim(login, f"{label} has no '{name}'", team)
    if token.get("iss") not in (None, login.settings["oidc_endpoint"]) and not login.misnamed:
        yield _claim(login, f"{label} is issued by '{token['iss']}'", team)
    yield from _groups(login, token, label, team)


def _groups(login: Login, token: Representation, label: str, team: Team) -> Iterator[Finding]:
    name = str(login.settings["oidc_groups_claim"])
    groups = token.get(name)
    if groups is None:
        text = f"{label} has no claim '{name}', from which Harbor reads the groups"
        yield _claim(login, text, team)
    elif not isinstance(groups, list) or not all(isinstance(each, str) for each in groups):
        yield _claim(login, f"the claim '{name}' of {label} is not a list of texts", team)
    elif any(each.startswith("/") for each in groups):
        yield _claim(
            login,
            f"the claim '{name}' of {label} contains paths ({', '.join(groups)}): for Harbor, "
            "'/a' and 'a' are different groups",
            team,
        )
    elif team.oidc_group not in groups:
        yield _claim(login, f"the claim '{name}' of {label} lacks '{team.oidc_group}'", team)


def _claim(login: Login, cause: str, team: Team) -> Finding:
    remedy = login.or_configure(
        "Correct the mappers of Harbor's client and its scopes", ", or correct the user's profile"
    )
    return login.finding("claims", "critical", login.client_resource, cause, remedy, team.name)
