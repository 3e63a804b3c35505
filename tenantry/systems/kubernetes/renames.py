"""Refusals of changed names: the objects of an onboarded team keep their names.

Under a new name, Tenantry would create a second, empty object. Workloads, images, members and logins
would stay with the old one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from tenantry.declared import Declaration, Team
from tenantry.declared.policy_text import renaming
from tenantry.marks import KEY, TEAM, Marks
from tenantry.resources import Id, Live, Observed, Resource, get_path
from tenantry.systems.keycloak.kinds import GROUP
from tenantry.systems.kubernetes import kinds, objects
from tenantry.systems.kubernetes.client import KubernetesClient, Object
from tenantry.systems.kubernetes.intents import PROJECT
from tenantry.systems.kubernetes.namespaces import BINDING, HOSTS
from tenantry.systems.kubernetes.record import RECORD, recorded_ids


def refuse_changed_names(
    client: KubernetesClient,
    state: Declaration,
    marks: Marks,
    teams: Sequence[Team],
    seen: Observed,
) -> None:
    """Refuse the missing first namespaces of teams that have another one, or another name.

    Args:
        client: the cluster.
        state: the declared state.
        marks: the platform's marks.
        teams: the teams whose first namespace does not exist.
        seen: the observed state, to which the refusals are added.
    """
    teams = [team for team in teams if seen.is_known(Id(kinds.NAMESPACE, team.home_namespace))]
    if not teams:
        return
    only = len(teams) == 1 and not teams[0].routes  # the routes of others are not compared
    one = f",{TEAM}={teams[0].name}" if only else ""
    found = list(client.list("Namespace", labelSelector=f"{objects.OURS}{one}"))
    by_team: dict[str | None, list[Object]] = defaultdict(list)
    for each in found:
        by_team[objects.team_of(each)].append(each)
    for team in teams:
        why = changed_namespace(team, by_team[team.name], marks)
        if state.knows_all_names and not why:
            why = held_host(team, found, marks, state.names)
        if why:
            id = Id(kinds.NAMESPACE, team.home_namespace)
            seen.live[id] = Live({}, ours=False, foreign=why)


def refuse_changed_further(
    client: KubernetesClient, marks: Marks, teams: Sequence[Team], seen: Observed
) -> None:
    """Refuse the further namespaces that exist under another name.

    Args:
        client: the cluster.
        marks: the platform's marks.
        teams: the teams.
        seen: the observed state, to which the refusals are added.
    """
    some = [
        team
        for team in teams
        if any(
            may_be_renamed(Id(kinds.NAMESPACE, team.further_namespace(key)), team, seen, seen)
            for key in team.further_namespaces
        )
    ]
    if not some:
        return
    one = f",{TEAM}={some[0].name}" if len(some) == 1 else ""
    found = list(client.list("Namespace", labelSelector=f"{objects.OURS}{one}"))
    for team in some:
        for key, former in former_further(team, found, marks):
            id = Id(kinds.NAMESPACE, team.further_namespace(key))
            if may_be_renamed(id, team, seen, seen):
                refuse_renamed(id, former, changed_further(team, key, former), seen)


def changed_namespace(team: Team, namespaces: Iterable[Object], marks: Marks) -> str:
    """Return why a team's missing first namespace must not be created; empty if it may.

    Args:
        team: the team.
        namespaces: the namespaces with Tenantry's mark.
        marks: the platform's marks.
    """
    for found in namespaces:
        metadata, mark = found["metadata"], objects.mark_of(found)
        is_first = PROJECT in (metadata.get("annotations") or {})
        is_own = mark is not None and mark.team == team.name and marks.is_own(mark)
        ends = found["status"].get("phase") == "Terminating"
        if is_first and is_own and not ends and metadata["name"] != team.home_namespace:
            return _text(team, "namespace", metadata["name"], team.home_namespace)
    return ""


def changed_project(team: Team, recorded: str) -> str:
    """Return why a team's project must not be created.

    Args:
        team: the team.
        recorded: its existing project, which its namespace records.
    """
    return _text(team, "project", recorded, team.project)


def _text(team: Team, field: str, old: str, new: str) -> str:
    way = (
        f"To move to '{new}', declare a new team, move workloads and images to it, and then offboard "
        f"team '{team.name}'"
    )
    return _refusal(team, f"the {field}", old, f"names: {{{field}: {old}}}", way)


def _refusal(team: Team, what: str, old: str, keep: str, way: str) -> str:
    return (
        f"{what} of team '{team.name}' is '{old}', by the marks of Tenantry, and the names of an "
        f"onboarded team cannot change. Keep the name: {keep} in the team's file. {way}"
    )


# Groups, OIDC clients and further namespaces


_FORMER = "former name"
"""The key in the handle of a resource that must not be created, since another one exists."""


def _is_onboarded(team: Team, observed: Observed) -> bool:
    """Return whether a team may have been onboarded before, by the records on its first namespace."""
    home = Id(kinds.NAMESPACE, team.home_namespace)
    if not observed.is_known(home):
        return True
    live = observed.live.get(home)
    annotations = get_path(live.fields, ("metadata", "annotations")) if live and live.ours else None
    return not {RECORD, kinds.APPLIED}.isdisjoint(annotations or {})


def may_be_renamed(id: Id, team: Team, observed: Observed, seen: Observed) -> bool:
    """Return whether a declared resource is not the team's yet, so that its name may be a changed one.

    Args:
        id: the resource.
        team: its team.
        observed: the team's namespaces.
        seen: what was observed of the system of the resource.
    """
    live = seen.live.get(id)
    is_open = seen.is_known(id) and (live is None or not (live.ours or live.foreign))
    return is_open and _is_onboarded(team, observed)


def refuse_renamed(id: Id, former: str, why: str, seen: Observed) -> None:
    """Refuse a resource, since the team has another one in its place.

    Args:
        id: the resource under its new name.
        former: the existing name.
        why: why the new name is refused.
        seen: what was observed.
    """
    live = seen.live.get(id)
    fields = live.fields if live else {}
    seen.live[id] = Live(fields, ours=False, foreign=why, handle={_FORMER: former})


def former_name(id: Id, observed: Observed) -> str:
    """Return the existing name of a resource whose new name is refused; empty if it is not refused."""
    live = observed.live.get(id)
    handle = live.handle if live is not None and live.foreign else None
    return str(handle.get(_FORMER, "")) if isinstance(handle, dict) else ""


def keeps_rights(team: Team, observed: Observed) -> bool:
    """Return whether the rights of a team's group stay as they are, since its name was changed.

    While Keycloak is not read, it is not known whether the former group still exists.
    """
    group = Id(GROUP, team.oidc_group)
    created = {id for id in recorded_ids(team, observed) if id.kind == GROUP}
    is_open = bool(created) and group not in created and not observed.is_known(group)
    return is_open or bool(former_name(group, observed))


def keep_former(team: Team, wanted: Resource, observed: Observed, *more: Id) -> Resource:
    """Return a desired resource, as whose parts those with its former name stay declared.

    Otherwise, they would be taken out, and access would end because of a name.

    Args:
        team: the team.
        wanted: the resource.
        observed: what was observed of the team.
        more: what else stays.
    """
    former = former_name(wanted.id, observed)
    if not former:
        return wanted
    parts = {
        id
        for id in recorded_ids(team, observed)
        if id == Id(wanted.id.kind, former) or id.key.startswith(f"{former}/")
    }
    if wanted.id.kind == kinds.NAMESPACE:
        parts.add(objects.id_of(kinds.ROLE_BINDING, BINDING, former))
    parts |= {Id(wanted.id.kind, former), *more}
    return replace(wanted, parts=(*wanted.parts, *sorted(parts)))


def bindings(team: Team) -> Iterator[Id]:
    """Yield the RoleBindings of a team's group."""
    for namespace in team.namespaces:
        yield objects.id_of(kinds.ROLE_BINDING, BINDING, namespace)


def changed_group(team: Team, old: str) -> str:
    """Return why a team must not get another group."""
    way = (
        f"To give it the name '{team.oidc_group}', rename the group in Keycloak, which keeps its members, "
        "and then change the file"
    )
    return _refusal(team, "the group", old, f"group: {old}", way)


def changed_client(team: Team, key: str, old: str) -> str:
    """Return why a client of a team must not get another id."""
    way = (
        f"To give it the id '{team.client_id(key)}', rename the client in Keycloak, which keeps its "
        "secret, and then change the file"
    )
    return _refusal(
        team, f"the OIDC client '{key}'", old, f"names: {{clients: {{{key}: {old}}}}}", way
    )


def changed_further(team: Team, key: str, old: str) -> str:
    """Return why a further namespace of a team must not get another name."""
    way = (
        f"To move to '{team.further_namespace(key)}', declare it under another key, move the workloads, "
        f"and then remove '{key}'"
    )
    keep = f"names: {{further_namespaces: {{{key}: {old}}}}}"
    return _refusal(team, f"the further namespace '{key}'", old, keep, way)


def key_of(found: Object, team: Team, marks: Marks) -> str:
    """Return the key of a further namespace of a team by its marks; empty if it is not one."""
    metadata, mark = found["metadata"], objects.mark_of(found)
    annotations = metadata.get("annotations") or {}
    is_own = mark is not None and mark.team == team.name and marks.is_own(mark)
    ends = found["status"].get("phase") == "Terminating"
    return (
        str(annotations.get(KEY, "")) if is_own and not ends and PROJECT not in annotations else ""
    )


def former_further(
    team: Team, namespaces: Iterable[Object], marks: Marks
) -> Iterator[tuple[str, str]]:
    """Yield the declared keys of a team whose namespace has another name, and that name.

    Args:
        team: the team.
        namespaces: the namespaces with Tenantry's mark.
        marks: the platform's marks.
    """
    for found in namespaces:
        key, name = key_of(found, team, marks), found["metadata"]["name"]
        if key in team.further_namespaces and name not in team.namespaces:
            yield key, name


def held_host(
    team: Team, namespaces: Iterable[Object], marks: Marks, names: Collection[str]
) -> str:
    """Return why a new team must not get its hosts; empty if it may.

    A team whose file was renamed would otherwise take the hosts of the team that it was, while the
    routes and workloads of that team are still there.

    Args:
        team: a team without a first namespace.
        namespaces: the namespaces with Tenantry's mark.
        marks: the platform's marks.
        names: the names of all declared teams.
    """
    hosts = {route.host for route in team.routes.values()}
    for found in namespaces if hosts else ():
        mark, annotations = objects.mark_of(found), found["metadata"].get("annotations") or {}
        if mark is None or not mark.team or mark.team in names or not marks.is_own(mark):
            continue
        for host in sorted(hosts & set(str(annotations.get(HOSTS, "")).split(","))):
            return (
                f"team '{mark.team}', which is no longer declared, has the host '{host}'. "
                f"{renaming(team.name, mark.team)}"
            )
    return ""
