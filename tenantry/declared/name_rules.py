"""The rules for the names of a team's objects: valid, not reserved, and allowed by the policy."""

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from tenantry.declared.faults import Place
from tenantry.declared.names import check_client, check_namespace, check_project
from tenantry.declared.platform import Platform
from tenantry.declared.team import Team

_CLIENTS = frozenset(
    (
        *("account", "account-console", "admin-cli", "broker"),
        *("realm-management", "security-admin-console"),
    )
)
"""The clients that Keycloak creates in each realm."""
_LIBRARY = "library"
"""The project that Harbor creates itself."""


class Named(NamedTuple):
    """A name of one of a team's objects, which another team could claim as well."""

    kind: str
    """The kind, as in messages: `the namespace`."""
    limit: str
    """The limit of the policy that allows such a name."""
    name: str
    convention: str
    """The name by the platform's pattern."""
    place: Place
    """The field that gives the name."""

    @property
    def is_given(self) -> bool:
        """Whether the team gives the name explicitly."""
        return self.place[0] in ("names", "group")


def names_of(team: Team) -> Iterator[Named]:
    """Yield the names of a team's namespaces, project, group and OIDC clients."""
    usual, names, name = team.by_convention, team.names, ("name",)
    place: Place = ("names", "namespace") if names.namespace else name
    yield Named("the namespace", "namespaces", team.home_namespace, usual.home_namespace, place)
    for key in team.further_namespaces:
        place = ("further_namespaces", key)
        place = ("names", *place) if key in names.further_namespaces else place
        full, convention = team.further_namespace(key), usual.further_namespace(key)
        yield Named("the namespace", "namespaces", full, convention, place)
    place = ("names", "project") if names.project else name
    yield Named("the project", "projects", team.project, usual.project, place)
    place = ("group",) if team.group else name
    yield Named("the group", "groups", team.oidc_group, usual.oidc_group, place)
    for key in team.oidc_clients:
        place = ("names", "clients", key) if key in names.clients else ("oidc_clients", key)
        id, convention = team.client_id(key), usual.client_id(key)
        yield Named("the OIDC client", "clients", id, convention, place)


def check(platform: Platform, team: Team) -> Iterator[tuple[Place, str]]:
    """Return the faults of a team's names on this platform."""
    yield from _check_keys(team)
    reserved = _Reserved(platform)
    checks: dict[str, Callable[[str], str]] = {
        "namespaces": check_namespace,
        "projects": check_project,
        "clients": check_client,
    }
    for each in names_of(team):
        if each.limit not in checks:
            continue
        try:
            checks[each.limit](each.name)
        except ValueError as error:
            if len(each.name) > 63 and each.limit == "namespaces":
                yield each.place, f"{each.kind} '{each.name}' would have over 63 characters"
            else:
                yield each.place, f"{each.kind} '{each.name}': {error}"
        if owner := reserved.owner(each):
            yield each.place, f"{each.kind} '{each.name}' is reserved: it belongs to {owner}"


def _check_keys(team: Team) -> Iterator[tuple[Place, str]]:
    """Check that each explicit name belongs to a declared object."""
    declared: dict[str, tuple[str, Collection[str]]] = {
        "further_namespaces": ("further_namespaces", team.further_namespaces),
        "clients": ("oidc_clients", team.oidc_clients),
        "secrets": ("robots", team.robots),
        "client_secrets": ("oidc_clients", team.oidc_clients),
    }
    for field, (section, keys) in declared.items():
        for key in getattr(team.names, field):
            if key not in keys:
                known = ", ".join(keys) or "none"
                yield ("names", field, key), f"'{key}' is not among {section}; {section}: {known}"


class _Reserved:
    """The names that belong to the platform or to a system itself, whatever the policy allows."""

    def __init__(self, platform: Platform) -> None:
        mesh, sign_on = platform.mesh, platform.harbor.single_sign_on
        self._mesh = {
            mesh.control_plane_namespace,
            mesh.gateway_namespace,
            *(gateway.partition("/")[0] for gateway in mesh.gateways),
        }
        self._dns = platform.kubernetes.dns_namespace
        self._harbor = {"harbor", mesh.harbor.namespace if mesh.harbor else "harbor"}
        self._realm = platform.keycloak.realm
        self._sign_on = sign_on.client_id if sign_on else None

    def owner(self, named: Named) -> str:
        """Return the owner of a reserved name for messages; empty if it is not reserved."""
        match named.limit:
            case "namespaces":
                return self._owner_of_namespace(named.name)
            case "projects" if named.name == _LIBRARY:
                return "Harbor"
            case "clients":
                if named.name in _CLIENTS or named.name == f"{self._realm}-realm":
                    return "Keycloak"
                if named.name == self._sign_on:
                    return "Harbor's single sign-on"
        return ""

    def _owner_of_namespace(self, name: str) -> str:
        if name == "default" or name.startswith("kube-"):
            return "Kubernetes"
        if name in self._mesh:
            return "the mesh"
        if name == self._dns:
            return "the cluster's DNS"
        return "Harbor" if name in self._harbor else ""
