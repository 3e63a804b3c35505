"""Checks of ResourceQuotas and LimitRanges, with the rules of Kubernetes' API server.

In Kubernetes' published schema they are mappings with any keys. The rules are from
pkg/apis/core/validation of Kubernetes 1.37.
"""

import difflib
from collections.abc import Iterator, Mapping
from math import ceil
from typing import Annotated

from pydantic import AfterValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from tenantry.declared.faults import Place
from tenantry.declared.kubernetes_values import Key
from tenantry.declared.types import Quantity, quantity

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_COUNTED = (
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
)
QUOTA_RESOURCES = (
    *_COMPUTE,
    *(f"{part}.{name}" for part in ("requests", "limits") for name in _COMPUTE),
    "requests.storage",
    *_COUNTED,
)
"""The resources without a domain that a ResourceQuota can limit, except huge pages."""

_HUGE_PAGES = "hugepages-"
_ORDER = ("min", "default_request", "default", "max")


def _check_quota_resource(name: str) -> str:
    huge = name.removeprefix("requests.").startswith(_HUGE_PAGES)
    if "/" not in name and name not in QUOTA_RESOURCES and not huge:
        raise ValueError(
            "is not a resource that a ResourceQuota limits; "
            + _suggestion(name, QUOTA_RESOURCES)
            + " Others have a domain, such as requests.nvidia.com/gpu or count/jobs.batch"
        )
    return name


def _check_container_resource(name: str) -> str:
    if "/" not in name and name not in _COMPUTE and not name.startswith(_HUGE_PAGES):
        raise ValueError(
            "is not a resource of a container; "
            + _suggestion(name, _COMPUTE)
            + " Others have a domain, such as nvidia.com/gpu"
        )
    if name.startswith("requests.") and "kubernetes.io/" not in name:
        raise ValueError("is the name in a ResourceQuota; remove 'requests.'")
    return name


def _suggestion(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}."


def is_counted(name: str) -> bool:
    """Return whether a resource exists only in whole numbers, such as pods and GPUs."""
    return name in _COUNTED or _is_extended(name)


def _is_extended(name: str) -> bool:
    domain, separator, _ = name.partition("/")
    return bool(separator) and "kubernetes.io/" not in name and not domain.startswith("requests.")


def _check_whole(quota: Mapping[str, str]) -> Mapping[str, str]:
    faults = [
        InitErrorDetails(
            type=PydanticCustomError("whole_number", "must be a whole number"),
            loc=(name,),
            input=amount,
        )
        for name, amount in quota.items()
        # Kubernetes rounds up to thousandths first.
        if is_counted(name) and ceil(quantity(amount) * 1000) % 1000
    ]
    if faults:
        raise ValidationError.from_exception_data("Quota", faults)
    return quota


Quota = Annotated[
    dict[Annotated[Key, AfterValidator(_check_quota_resource)], Quantity],
    AfterValidator(_check_whole),
]
"""The `hard` of a ResourceQuota."""

Amounts = dict[Annotated[Key, AfterValidator(_check_container_resource)], Quantity]
"""Quantities of a container's resources."""


def check_limits(limits: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[Place, str]]:
    """Return the contradictions between the quantities of a LimitRange.

    Args:
        limits: `default`, `default_request`, `max` and `min`, with all defaults of the platform.

    Returns:
        The field in the limits, and the fault.
    """
    for index, lower in enumerate(_ORDER):
        for upper in _ORDER[index + 1 :]:
            for name in limits[lower].keys() & limits[upper].keys():
                least, most = limits[lower][name], limits[upper][name]
                if quantity(least) > quantity(most):
                    text = (
                        f"{least} is greater than '{upper}' ({most}); lower it, or raise '{upper}'"
                    )
                    yield (lower, name), text
    limit = {**limits["max"], **limits["default"]}  # the API server sets the default in this way
    for name, asked in limits["default_request"].items():
        must_equal = _is_extended(name) or name.startswith(_HUGE_PAGES)
        if must_equal and name in limit and quantity(limit[name]) != quantity(asked):
            text = (
                f"{asked} differs from 'default' ({limit[name]}); they must be equal, since a "
                "container cannot use more of this resource than it requests"
            )
            yield ("default_request", name), text
