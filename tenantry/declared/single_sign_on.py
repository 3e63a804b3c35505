"""The login settings: the realm, Harbor's OIDC client, and the external identity providers."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tenantry.declared import expressions, group_patterns
from tenantry.declared.kubernetes_values import Label, NamespaceName, ObjectName
from tenantry.declared.types import WHOLE, ExternalNames, GroupName, Model, fits

Positive = Annotated[int, Field(ge=1, le=10 * 366 * 24 * 60), WHOLE]


def _check_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", value):
        raise ValueError(
            "an issuer is a URL such as https://login.example.com/realms/corp, exactly as the "
            "provider spells it"
        )
    return value


Issuer = Annotated[str, AfterValidator(_check_url)]


def _check_expression(value: str) -> str:
    expressions.check(value)
    return value


def _check_pattern(value: str) -> str:
    if "{group}" not in value:
        raise ValueError("must contain '{group}', which stands for the group's name in Keycloak")
    _check_expression(value.replace("{group}", "group"))
    group_patterns.check(value)
    return value


Expression = Annotated[str, AfterValidator(_check_expression)]
GroupPattern = Annotated[str, AfterValidator(_check_pattern)]


class SecretReference(Model):
    """A reference to a key of a Kubernetes Secret. Secrets themselves are never declared."""

    namespace: NamespaceName
    """The Secret's namespace."""
    name: ObjectName
    """The Secret's name."""
    key: Annotated[
        str, *fits(r"[-._A-Za-z0-9]{1,253}", "a key is up to 253 letters, digits, '-', '_' and '.'")
    ] = "client-secret"
    """The key in its data."""


class ProviderConnection(Model):
    """The realm's connection to an external OpenID Connect provider."""

    issuer: Issuer
    """The provider's issuer, exactly as the provider spells it. Tenantry reads endpoints and keys
    from the discovery document, `<issuer>/.well-known/openid-configuration`."""
    client_id: Annotated[str, Field(min_length=1)]
    """The realm's client at the provider. Its redirect URI there is
    `<realm's issuer>/broker/<alias>/endpoint`."""
    client_secret: SecretReference
    """The Secret that holds the client's secret."""
    display_name: Annotated[str, Field(max_length=255)] | None = None
    """The provider's name on the login page."""
    hidden: bool = False
    """Hide the provider on the login page. It can still be selected with `kc_idp_hint`."""
    sync_mode: Literal["force", "import"] = "force"
    """Whether Keycloak updates profile and groups from the provider's token at each login
    (`force`), or only at the first one (`import`)."""
    first_login_flow: Annotated[str, Field(min_length=1)] = "first broker login"
    """The realm's authentication flow for the first login of a user."""
    scopes: Annotated[list[Label], Field(min_length=1)] = ["openid", "email", "profile"]
    """The scopes that the realm requests from the provider."""
    username_claim: str = "preferred_username"
    """The provider's claim for the user name."""
    email_claim: str = "email"
    """The provider's claim for the e-mail address."""
    trust_email: bool = False
    """Treat the provider's e-mail addresses as verified."""
    pkce: bool = True
    """Use PKCE (S256) for the realm's login at the provider."""


class ExternalProvider(Model):
    """An external identity provider that Keycloak brokers to.

    For each team, an identity provider mapper adds a user to the team's group if the user's token
    from the provider names that group.
    """

    groups_claim: str = "groups"
    """The claim that contains the group names."""
    group_name: Annotated[
        str,
        *fits(
            r".*\{group\}.*",
            "must contain '{group}', which stands for the group's name in Keycloak",
        ),
    ] = "{group}"
    """The provider's name of a team's group, such as `k8s-{group}-prod`. `{group}` stands for the
    group's name in Keycloak."""
    pattern: GroupPattern | None = None
    """The provider's names as a regular expression that contains `{group}`, if they follow no single
    template. Use only syntax that both RE2 and Keycloak (Java) support. Overrides `group_name`."""
    groups: dict[str, GroupName] = {}
    """The group for each of the provider's names that follows no rule. Overrides `pattern`; a
    team's own `external_groups` overrides both."""
    several_names: bool = False
    """Whether several names in `groups` may lead to the same group. If false, that is a fault."""
    ignore_case: bool = False
    """Whether names are compared without regard to upper and lower case."""
    connection: ProviderConnection | None = None
    """The realm's connection to the provider. If not given, the provider must exist in the
    realm."""
    replaces: Annotated[str, Field(min_length=1)] | None = None
    """The alias of the provider that this one replaces. The migration switches `hidden` of both, and
    finally removes the old provider."""

    def names(self, group: str, own: list[str] | None = None) -> list[str]:
        """Return the provider's names of a group; an empty list if only the pattern defines them.

        Args:
            group: the group's name in Keycloak.
            own: the names in the team's or the group's own `external_groups`.
        """
        listed = own or [name for name, leads_to in self.groups.items() if leads_to == group]
        return listed or ([] if self.pattern else [self.group_name.replace("{group}", group)])

    def expression(self, group: str, own: list[str] | None = None) -> str:
        """Return a regular expression, for Java and RE2, that fully matches a group's names."""
        names = self.names(group, own)
        if names:
            alternatives = "|".join(re.escape(name) for name in names)
        else:
            alternatives = (self.pattern or "").replace("{group}", re.escape(group))
        return ("(?i)" if self.ignore_case else "") + f"({alternatives})"


class PlatformGroup(Model):
    """A group of the platform's own users, such as its administrators."""

    external_groups: dict[str, ExternalNames] = {}
    """Names of the group at the external identity providers, by the provider's alias. A provider
    that is not listed adds no users to the group."""


class Realm(Model):
    """The realm's settings. Tenantry does not change settings that are not given."""

    display_name: str | None = None
    """The realm's name on the login page."""
    access_token_minutes: Positive | None = None
    """The lifetime of an access token."""
    session_idle_minutes: Positive | None = None
    """The time without activity after which a session ends."""
    session_max_minutes: Positive | None = None
    """The maximum duration of a session."""
    offline_session_idle_minutes: Positive | None = None
    """The time without use after which a refresh token of scope `offline_access` expires. Harbor's
    CLI secret expires with it."""
    brute_force_protection: bool | None = None
    """Temporarily lock an account after failed logins."""
    login_failures: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = None
    """The number of failed logins that lock an account, if `brute_force_protection` is true."""
    unmanaged_attributes: Literal["refused", "admin-view", "admin-edit", "enabled"] | None = None
    """The policy for user attributes that the user profile does not define: `refused`, visible to
    administrators, editable by administrators, or editable by all users."""


class SingleSignOn(Model):
    """Harbor's login through the realm: the client in Keycloak, and Harbor's OIDC settings."""

    client_id: Annotated[
        str,
        *fits(r"[-._A-Za-z0-9]{1,100}", "an id is up to 100 letters, digits, '-', '_' and '.'"),
    ] = "harbor"
    """Harbor's client in the realm."""
    provider_name: Annotated[str, Field(min_length=1)] = "keycloak"
    """The realm's name on Harbor's login page."""
    scopes: Annotated[list[Label], Field(min_length=1)] = [
        "openid",
        "email",
        "profile",
        "offline_access",
    ]
    """The scopes that Harbor requests. Without `offline_access`, a user's CLI secret expires with
    the session."""
    groups_claim: Annotated[
        str, *fits(r"[-_A-Za-z0-9]+", "a claim's name is letters, digits, '-' and '_'")
    ] = "groups"
    """The claim that contains the groups' leaf names."""
    user_claim: str = "preferred_username"
    """The claim for the user name in Harbor."""
    auto_onboard: bool = True
    """Create the Harbor account at the first login without asking for a user name."""
    admin_group: GroupName | None = None
    """The group whose members are Harbor's administrators."""
    group_filter: Expression | None = None
    """The groups that Harbor imports, as a regular expression; all if not given."""
    logout: bool = True
    """Whether a logout from Harbor also ends the session in the realm (Harbor 2.13 and later)."""
    verify_certificate: bool = True
    """Whether Harbor verifies the realm's certificate."""
    secret_max_age_days: Annotated[int, Field(ge=1, le=3660), WHOLE] | None = None
    """The maximum age of the client's secret. An older secret is renewed in Keycloak and in Harbor.
    If a client policy of the realm has the executor `secret-rotation`, the old secret keeps working
    in between; otherwise logins at that moment fail. If not given, it is never renewed."""
    redirect_parameters: dict[str, str] = {}
    """Parameters that Harbor adds to the URL of the login page, such as `kc_idp_hint: corp`."""
