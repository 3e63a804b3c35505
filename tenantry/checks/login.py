"""The chain from the realm's token to Harbor's group: issuer, client, claims, groups."""

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
    def is_declared(self) -> bool:
        """Whether the platform declares single sign-on, so that configure-platform manages it."""
        return self.systems.state.platform.harbor.single_sign_on is not None

    def or_configure(self, advice: str, otherwise: str = "") -> str:
        """Return advice with what configure-platform does about it.

        Args:
            advice: what a person can do by hand, without a full stop.
            otherwise: what else there is to do, beginning with a comma.
        """
        if self.is_declared:
            return f"{advice} (configure-platform does){otherwise}."
        declare = "or declare harbor.single_sign_on and run configure-platform"
        return f"{advice}, {declare}{otherwise}."

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
        return Id(CLIENT, str(self.settings["oidc_client_id"]))

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


def single_sign_on(login: Login) -> Iterator[Finding]:
    """Harbor logs people in through the realm, whether it was declared or set up by hand.

    Without it, the other checks of the login would report one cause many times.
    """
    endpoint = str(login.settings["oidc_endpoint"] or "")
    if login.is_declared:
        if not endpoint:
            yield login.finding(
                "single sign-on",
                "critical",
                SINGLE_SIGN_ON,
                "it is declared, and Harbor has no OIDC provider",
                "Run configure-platform.",
            )
        return
    if not endpoint:
        why = "Harbor has no OIDC provider"
    elif login.misnamed and not _how(endpoint, login.realm.issuer):
        why = f"Harbor logs people in through '{endpoint}', which is another provider"
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
    """Harbor's endpoint is the realm's issuer, letter for letter."""
    endpoint, told = str(login.settings["oidc_endpoint"]), login.realm.issuer
    if login.misnamed:
        yield login.finding(
            "issuer",
            "critical",
            SINGLE_SIGN_ON,
            f"Harbor's oidc_endpoint is '{endpoint}', and the realm calls itself '{told}'"
            f"{_how(endpoint, told)}",
            login.or_configure(
                "Set Harbor's oidc_endpoint to what the realm calls itself",
                ", or set Keycloak's hostname to the address that Harbor uses",
            ),
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
            login.or_configure("Give Harbor the client's id and secret"),
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
            login.or_configure("Create the client"),
        )
    elif not any(_covers(uri, callback) for uri in client.get("redirectUris") or ()):
        yield login.finding(
            "redirect URI",
            "critical",
            login.client_resource,
            f"no redirect URI covers '{callback}', which is made of Harbor's external URL",
            login.or_configure("Add it to the client", ", or correct Harbor's external URL"),
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
            login.or_configure("Remove it from the client", ", or update Harbor"),
        )
    elif method == "plain":
        yield login.finding(
            "PKCE",
            "critical",
            login.client_resource,
            "the client requires PKCE by 'plain', and Harbor sends S256",
            login.or_configure("Set it to S256"),
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
            login.or_configure("Add it"),
        )
    if "offline_access" not in asked:
        yield login.finding(
            "scopes",
            "warning",
            SINGLE_SIGN_ON,
            "Harbor's oidc_scope lacks offline_access: people's CLI secrets die with their login",
            login.or_configure("Add it", ", and let programs use robots"),
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
    remedy = login.or_configure(
        "Correct the mappers of Harbor's client and its scopes", ", or correct the user's profile"
    )
    return login.finding("claims", "critical", login.client_resource, cause, remedy, team.name)
