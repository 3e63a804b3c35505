"""ResourceQuotas and LimitRanges, checked as Kubernetes' API server checks them.

Kubernetes' published schema knows them as mappings of any key; the rules are those of
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
"""What a ResourceQuota limits by a name without a domain; huge pages come on top of them."""

_HUGE_PAGES = "hugepages-"
_ORDER = ("min", "default_request", "default", "max")


def _check_quota_resource(name: str) -> str:
    huge = name.removeprefix("requests.").startswith(_HUGE_PAGES)
    if "/" not in name and name not in QUOTA_RESOURCES and not huge:
        raise ValueError(
            "is not a resource that a ResourceQuota limits; "
            + _suggestion(name, QUOTA_RESOURCES)
            + " Others carry a domain, as requests.nvidia.com/gpu or count/jobs.batch"
        )
    return name


def _check_container_resource(name: str) -> str:
    if "/" not in name and name not in _COMPUTE and not name.startswith(_HUGE_PAGES):
        raise ValueError(
            "is not a resource of a container; "
            + _suggestion(name, _COMPUTE)
            + " Others carry a domain, as nvidia.com/gpu"
        )
    if name.startswith("requests.") and "kubernetes.io/" not in name:
        raise ValueError("is a ResourceQuota's name for it; leave out 'requests.'")
    return name


def _suggestion(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}."


def is_counted(name: str) -> bool:
    """Return whether a resource exists in whole numbers only, as pods and GPUs do."""
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
"""Amounts of a container's resources."""


def check_limits(limits: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[Place, str]]:
    """Return the amounts of a LimitRange that contradict each other.

    Args:
        limits: `default`, `default_request`, `max` and `min`, all defaults of the platform filled
            in.

    Returns:
        The place inside the limits, and what is wrong.
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
    limit = {**limits["max"], **limits["default"]}  # as the API server fills it in
    for name, asked in limits["default_request"].items():
        must_equal = _is_extended(name) or name.startswith(_HUGE_PAGES)
        if must_equal and name in limit and quantity(limit[name]) != quantity(asked):
            text = (
                f"{asked} differs from 'default' ({limit[name]}); they must be equal, since a "
                "container cannot use more of this resource than it requests"
            )
            yield ("default_request", name), text
