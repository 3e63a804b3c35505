"""What a team no longer declares, and still carries its mark: it ends with the team, too.

Besides, robots of Harbor's system level that others have limited to the team's project: they are kept,
and listed since they give access.

Only marks that a tenant cannot write count: on namespaces, in Keycloak, and on Secrets outside of the
teams' namespaces. Such a mark must name this platform, which marks of earlier releases do not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tenantry.declared import Team
from tenantry.declared.harbor_project import SecretFormat
from tenantry.errors import SystemRefused
from tenantry.kinds import Kind
from tenantry.marks import ADOPTED, TEAM, Mark
from tenantry.plan import Change, unknown_kind
from tenantry.resources import Id, Live, Observed, Resource
from tenantry.systems.credentials.contents import type_of
from tenantry.systems.credentials.places import Place
from tenantry.systems.istio.kinds import HTTP_ROUTE, VIRTUAL_SERVICE
from tenantry.systems.keycloak import kinds as keycloak_kinds
from tenantry.systems.keycloak.clients import mark_of, observed_fields
from tenantry.systems.kubernetes import kinds, objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.systems import Systems
from tenantry.text import logger

_log = logger(__name__)
_INSIDE = (kinds.ROLE_BINDING, VIRTUAL_SERVICE, HTTP_ROUTE)
"""The kinds of objects in a namespace that a revocation deletes."""


class Leftovers:
    """An adapter that only observes."""

    name = "what is no longer declared"
    system = "kubernetes"
    kinds = frozenset[Kind]()

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._cluster = systems.home_cluster

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Return nothing."""
        return []

    def apply(self, change: Change, observed: Observed) -> None:
        """Raise an error: the adapters of the systems change these resources."""
        raise unknown_kind(change)

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        """Return the resources with the mark of one of these teams that the other adapters did not
        observe."""
        seen = Observed()
        for team in teams:
            self._observe_namespaces(team, observed, seen)
            self._observe_secrets(team, observed, seen)
            self._observe_keycloak(team, observed, seen)
        projects = {team.project: team.name for team in teams}
        self._systems.harbor.observe_system_robots(projects, seen)
        return seen

    def _is_own(self, mark: Mark | None, team: Team) -> bool:
        return (
            mark is not None
            and mark.platform is not None
            and mark.team == team.name
            and self._systems.marks.is_known
            and self._systems.marks.is_own(mark)
        )

    def _marked(self, kind: str, team: Team, *, content: bool = True) -> Iterator[Object]:
        selector = f"{objects.OURS},{TEAM}={team.name}"
        for found in self._cluster.list(kind, content=content, labelSelector=selector):
            if self._is_own(objects.mark_of(found), team):
                yield found

    def _observe_namespaces(self, team: Team, observed: Observed, seen: Observed) -> None:
        owners: dict[str, str] = {}
        for found in self._marked("Namespace", team):
            name = found["metadata"]["name"]
            is_ending = (found.get("status") or {}).get("phase") == "Terminating"
            id = Id(kinds.TERMINATING_NAMESPACE if is_ending else kinds.NAMESPACE, name)
            if id in observed.live:
                continue
            with seen.capture_errors(id, team.name):
                seen.live[id] = replace(objects.live(found), team=team.name)
                if not is_ending:
                    owners[name] = team.name
        for kind in _INSIDE if owners else ():
            try:
                inside = list(objects.observe(self._cluster, kind, owners, seen))
            except SystemRefused as error:
                if error.status != 404:  # the kind is not installed
                    raise
                continue
            for found in inside:
                metadata = found["metadata"]
                id = objects.id_of(kind, metadata["name"], metadata["namespace"])
                with seen.capture_errors(id, team.name):
                    seen.live[id] = objects.live_in(found, team.name)

    def _observe_secrets(self, team: Team, observed: Observed, seen: Observed) -> None:
        """Observe the Secrets outside of the team's namespaces with what they hold."""
        found = {id for id in observed.live if id.kind == kinds.SECRET}
        for id in sorted(found.union(self._listed_secrets(team)), key=str):
            namespace = id.key.partition("/")[0]
            if namespace in team.namespaces or _has_content(observed.live.get(id)):
                continue
            with seen.capture_errors(id, team.name):
                # Another team can write this mark into its own namespaces.
                place = self._cluster.get("Namespace", namespace)
                owner = objects.mark_of(place) if place else None
                if owner is None:
                    self._observe_secret(team, id, seen)

    def _listed_secrets(self, team: Team) -> list[Id]:
        try:
            found = [each["metadata"] for each in self._marked("Secret", team, content=False)]
        except SystemRefused as error:
            if error.status != 403:
                raise
            _log.warning(
                "Tenantry's account may not list Secrets, so Secrets of team '%s' outside of its "
                "namespaces are found by its record only.",
                team.name,
            )
            return []
        return [objects.id_of(kinds.SECRET, each["name"], each["namespace"]) for each in found]

    def _observe_secret(self, team: Team, id: Id, seen: Observed) -> None:
        namespace, name = id.key.split("/")
        found = self._cluster.get("Secret", name, namespace)
        if found is None or not self._is_own(objects.mark_of(found), team):
            return
        place = Place(team, "", namespace, name, _format(found))
        live = self._systems.credentials.secrets.read(place)
        if live is not None:
            seen.live[id] = replace(live, marked=not live.adopted, team=team.name)

    def _observe_keycloak(self, team: Team, observed: Observed, seen: Observed) -> None:
        for client in self._systems.keycloak_client.pages("clients"):
            id = Id(keycloak_kinds.CLIENT, str(dict.get(client, "clientId", "*")))
            with seen.capture_errors(id, team.name):
                attributes = client.get("attributes") or {}
                if id not in observed.live and self._is_own(mark_of(attributes), team):
                    adopted = ADOPTED in attributes
                    seen.live[id] = Live(
                        observed_fields(client),
                        marked=not adopted,
                        adopted=adopted,
                        team=team.name,
                        handle=client,
                    )
        for group in self._systems.keycloak.groups.all():
            id = Id(keycloak_kinds.GROUP, str(dict.get(group, "name", "*")))
            with seen.capture_errors(id, team.name):
                attributes = group.get("attributes") or {}
                if id not in observed.live and self._is_own(mark_of(attributes), team):
                    adopted = ADOPTED in attributes
                    seen.live[id] = Live(
                        {"attributes": attributes},
                        marked=not adopted,
                        adopted=adopted,
                        team=team.name,
                        handle=group,
                    )


def _has_content(live: Live | None) -> bool:
    """Return whether a Secret was observed with what it holds."""
    return live is not None and isinstance(live.handle, dict) and "place" in live.handle


def _format(secret: Object) -> SecretFormat:
    """Return the format of a Secret by its type, which cannot be changed."""
    types: dict[str, SecretFormat] = {type_of("docker"): "docker", type_of("basic"): "basic"}
    return types.get(str(secret.get("type")), "config.json")
