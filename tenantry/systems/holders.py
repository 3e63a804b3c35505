"""The holders of claimed names, by Tenantry's marks in the systems.

A tenant can write objects of some kinds into its own namespaces, with any labels. So the mark of
such an object proves nothing outside of these namespaces. Only marks that tenants cannot write
count: on the namespace itself, in Keycloak, and on Secrets outside of the teams' namespaces.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

from tenantry.declared import LeftOut, Team
from tenantry.declared.claims import LOGIN_HOST
from tenantry.declared.external_names import EXTERNAL_NAME
from tenantry.errors import SystemRefused, TenantryError, as_tenantry_error
from tenantry.marks import MARK
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.intents import PROJECT
from tenantry.systems.kubernetes.namespaces import HOSTS, REPLACES
from tenantry.systems.systems import Systems

T = TypeVar("T")

_ROUTES = ("VirtualService", "HTTPRoute")


class Holders:
    """The marks in the systems. Each kind is read once, when it is needed.

    All methods raise TenantryError if a system cannot be read. The holder is unknown then, which
    differs from a missing holder. A kind that could not be read is not read again, since there may
    be thousands of claims.

    Args:
        systems: the systems.
        keycloak: whether Keycloak may be called; otherwise its marks are unknown.
    """

    def __init__(self, systems: Systems, *, keycloak: bool = True) -> None:
        self._systems = systems
        self._cluster = systems.home_cluster
        self._keycloak = keycloak
        self.failures: dict[str, TenantryError] = {}
        """The kinds that could not be read, with the errors."""

    def _ask(self, what: str, read: Callable[[], T]) -> T:
        """Return the result of a read, unless a read of the same kind has failed before."""
        if (failure := self.failures.get(what)) is not None:
            raise failure
        try:
            return read()
        except Exception as error:  # noqa: BLE001 the failure of this kind, whatever it is
            self.failures[what] = as_tenantry_error(error, f"reading which team holds {what}")
            raise self.failures[what] from None

    def decide(self, what: str, name: str, rivals: Sequence[LeftOut]) -> LeftOut | None:
        """Return the file that keeps a claimed name; None if the systems do not show it.

        If the current declared state of exactly one file is applied, that file keeps the name.
        Otherwise it is the file of the team whose mark is on the object with this name.
        """
        if what == LOGIN_HOST:
            return self._decide_logins(*name.rpartition("/")[::2], rivals)
        applied = [rival for rival in rivals if rival.team and self.is_applied(rival.team)]
        if len(applied) != 1:
            applied = [
                rival for rival in rivals if rival.team and self._holds(rival.team, what, name)
            ]
        return applied[0] if len(applied) == 1 else None

    def _decide_logins(self, host: str, logins: str, rivals: Sequence[LeftOut]) -> LeftOut | None:
        """Return the file that keeps a host: the one with its route if the route exists, else the
        one with the logins.

        A new route would receive the authorization codes of the other team's logins.
        """
        holder = self.holder("the host", host)
        names = {each.team.name: each for each in rivals if each.team}
        routes = [name for name in names if name != logins]
        return names.get(holder if holder in routes else logins)

    def _holds(self, team: Team, what: str, name: str) -> bool:
        if what == EXTERNAL_NAME:
            provider = name.partition("/")[0]
            return self._keycloak and self._ask(
                what, lambda: self._systems.keycloak.mappers.is_current(provider, team)
            )
        return self.holder(what, name) == team.name

    def is_applied(self, team: Team) -> bool:
        """Return whether the current declared state of a team is applied."""
        found = self._ask("the namespace", lambda: self._namespaces).get(team.home_namespace)
        return found is not None and self._systems.kubernetes.is_applied(team, found)

    def teams(self) -> frozenset[str]:
        """Return the teams that own a namespace, or a Secret in their unmarked first namespace."""
        return self._ask("the teams", lambda: frozenset(self._live_teams()))

    def marked_teams(self) -> frozenset[str]:
        """Return the teams of this platform whose mark is on a namespace, group or OIDC client."""

        def read() -> frozenset[str]:
            marks = [objects.mark_of(each) for each in self._namespaces.values()]
            own = {mark.team for mark in marks if mark and self._systems.marks.is_own(mark)}
            return frozenset(filter(None, (*own, *self._groups.values(), *self._clients.values())))

        return self._ask("the teams", read)

    def recorded_names(self, team: str) -> dict[str, str]:
        """Return the first namespace and the project of a team, as its namespace records them."""

        def read() -> dict[str, str]:
            for name, found in self._namespaces.items():
                mark = objects.mark_of(found)
                project = (found["metadata"].get("annotations") or {}).get(PROJECT)
                if project and mark and mark.team == team and self._systems.marks.is_own(mark):
                    return {"namespace": name, "project": str(project)}
            return {}

        return self._ask("the teams", read)

    def _live_teams(self) -> Iterator[str]:
        for namespace in self._namespaces:
            owner = self._owner(namespace)
            if owner is not None:
                yield owner
        for secret, team in self._marked_secrets:
            first = self._systems.state.named(team).home_namespace
            if secret["metadata"]["namespace"] == first:
                yield team

    def holder(self, what: str, name: str) -> str | None:
        """Return the team whose mark is on an object; None if it has no mark or does not exist."""
        return self._ask(what, lambda: self._read_holder(what, name))

    def _read_holder(self, what: str, name: str) -> str | None:
        match what:
            case "the namespace":
                return self._owner(name)
            case "the project":
                return self._projects.get(name)
            case "the group":
                return self._groups.get(name)
            case "the OIDC client":
                return self._clients.get(name)
            case "the Secret":
                return self._secrets.get(name)
            case "the robot":
                return self._replaced.get(name)
            case "the host":
                return self._hosts.get(name)
        return None

    @cached_property
    def _namespaces(self) -> dict[str, Object]:
        found = self._cluster.list("Namespace", labelSelector=objects.OURS)
        return {each["metadata"]["name"]: each for each in found}

    def _owner(self, namespace: str) -> str | None:
        """Return the team that a namespace was created for; None if it has no such mark."""
        found = self._namespaces.get(namespace)
        mark = objects.mark_of(found) if found else None
        return mark.team or None if mark and self._systems.marks.is_own(mark) else None

    @cached_property
    def _projects(self) -> dict[str, str]:
        """The Harbor projects that the teams' first namespaces record, with the team."""
        return {project: team for team, (_, project) in self._firsts.items()}

    def first_namespace(self, team: str) -> tuple[str, str] | None:
        """Return a team's first namespace and its project, by the marks; None if none has a mark."""
        return self._ask("the namespace", lambda: self._firsts).get(team)

    @cached_property
    def _firsts(self) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        for namespace in sorted(self._namespaces.values(), key=_age, reverse=True):
            mark, metadata = objects.mark_of(namespace), namespace["metadata"]
            project = (metadata.get("annotations") or {}).get(PROJECT)
            if project and mark is not None and self._systems.marks.is_own(mark):
                found[mark.team] = (metadata["name"], str(project))
        return found

    @cached_property
    def _groups(self) -> dict[str, str]:
        return self._systems.keycloak.groups.owners() if self._keycloak else {}

    @cached_property
    def _clients(self) -> dict[str, str]:
        return self._systems.keycloak.client_owners() if self._keycloak else {}

    @cached_property
    def _marked_secrets(self) -> list[tuple[Object, str]]:
        """The Secrets outside of the teams' namespaces with a team's mark, with that team."""
        found = self._cluster.list("Secret", labelSelector=objects.OURS, content=False)
        return list(self._credible(found))

    def _credible(self, found: Iterator[Object]) -> Iterator[tuple[Object, str]]:
        for each in found:
            team = objects.team_of(each)
            if team is not None and self._owner(each["metadata"]["namespace"]) in (None, team):
                yield each, team

    @cached_property
    def _secrets(self) -> dict[str, str]:
        return {
            f"{each['metadata']['namespace']}/{each['metadata']['name']}": team
            for each, team in self._marked_secrets
        }

    @cached_property
    def _replaced(self) -> dict[str, str]:
        """The robots of other tools that a team's robots replace, with that team."""
        return dict(self._listed(REPLACES))

    @cached_property
    def _hosts(self) -> dict[str, str]:
        """The hosts of the teams' routes, with the team that holds each.

        The namespaces of several teams may list the same host, since they also list granted hosts.
        Then the team with the oldest route for the host holds it, else the team with the oldest
        namespace. A namespace of an earlier release lists no hosts: there the routes count.
        """
        listed: dict[str, dict[str, None]] = {}
        for host, team in self._listed(HOSTS):
            listed.setdefault(host, {})[team] = None
        hosts = {host: next(iter(teams)) for host, teams in listed.items()}
        disputed = {host: teams for host, teams in listed.items() if len(teams) > 1}
        routes = [pair for kind in _ROUTES for pair in self._credible(self._routes(kind))]
        found: dict[str, str] = {}
        for route, team in sorted(routes, key=lambda pair: _age(pair[0])):
            spec, namespace = route.get("spec") or {}, route["metadata"]["namespace"]
            if self._owner(namespace) != team:
                continue
            for host in map(str, (*(spec.get("hosts") or ()), *(spec.get("hostnames") or ()))):
                if team in disputed.get(host, {}):
                    found.setdefault(host, team)
                elif self._is_earlier(namespace):
                    hosts.setdefault(host, team)
        return {**hosts, **found}

    def _listed(self, key: str) -> Iterator[tuple[str, str]]:
        """Yield the entries of an annotation of the namespaces, with the team of the namespace."""
        for namespace in sorted(self._namespaces.values(), key=_age):
            team = self._owner(namespace["metadata"]["name"])
            listed = str((namespace["metadata"].get("annotations") or {}).get(key, ""))
            for each in filter(None, listed.split(",") if team else ()):
                yield each, str(team)

    def _is_earlier(self, namespace: str) -> bool:
        """Return whether an earlier release, whose marks had no version, wrote a namespace last."""
        found = self._namespaces[namespace]["metadata"]
        return MARK not in (found.get("annotations") or {})

    def _routes(self, kind: str) -> Iterator[Object]:
        try:
            yield from self._cluster.list(kind, labelSelector=objects.OURS)
        except SystemRefused as error:
            if error.status != 404:  # the kind is not installed
                raise


def _age(found: Object) -> tuple[str, str]:
    """Return a key that sorts objects from the oldest to the newest, and by name for equal ages."""
    metadata = found["metadata"]
    return str(metadata.get("creationTimestamp")), f"{metadata.get('namespace')}/{metadata['name']}"
