"""The kinds of resources in Keycloak."""

from tenantry.declared import Platform, Team
from tenantry.declared.faults import Place
from tenantry.kinds import Kind
from tenantry.resources import Live

_CLIENT_FIELDS = {
    "redirectUris": "redirect_uris",
    "webOrigins": "web_origins",
    "publicClient": "public",
    "attributes.post": "post_logout_redirect_uris",
}
"""Keycloak's names of the fields of a client, or their prefixes, with the declared names."""


def _group(team: Team, key: str, field: str) -> Place:
    return ("group",)


def _member(team: Team, key: str, field: str) -> Place:
    # Keycloak stores user names in lower case.
    members = [name.lower() for name in team.members or ()]
    name = key.partition("/")[2]
    return ("members", members.index(name)) if name in members else ("members",)


def _mapper(team: Team, key: str, field: str) -> Place:
    return ("external_groups", key.split("/")[0])


def _client(team: Team, key: str, field: str) -> Place:
    name = team.client_of(key)
    place: Place = ("oidc_clients", name) if name is not None else ("oidc_clients",)
    ours = next((ours for name, ours in _CLIENT_FIELDS.items() if field.startswith(name)), None)
    return (*place, ours) if ours else place


def _realm_settings(key: str) -> Place:
    return ("keycloak", "realm_settings")


def _platform_group(key: str) -> Place:
    return ("keycloak", "groups", key)


def _external_provider(key: str) -> Place:
    return ("keycloak", "external_providers", key.split("/")[0])


def _single_sign_on(key: str) -> Place:
    return ("harbor", "single_sign_on")


def _kept_group(owner: Team | Platform, key: str, live: Live) -> str:
    handle = live.handle
    return (
        "its members stay in it, and it has no rights from Tenantry. To delete it: "
        f"kcadm.sh delete groups/{handle['id']} -r {handle['realm']}"
    )


def _disabled_client(owner: Team | Platform, key: str, live: Live) -> str:
    return (
        "no login with it works, and its id and secret are kept, so that declaring it again restores "
        "it. detect-drift deletes it, with remediate: all or with 'remove': "
        f"keycloak/client/{key}"
    )


def _kept_provider(owner: Team | Platform, key: str, live: Live) -> str:
    return (
        "its users can still log in, and the links of users to it stay. To delete it with these links: "
        f"detect-drift with 'remove': keycloak/identity provider/{key}"
    )


GROUP = Kind(
    "keycloak",
    "group",
    "Keycloak",
    is_recorded=True,
    explain_left=_kept_group,
    needed_for_access=True,
    removal_step="Group",
    place=_group,
    platform_place=_platform_group,
)
GROUP_MEMBER = Kind(
    "keycloak",
    "group member",
    "Keycloak",
    removal="at once",
    is_recorded=True,
    hashed_in_record=True,
    needed_for_access=True,
    grants_access=True,
    container=GROUP,
    place=_member,
)
IDENTITY_PROVIDER = Kind(
    "keycloak",
    "identity provider",
    "Keycloak",
    removal="on request",
    explain_left=_kept_provider,
    needed_for_access=True,
    grants_access=True,
    place=_group,
    platform_place=_external_provider,
)
MAPPER = Kind(
    "keycloak",
    "identity provider mapper",
    "Keycloak",
    removal="at once",
    is_recorded=True,
    needed_for_access=True,
    grants_access=True,
    access_fields=("*",),
    removal_step="Keycloak",
    place=_mapper,
    platform_place=_external_provider,
)
CLIENT = Kind(
    "keycloak",
    "client",
    "Keycloak",
    removal="retired",
    is_recorded=True,
    retired_fields={"enabled": False},
    explain_left=_disabled_client,
    needed_for_access=True,
    grants_access=True,
    access_fields=("[!a]*",),  # all but the attributes
    revocation={"enabled": False},
    removal_step="Keycloak",
    place=_client,
    platform_place=_single_sign_on,
)
CLIENT_SECRET = Kind("keycloak", "client secret", "Harbor", place=_group)
"""The secret of Harbor's client. Before it is renewed, Harbor must work with the current one."""
CLAIM = Kind(
    "keycloak",
    "claim",
    "Keycloak",
    # Harbor's configuration, which names the claim, is changed before.
    deletion_stage="Clean up",
    removal="at once",
    needed_for_access=True,
    access_fields=("*",),
    place=_group,
    platform_place=_single_sign_on,
)
CLIENT_SCOPES = Kind(
    "keycloak",
    "client scopes",
    "Keycloak",
    needed_for_access=True,
    place=_group,
    platform_place=_single_sign_on,
)
REALM = Kind(
    "keycloak",
    "realm",
    "Keycloak",
    needed_for_access=True,
    place=_group,
    platform_place=_realm_settings,
)
USER_PROFILE = Kind(
    "keycloak", "user profile", "Keycloak", place=_group, platform_place=_realm_settings
)
DISCOVERY_DOCUMENT = Kind("keycloak", "discovery document", place=_group)
PROVIDER_SECRET = Kind("keycloak", "provider's secret", place=_group)
