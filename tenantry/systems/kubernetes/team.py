"""The adapter for the resources of teams in Kubernetes: namespaces, and the objects that isolate
teams.

A namespace also stores two records. The first is the intent mark: that the Harbor project of the
team is Tenantry's. Harbor's projects have no place for a mark, so it is written to the namespace
before the project is created. The second is a hash of the declared state that was applied.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tenantry.calls import MAX_SINGLE_READS, map_concurrently
from tenantry.declared import Declaration, Team
from tenantry.errors import SystemRefused
from tenantry.kinds import Kind
from tenantry.marks import KEY, Intent, Marks
from tenantry.plan import Change
from tenantry.resources import Id, Live, Observed, Resource
from tenantry.systems.kubernetes import kinds, objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.clusters import Clusters
from tenantry.systems.kubernetes.intents import intent_annotations, project_intent
from tenantry.systems.kubernetes.namespaces import (
    APPLY_ROLE,
    MEMBER_ROLE,
    contents,
    member_role,
    namespace,
)
from tenantry.systems.kubernetes.record import RECORD, parse, recorded
from tenantry.systems.kubernetes.renames import (
    bindings,
    former_name,
    keep_former,
    keeps_rights,
    key_of,
    refuse_changed_further,
    refuse_changed_names,
)

_INSIDE = (
    kinds.RESOURCE_QUOTA,
    kinds.LIMIT_RANGE,
    kinds.NETWORK_POLICY,
    kinds.ROLE_BINDING,
)


class KubernetesTeams:
    """The adapter for the resources of teams in Kubernetes, except routes and credentials."""

    name = "Kubernetes"
    system = "kubernetes"
    kinds = frozenset({kinds.NAMESPACE, kinds.NAMESPACE_MARK, kinds.CLUSTER_ROLE, *_INSIDE})

    def __init__(
        self,
        clusters: Clusters,
        state: Declaration,
        marks: Marks,
        adopts_project: Callable[[Team, Observed], bool],
        *,
        extras: bool = False,
    ) -> None:
        """
        Args:
            clusters: the connections to the clusters.
            state: the declared state.
            marks: the platform's marks.
            adopts_project: returns whether a team's plan adopts a Harbor project.
            extras: observe undeclared resources, too.
        """
        self._adopts_project = adopts_project
        self._clusters = clusters
        self._client = clusters.home
        self._state = state
        self._marks = marks
        self._extras = extras

    def desired(self, team: Team, observed: Observed) -> list[Resource]:
        """Return the team's namespaces, their contents, and the mark that everything is applied.

        Of what was observed, only the Harbor project is used, for the intent mark, and names that were
        changed. If the name of the group was, its rights stay as they are.
        """
        roles = {declared.cluster_role for declared in team.namespaces.values()}
        wanted = [member_role()] if MEMBER_ROLE in roles else []
        evaluator = self._state.evaluator
        hosts = evaluator.granted_hosts(team) if evaluator else frozenset()
        kept = set(bindings(team)) if keeps_rights(team, observed) else set()
        home = Id(kinds.NAMESPACE, team.home_namespace)
        spaces = [former_name(Id(kinds.NAMESPACE, n), observed) or n for n in team.namespaces]
        for name, declared in team.namespaces.items():
            key = team.namespace_key(name)
            if name == team.home_namespace:
                more = intent_annotations(team, observed, self._adopts_project)
            else:
                more = {KEY: key} if key else {}
            own = namespace(self._marks, team, name, declared, more, hosts, spaces)
            own = own if name == home.key else replace(own, depends_on=(home,))
            wanted.append(keep_former(team, own, observed))
            inside = contents(self._marks, self._state.platform, team, name, declared)
            wanted.extend(each for each in inside if each.id not in kept)
        mark = {kinds.APPLIED: self._state.fingerprint(team)}
        wanted.append(
            Resource(
                id=Id(kinds.NAMESPACE_MARK, team.home_namespace),
                fields={"metadata": {"annotations": mark}},
                depends_on=(Id(kinds.NAMESPACE, team.home_namespace),),
            )
        )
        return wanted

    def observe(self, teams: Sequence[Team], observed: Observed) -> Observed:
        """Return the namespaces of these teams, and the objects in them."""
        seen = Observed()
        role = self._client.get("ClusterRole", MEMBER_ROLE)
        if role is not None:
            seen.live[Id(kinds.CLUSTER_ROLE, MEMBER_ROLE)] = self._member_role(role)
        names = {name: team for team in teams for name in team.namespaces}
        present: list[str] = []
        existing: set[str] = set()
        if self._extras:
            self._observe_left_over(seen)
        for found in self._namespaces(names, seen):
            name = found["metadata"]["name"]
            existing.add(name)
            with seen.capture_errors(Id(kinds.NAMESPACE, name), names[name].name):
                foreign = self._marks.foreign(objects.mark_of(found), names[name].name)
                live = objects.live(found, foreign)
                if found["status"].get("phase") == "Terminating":
                    # Its objects are deleted with it. Its intent mark still shows the project's
                    # owner.
                    seen.live[Id(kinds.TERMINATING_NAMESPACE, name)] = live
                    continue
                seen.live[Id(kinds.NAMESPACE, name)] = live
                if foreign:
                    continue  # the objects in it are not this team's either, whatever their marks
                present.append(name)
                if name == names[name].home_namespace and live.ours:
                    seen.live[Id(kinds.NAMESPACE_MARK, name)] = Live(live.fields)
        owners = {name: names[name].name for name in present}
        missing = [team for team in teams if team.home_namespace not in existing]
        refuse_changed_names(self._client, self._state, self._marks, missing, seen)
        refuse_changed_further(self._client, self._marks, teams, seen)

        def listed(kind: Kind) -> list[Object]:
            return list(objects.observe(self._client, kind, owners, seen))

        for kind, inside in zip(_INSIDE, map_concurrently(listed, _INSIDE), strict=True):
            for found in inside:
                metadata = found["metadata"]
                id = objects.id_of(kind, metadata["name"], metadata["namespace"])
                team = names[metadata["namespace"]].name
                with seen.capture_errors(id, team):
                    live = objects.live_in(found, team)
                    if kind == kinds.ROLE_BINDING:  # any RoleBinding grants rights in the namespace
                        live = replace(live, team=team)
                    seen.live[id] = live
        self._observe_left(teams, seen)
        if self._extras:
            self._observe_secrets(owners, seen)
        return seen

    def is_renamed(self, team: Team, namespace: str) -> bool:
        """Return whether a namespace is a declared further one of a team, under another name."""
        found = self.namespaces([namespace]) if namespace not in team.namespaces else []
        return any(key_of(each, team, self._marks) in team.further_namespaces for each in found)

    def _observe_left(self, teams: Sequence[Team], seen: Observed) -> None:
        """Observe the further namespaces that these teams no longer declare, and the rights in them.

        They are on the record of the team's first namespace. With `extras`, they are known already.
        """
        owners = {
            name: team
            for team in teams
            for name in recorded(team, seen, kinds.NAMESPACE) - team.namespaces.keys()
        }
        missing = [name for name in owners if Id(kinds.NAMESPACE, name) not in seen.live]
        for found in self.namespaces(missing) if missing and not self._extras else ():
            name = found["metadata"]["name"]
            with seen.capture_errors(Id(kinds.NAMESPACE, name), owners[name].name):
                self._add_left_over(found, seen)
        left = {
            name: team.name
            for name, team in owners.items()
            if (live := seen.live.get(Id(kinds.NAMESPACE, name))) and live.team == team.name
        }
        for found in objects.observe(self._client, kinds.ROLE_BINDING, left, seen) if left else ():
            metadata = found["metadata"]
            id = objects.id_of(kinds.ROLE_BINDING, metadata["name"], metadata["namespace"])
            with seen.capture_errors(id, left[metadata["namespace"]]):
                seen.live[id] = objects.live_in(found, left[metadata["namespace"]])

    def _member_role(self, found: Object) -> Live:
        """Return the members' role. It is read-only if it is outdated and must not be written."""
        live = objects.live(found)
        is_current = found.get("rules") == member_role().fields["rules"]
        if is_current or self._client.may("patch", "ClusterRole", MEMBER_ROLE):
            return live
        reason = f"Tenantry's account may not change it. {APPLY_ROLE}"
        return replace(live, read_only={"rules": reason})

    def _observe_left_over(self, seen: Observed) -> None:
        """Observe the namespaces of teams that are no longer declared."""
        declared = {name for team in self._state.teams.values() for name in team.namespaces}
        for found in self._client.list("Namespace", labelSelector=objects.OURS):
            name = found["metadata"]["name"]
            with seen.capture_errors(Id(kinds.NAMESPACE, name), objects.team_of(found)):
                if name not in declared:
                    self._add_left_over(found, seen)

    def _add_left_over(self, found: Object, seen: Observed) -> None:
        """Add an undeclared namespace with the mark of a team of this platform."""
        mark, is_ending = objects.mark_of(found), found["status"].get("phase") == "Terminating"
        if mark is not None and self._marks.is_own(mark) and not is_ending:
            id = Id(kinds.NAMESPACE, found["metadata"]["name"])
            seen.live[id] = replace(objects.live(found), team=mark.team or None)

    def _observe_secrets(self, owners: Mapping[str, str], seen: Observed) -> None:
        """Observe the existence of Secrets with Tenantry's mark, without their content.

        Outside of the namespaces of teams, they are sinks: the mark names their team.
        """
        declared = {name for team in self._state.teams.values() for name in team.namespaces}
        with seen.capture_errors(Id(kinds.EXTRA_SECRET, "*"), None):
            for found in self._client.list("Secret", labelSelector=objects.OURS, content=False):
                metadata = found["metadata"]
                id = objects.id_of(kinds.SECRET, metadata["name"], metadata["namespace"])
                owner = owners.get(metadata["namespace"])
                with seen.capture_errors(id, owner or objects.team_of(found)):
                    if owner is not None:
                        seen.live[id] = objects.live_in(found, owner)
                    elif metadata["namespace"] not in declared and self._is_outside(found, seen):
                        seen.live[id] = objects.live(found)

    def _is_outside(self, secret: Object, seen: Observed) -> bool:
        """Return whether a Secret of a declared team is in a namespace that was never a team's."""
        mark = objects.mark_of(secret)
        is_teams = Id(kinds.NAMESPACE, secret["metadata"]["namespace"]) in seen.live
        if mark is None or is_teams:
            return False
        return mark.team in self._state.teams and self._marks.is_own(mark)

    def recorded(self, team: Team) -> frozenset[Id]:
        """Read the team's first namespace, and return the ids of what Tenantry created for the team."""
        for found in self.namespaces([team.home_namespace]):
            if objects.is_ours(found) and not self._marks.foreign(
                objects.mark_of(found), team.name
            ):
                record = (found["metadata"].get("annotations") or {}).get(RECORD)
                return parse(record) or frozenset()
        return frozenset()

    def namespaces(self, names: Sequence[str]) -> list[Object]:
        """Return those of the namespaces that exist."""
        if len(names) <= MAX_SINGLE_READS:
            found = (self._client.get("Namespace", name) for name in names)
            return [live for live in found if live is not None]
        wanted = frozenset(names)
        return [
            live for live in self._client.list("Namespace") if live["metadata"]["name"] in wanted
        ]

    def _namespaces(self, owners: Mapping[str, Team], seen: Observed) -> list[Object]:
        """Return those of the namespaces that exist, and record those that cannot be read."""
        if len(owners) > MAX_SINGLE_READS:
            return self.namespaces(list(owners))
        found: list[Object] = []
        for name, team in owners.items():
            with seen.capture_errors(Id(kinds.NAMESPACE, name), team.name, invalid_only=True):
                found += self.namespaces([name])
        return found

    def intent(self, team: Team) -> Intent | None:
        """Read the team's namespace, and return its intent mark for the Harbor project."""
        seen = Observed()
        for found in self.namespaces([team.home_namespace]):
            foreign = self._marks.foreign(objects.mark_of(found), team.name)
            seen.live[Id(kinds.NAMESPACE, team.home_namespace)] = objects.live(found, foreign)
        return project_intent(team, seen)

    def is_applied(self, team: Team, live: Object) -> bool:
        """Return whether a team's namespace records that the current declared state is applied."""
        annotations = live["metadata"].get("annotations") or {}
        if live["status"].get("phase") == "Terminating":
            return False
        return bool(annotations.get(kinds.APPLIED) == self._state.fingerprint(team))

    def apply(self, change: Change, observed: Observed) -> None:
        """Make one change."""
        if change.id.kind == kinds.NAMESPACE_MARK:
            self._mark(change)
            return
        if change.id.kind == kinds.NAMESPACE and change.live is None:
            self._clusters.of(change.id).wait_until_gone(change.id.key)
        try:
            objects.apply(self._clusters.of(change.id), change)
        except SystemRefused as error:
            if change.id.kind == kinds.CLUSTER_ROLE and error.status == 403:
                raise SystemRefused(
                    error.system, error.call, error.reason, status=403, advice=APPLY_ROLE
                ) from None
            raise

    def _mark(self, change: Change) -> None:
        annotations = dict(change.resource.fields["metadata"]["annotations"])
        body = {"metadata": {"annotations": annotations}}
        self._clusters.of(change.id).merge("Namespace", change.id.key, None, body)
