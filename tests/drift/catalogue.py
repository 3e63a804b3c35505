"""A catalogue of drift, derived from the resources themselves: manual changes in the systems.

For each resource of a team it has a deletion, and a mutation of each declared field (`changes.py`).
`extras.py` adds undeclared resources. All of them use the systems' APIs, so that they also work on
real servers.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tenantry.declared import Team
from tenantry.drift import Report
from tenantry.plan import Change
from tenantry.resources import MARK_PREFIXES, Id, Observed, Path, Resource
from tenantry.systems.adapter import Adapter
from tenantry.systems.harbor.kinds import PROJECT, ROBOT
from tenantry.systems.keycloak.kinds import GROUP, GROUP_MEMBER
from tenantry.systems.kubernetes.kinds import (
    NAMESPACE,
    NAMESPACE_MARK,
    SECRET,
    SERVICE_ACCOUNT,
)
from tenantry.systems.systems import Systems
from tests.drift.changes import CHANGES, change_object, harbor_path, keycloak_path
from tests.drift.fields import leaves, with_other_value
from tests.drift.mutation import Act, Mutation


def findings_of(report: Report) -> set[str]:
    """Return the findings of a report, each in the form `class id`."""
    return {f"{finding.class_} {finding.resource}" for finding in report.findings}


def consequences(done: Sequence[Mutation], wanted: Sequence[Resource]) -> set[str]:
    """Return the findings that follow from mutations: a Secret breaks if its issuer is changed."""
    touched = {finding.split(" ", 1)[1] for each in done for finding in each.expected}
    return {
        f"broken {resource.id}"
        for resource in wanted
        if resource.id.kind == SECRET and not touched.isdisjoint(map(str, resource.depends_on))
    }


def mutations(systems: Systems, team: Team, observed: Observed) -> list[Mutation]:
    """Return all changes that can be made by hand to a team's declared resources."""
    found: list[Mutation] = []
    for resource in systems.desired(team, observed):
        if resource.id not in observed.live:
            continue  # it waits
        found += _deletion(resource, systems, team, observed)
        for path in leaves(resource.fields):
            found += _change(resource, path, systems, observed)
    return found


# Deletions


def _deletion(
    resource: Resource, systems: Systems, team: Team, observed: Observed
) -> Iterator[Mutation]:
    id, handle = resource.id, observed.live[resource.id].handle
    expected, alone = {f"missing {id}"}, False
    if adapter := _other_adapter(systems, id):
        deletion = Change("delete", Resource(id, {}), (), observed.live[id])
        yield Mutation(f"delete {id}", id, frozenset(expected), _applied(adapter.name, deletion))
        return
    if id.kind in (NAMESPACE_MARK, SERVICE_ACCOUNT):
        return  # part of the namespace, or Kubernetes re-creates it
    if id.kind in (NAMESPACE, PROJECT, GROUP):
        alone = True
        inside = [r for r in systems.desired(team, observed) if _lies_in(r, id)]
        expected |= {f"missing {r.id}" for r in inside if r.id in observed.live}

    def act(systems: Systems) -> None:
        if id.system in ("kubernetes", "istio"):
            namespace, _, name = id.key.rpartition("/")
            live = systems.home_cluster.get(id.kind.name, name, namespace or None)
            assert live is not None
            uid = live["metadata"]["uid"]
            systems.home_cluster.delete(id.kind.name, name, namespace or None, uid)
            if id.kind == NAMESPACE:
                while systems.home_cluster.get(id.kind.name, name):
                    time.sleep(0.05)
        elif id.system == "keycloak":
            systems.keycloak_client.delete(keycloak_path(systems, id, handle))
        else:
            systems.harbor_client.delete(harbor_path(systems, id, handle))

    yield Mutation(f"delete {id}", id, frozenset(expected), act, alone=alone)


def _other_adapter(systems: Systems, id: Id) -> Adapter[Team] | None:
    """Return the adapter of a kind that is not changed by hand below."""
    known = (
        systems.kubernetes,
        systems.istio,
        systems.keycloak,
        systems.harbor,
        systems.credentials,
    )
    others = [each for each in systems.team_adapters if each not in known]
    return next((each for each in others if id.kind in each.kinds), None)


def _applied(name: str, change: Change) -> Act:
    """Return an action that applies a change through an adapter, like a person by hand."""

    def act(systems: Systems) -> None:
        (adapter,) = (each for each in systems.team_adapters if each.name == name)
        adapter.apply(change, Observed())

    return act


def _lies_in(resource: Resource, id: Id) -> bool:
    if id.kind == NAMESPACE:
        namespace = resource.id.key.split("/")[0]
        return resource.id.system in ("kubernetes", "istio") and namespace == id.key
    return resource.owner == id or (id in resource.depends_on and resource.id.kind == GROUP_MEMBER)


def _change(
    resource: Resource, path: Path, systems: Systems, observed: Observed
) -> Iterator[Mutation]:
    id, field = resource.id, ".".join(path)
    if id.kind == GROUP_MEMBER:
        return  # it has no fields that can be changed
    if path == ("roleRef", "apiGroup") or (id.kind == ROBOT and path == ("expiry",)):
        return  # no other value exists, or only the duration can be set
    if path == ("groups mapper", "protocol"):
        return  # Keycloak always keeps the client's protocol
    broken = path[0] in id.kind.health_fields
    expected = {f"{'broken' if broken else 'changed'} {id}"}
    marks = path[-1] == MARK_PREFIXES[0]
    if adapter := _other_adapter(systems, id):
        changed = replace(resource, fields=with_other_value(resource.fields, path))
        act = _applied(adapter.name, Change("update", changed, (), observed.live[id]))
    else:
        act = CHANGES.get(id.kind.name, change_object)(resource, path, observed)
    yield Mutation(
        f"{id} {field}", id, frozenset(expected), act, is_remediated=not marks, alone=marks
    )
