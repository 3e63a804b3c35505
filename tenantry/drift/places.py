"""Where in a team's file a resource is declared, or would be."""

from tenantry.declared import Declaration, Location, Team
from tenantry.declared.faults import Place
from tenantry.drift.findings import RULE, TEAM
from tenantry.resources import Id

_CLIENT = {
    "redirectUris": "redirect_uris",
    "webOrigins": "web_origins",
    "publicClient": "public",
    "attributes.post": "post_logout_redirect_uris",
}
_NAMESPACE = {
    "pod-security.kubernetes.io/enforce": ("pod_security",),
    "istio-injection": ("mesh",),
    "istio.io/rev": ("mesh",),
}


def locate(state: Declaration, team: str, id: Id, field: str = "") -> Location:
    """The line that a finding is told of.

    Args:
        state: the declared state.
        team: the team's name; a team that is not declared has no file, and so `platform.yaml`.
        id: the resource.
        field: its first field that differs, if any.
    """
    declared = state.teams.get(team)
    if declared is None:
        return state.locate(None, _of_platform(id))
    return state.locate(team, place(declared, id, field))


def _of_platform(id: Id) -> Place:
    """The place in `platform.yaml`, or the closest to it that is declared."""
    match id.system, id.kind:
        case "harbor", "configuration":
            settings = id.key == "settings"
            return ("harbor", "configuration" if settings else "single_sign_on")
        case "keycloak", "realm" | "user profile":
            return ("keycloak", "realm_settings")
        case "keycloak", "identity provider" | "identity provider mapper":
            return ("keycloak", "external_providers", id.key.split("/")[0])
        case "keycloak", "group":
            return ("keycloak", "groups", id.key)
        case "keycloak", "client" | "claim" | "client scopes":
            return ("harbor", "single_sign_on")
        case "istio", "Gateway":
            return ("mesh", "gateways", id.key)
        case "istio", _:
            return ("mesh", "harbor")
    return ()


def place(team: Team, id: Id, field: str = "") -> Place:
    """The place of a resource of a team's, or of one of its fields, as in the team's file."""
    match id.system:
        case "harbor":
            return _in_harbor(team, id, field)
        case "keycloak":
            return _in_keycloak(team, id, field)
        case "kubernetes":
            return _in_kubernetes(team, id, field)
        case "istio":
            return ("routes", id.key.split("/")[-1])
    assert id.system == RULE.system
    return () if id.kind == TEAM else ("drift", "ignore")


def _in_harbor(team: Team, id: Id, field: str) -> Place:
    name = id.key.partition("/")[2]
    match id.kind:
        case "project":
            return ("harbor", field) if field else ("harbor",)
        case "member":
            return ("harbor", "role") if name == team.oidc_group else ("harbor", "groups", name)
        case "retention policy":
            return ("harbor", "retention", "schedule" if field == "schedule" else "rules")
        case "immutable-tag rule":
            return ("harbor", "immutable_tags")
        case "robot":
            purpose = name.rpartition("-")[0]
            return ("robots", purpose, "access" if field == "access" else "expiry_days")
    return ("harbor",)


def _in_keycloak(team: Team, id: Id, field: str) -> Place:
    name = id.key.partition("/")[2]
    match id.kind:
        case "group member":
            members = team.members or []
            return ("members", members.index(name)) if name in members else ("members",)
        case "identity provider mapper":
            return ("external_groups", id.key.split("/")[0])
        case "client":
            client = ("oidc_clients", id.key.removeprefix(f"{team.slug}-"))
            ours = next((ours for key, ours in _CLIENT.items() if field.startswith(key)), None)
            return (*client, ours) if ours else client
    return ("group",)


def _in_kubernetes(team: Team, id: Id, field: str) -> Place:
    namespace, _, name = id.key.partition("/")
    section: Place = ("namespace",)
    if namespace != team.slug:
        section = ("further_namespaces", namespace.removeprefix(f"{team.slug}-"))
    match id.kind:
        case "Secret":
            sort, _, own = name.partition("-")
            return ("oidc_clients" if sort == "oidc" else "robots", own)
        case "ServiceAccount":
            return ("robots",)
        case "ResourceQuota":
            return (*section, "quota", field.removeprefix("spec.hard."))
        case "LimitRange":
            return (*section, "limits")
        case "NetworkPolicy":
            declared = team.namespaces.get(namespace)
            named = declared is not None and name in declared.network.policies
            return (*section, "network", "policies", name) if named else (*section, "network")
        case "RoleBinding":
            return (*section, "cluster_role")
    key = field.removeprefix("metadata.labels.")
    return (*section, *_NAMESPACE.get(key, _metadata(field)))


def _metadata(field: str) -> Place:
    _, _, rest = field.partition(".")
    part, _, key = rest.partition(".")
    return (part, key) if part else ()
