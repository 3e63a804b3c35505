"""What is declared of logging in: the realm, Harbor's client, and the providers behind them."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tenantry.declared import expressions
from tenantry.declared.kubernetes_values import Label, NamespaceName, ObjectName
from tenantry.declared.types import WHOLE, ExternalNames, GroupName, Model, fits

Positive = Annotated[int, Field(ge=1, le=10 * 366 * 24 * 60), WHOLE]


def _check_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", value):
        raise ValueError(
            "an issuer is an address as https://login.example.com/realms/corp, letter for letter "
            "as the provider spells it"
        )
    return value


Issuer = Annotated[str, AfterValidator(_check_url)]


def _check_expression(value: str) -> str:
    expressions.check(value)
    return value


def _check_pattern(value: str) -> str:
    if "{group}" not in value:
        raise ValueError("must hold '{group}', where our name of the group stands")
    _check_expression(value.replace("{group}", "group"))
    return value


Expression = Annotated[str, AfterValidator(_check_expression)]
GroupPattern = Annotated[str, AfterValidator(_check_pattern)]


class SecretReference(Model):
    """A key of a Kubernetes Secret: where a secret lies that is declared nowhere."""

    namespace: NamespaceName
    """The Secret's namespace."""
    name: ObjectName
    """The Secret's name."""
    key: Annotated[
        str, *fits(r"[-._A-Za-z0-9]{1,253}", "a key is up to 253 letters, digits, '-', '_' and '.'")
    ] = "client-secret"
    """The key in its data."""


class ProviderConnection(Model):
    """How the realm gets to an external provider that speaks OpenID Connect."""

    issuer: Issuer
    """The provider's issuer, letter for letter. Endpoints and keys are read from its discovery
    document, `<issuer>/.well-known/openid-configuration`."""
    client_id: Annotated[str, Field(min_length=1)]
    """The realm's client at the provider. Its redirect URI there is
    `<realm's issuer>/broker/<alias>/endpoint`."""
    client_secret: SecretReference
    """Where the client's secret lies."""
    display_name: Annotated[str, Field(max_length=255)] | None = None
    """What the login page calls the provider."""
    hidden: bool = False
    """Leave it off the login page; it can still be asked for by `kc_idp_hint`."""
    sync_mode: Literal["force", "import"] = "force"
    """Whether profile and groups follow the provider's token at each login, or only at the
    first."""
    first_login_flow: Annotated[str, Field(min_length=1)] = "first broker login"
    """The realm's flow for people who come for the first time."""
    scopes: Annotated[list[Label], Field(min_length=1)] = ["openid", "email", "profile"]
    """What the provider is asked for."""
    username_claim: str = "preferred_username"
    """The provider's claim that becomes the user name."""
    email_claim: str = "email"
    """The provider's claim that becomes the e-mail address."""
    trust_email: bool = False
    """Take the provider's e-mail addresses for verified."""
    pkce: bool = True
    """Protect the realm's own login at the provider with PKCE (S256)."""


class ExternalProvider(Model):
    """An external identity provider that Keycloak brokers to.

    For each team a mapper puts people into the team's group whose token from the
    provider names that group.
    """

    groups_claim: str = "groups"
    """The claim with the group names."""
    group_name: Annotated[
        str, *fits(r".*\{group\}.*", "must hold '{group}', where our name of the group stands")
    ] = "{group}"
    """What the provider calls a team's group, with `{group}` for our name of it, such as
    `k8s-{group}-prod`."""
    pattern: GroupPattern | None = None
    """The same as a regular expression (of RE2, as Keycloak understands it, too) with `{group}`
    in it, where the provider's names follow no single template. Goes before `group_name`."""
    groups: dict[str, GroupName] = {}
    """The provider's names that follow no rule, and the group of ours that each leads to. Goes
    before `pattern`; a team's own `external_groups` goes before both."""
    several_names: bool = False
    """Whether several names in `groups` may lead to one group; a fault otherwise."""
    ignore_case: bool = False
    """Whether the provider's spelling may differ in upper and lower case."""
    connection: ProviderConnection | None = None
    """How the realm gets there. Without it the provider must exist in the realm."""
    replaces: Annotated[str, Field(min_length=1)] | None = None
    """The alias of the provider whose people are to log in through this one. `hidden` of both is
    turned by the migration, which takes the old one away in the end."""

    def names(self, group: str, own: list[str] | None = None) -> list[str]:
        """The provider's names of a group; none where only the pattern tells.

        Args:
            group: our name of the group.
            own: the names that the group's own declaration gives.
        """
        listed = own or [name for name, leads_to in self.groups.items() if leads_to == group]
        return listed or ([] if self.pattern else [self.group_name.replace("{group}", group)])

    def expression(self, group: str, own: list[str] | None = None) -> str:
        """A regular expression, Java's and RE2's, that the names of a group match whole."""
        names = self.names(group, own)
        if names:
            told = "|".join(re.escape(name) for name in names)
        else:
            told = (self.pattern or "").replace("{group}", re.escape(group))
        return ("(?i)" if self.ignore_case else "") + f"({told})"


class PlatformGroup(Model):
    """A group of the platform's own people, such as its administrators."""

    external_groups: dict[str, ExternalNames] = {}
    """Names that the group has at the external identity providers, by the provider's alias. Where
    none is given, nobody comes into the group from there."""


class Realm(Model):
    """The realm's own settings. What is not given stays as Keycloak has it."""

    display_name: str | None = None
    """What the login page calls the realm."""
    access_token_minutes: Positive | None = None
    """How long an access token is good for."""
    session_idle_minutes: Positive | None = None
    """After so much time without use a login ends."""
    session_max_minutes: Positive | None = None
    """After so much time a login ends in any case."""
    offline_session_idle_minutes: Positive | None = None
    """After so much time without use a refresh token of scope `offline_access` dies, and Harbor's
    CLI secret with it."""
    brute_force_protection: bool | None = None
    """Lock an account for a while after wrong passwords."""
    login_failures: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = None
    """So many wrong passwords lock an account, where `brute_force_protection` is on."""
    unmanaged_attributes: Literal["refused", "admin-view", "admin-edit", "enabled"] | None = None
    """What becomes of user attributes that the user profile does not name: refused, seen by
    administrators, edited by them, or edited by anybody."""


class SingleSignOn(Model):
    """Harbor's login through the realm: the client in Keycloak, and Harbor's settings for it."""

    client_id: Annotated[
        str,
        *fits(r"[-._A-Za-z0-9]{1,100}", "an id is up to 100 letters, digits, '-', '_' and '.'"),
    ] = "harbor"
    """Harbor's client in the realm."""
    provider_name: Annotated[str, Field(min_length=1)] = "keycloak"
    """What Harbor's login page calls the realm."""
    scopes: Annotated[list[Label], Field(min_length=1)] = [
        "openid",
        "email",
        "profile",
        "offline_access",
    ]
    """What Harbor asks for. Without `offline_access` people's CLI secrets die with their login."""
    groups_claim: Annotated[
        str, *fits(r"[-_A-Za-z0-9]+", "a claim is named by letters, digits, '-' and '_'")
    ] = "groups"
    """The claim that carries the groups' leaf names."""
    user_claim: str = "preferred_username"
    """The claim that becomes the user name in Harbor."""
    auto_onboard: bool = True
    """Let people in at their first login without asking them for a name."""
    admin_group: GroupName | None = None
    """The group whose members are Harbor's administrators."""
    group_filter: Expression | None = None
    """Groups that Harbor takes note of, as a regular expression; all if not given."""
    logout: bool = True
    """Logging out of Harbor logs out of the realm, too (Harbor 2.13 and later)."""
    verify_certificate: bool = True
    """Whether Harbor checks the realm's certificate."""
    secret_max_age_days: Annotated[int, Field(ge=1, le=3660), WHOLE] | None = None
    """Renew the client's secret when it is older, and hand Harbor the new one. Where a client
    policy of the realm has the executor `secret-rotation`, the old one works on meanwhile;
    elsewhere whoever logs in in that second is refused. It is never renewed if not given."""
    redirect_parameters: dict[str, str] = {}
    """What Harbor adds to the address of the login page, such as `kc_idp_hint: corp`."""
