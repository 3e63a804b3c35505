"""Kubernetes' rules about several fields of a namespace and its NetworkPolicies."""

from collections.abc import Iterator

from tenantry.declared import network_policies
from tenantry.declared.faults import Place
from tenantry.declared.namespace import Namespace
from tenantry.declared.quotas import check_limits
from tenantry.declared.team import Team

_MAX_ANNOTATIONS = 250 * 1024
"""The maximum size of annotations in bytes: Kubernetes' 256 KiB, minus room for Tenantry's own."""


def check_namespaces(team: Team) -> Iterator[tuple[Place, str]]:
    """Return the faults of a team's namespaces that the API server would refuse."""
    first = dict.fromkeys(_check_contents(team.namespace))
    yield from ((("namespace", *place), text) for place, text in first)
    for key, namespace in team.further_namespaces.items():
        for place, text in _check_contents(namespace):
            # Values that a further namespace inherits from the first one are reported there.
            if (place, text) not in first:
                yield ("further_namespaces", key, *place), text


def _check_contents(namespace: Namespace) -> Iterator[tuple[Place, str]]:
    limits = namespace.limits
    amounts = {name: getattr(limits, name) for name in type(limits).model_fields}
    yield from ((("limits", *place), text) for place, text in check_limits(amounts))
    for name, spec in namespace.network.policies.items():
        where: Place = ("network", "policies", name)
        yield from (((*where, *place), text) for place, text in network_policies.check(spec))
    size = sum(len(key) + len(value.encode()) for key, value in namespace.annotations.items())
    if size > _MAX_ANNOTATIONS:
        text = f"{size} bytes; the annotations of a namespace have up to {_MAX_ANNOTATIONS} bytes"
        yield ("annotations",), text
