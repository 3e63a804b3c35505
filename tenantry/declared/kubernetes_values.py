"""Types for names, labels and hosts, with the rules of Kubernetes' API server."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from tenantry.declared.types import as_written, fits, text_like, text_or_number

_HOST_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"(\*\.)?{_HOST_LABEL}(\.{_HOST_LABEL})*"


def _check_host(value: str) -> str:
    if len(value) > 253 or not re.fullmatch(_HOST, value):
        raise ValueError("a host is a DNS name in lower case, such as shop.example.com")
    return value


Host = Annotated[str, AfterValidator(_check_host), text_like(_HOST)]

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_OURS = ("app.kubernetes.io/managed-by", "tenantry.io/")


def is_subdomain(value: str) -> bool:
    """Return whether a value is a DNS subdomain as Kubernetes defines it, such as `example.com`."""
    return len(value) <= 253 and _SUBDOMAIN.fullmatch(value) is not None


def check_label_key(value: str) -> str:
    """Return the key of a label or annotation.

    Raises:
        ValueError: Kubernetes would refuse it.
    """
    domain, separator, name = value.rpartition("/")
    if not re.fullmatch(_NAME, name) or (separator and not is_subdomain(domain)):
        raise ValueError(
            "a key is up to 63 letters, digits, '-', '_' and '.', with an optional domain and '/' "
            "before it, such as example.com/cost-centre"
        )
    return value


def _check_key(value: str) -> str:
    if check_label_key(value).startswith(_OURS):
        raise ValueError("is a mark that only Tenantry sets")
    return value


def check_label(value: str) -> str:
    """Return the value of a label.

    Raises:
        ValueError: Kubernetes would refuse it.
    """
    if value and not re.fullmatch(_NAME, value):
        raise ValueError(
            "a label's value is up to 63 letters, digits, '-', '_' and '.', and begins and ends "
            "with a letter or digit"
        )
    return value


Key = Annotated[str, AfterValidator(_check_key), text_like(rf"({_LABEL}(\.{_LABEL})*/)?{_NAME}")]
"""The key of a label or annotation, or the name of a resource that a quota counts."""

Label = Annotated[
    str, BeforeValidator(as_written), AfterValidator(check_label), text_or_number(rf"({_NAME})?")
]
"""The value of a label."""


def _check_role_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:._-]{1,253}", value) or value in (".", ".."):
        raise ValueError("a ClusterRole's name is letters, digits, '-', '.', '_' and ':'")
    return value


ClusterRoleName = Annotated[str, AfterValidator(_check_role_name), text_like("[A-Za-z0-9:._-]+")]


def _check_gateway(value: str) -> str:
    namespace, _, name = value.partition("/")
    if not (re.fullmatch(_LABEL, namespace) and len(namespace) <= 63 and is_subdomain(name)):
        raise ValueError("a gateway is namespace/name, such as istio-ingress/public")
    return value


def _check_label_of(what: str) -> AfterValidator:
    """Return the check of a name that must be a DNS label; messages name the kind `what`."""

    def check(value: str) -> str:
        if not re.fullmatch(_LABEL, value) or len(value) > 63:
            raise ValueError(
                f"a {what}'s name is 1 to 63 lower-case letters, digits and dashes, and begins and "
                "ends with a letter or digit"
            )
        return value

    return AfterValidator(check)


NamespaceName = Annotated[str, _check_label_of("namespace"), text_like(_LABEL)]
"""The name of an existing namespace."""


def _check_revision(value: str) -> str:
    if value.lower() in ("on", "off", "yes", "no", "y", "n", "true", "false"):
        raise ValueError("must be the name of a revision; write true for on or yes, false for off")
    if not re.fullmatch(_LABEL, value) or len(value) > 63:
        raise ValueError(
            "must be the name of a revision: up to 63 lower-case letters, digits and dashes, such "
            "as 1-20"
        )
    return value


Revision = Annotated[
    str, BeforeValidator(as_written), AfterValidator(_check_revision), text_or_number(_LABEL)
]
"""A revision of Istio's control plane, or a tag of one."""


GatewayName = Annotated[
    str, AfterValidator(_check_gateway), text_like(rf"{_LABEL}/{_LABEL}(\.{_LABEL})*")
]


def _check_object_name(value: str) -> str:
    if not is_subdomain(value):
        raise ValueError(
            "a name is up to 253 lower-case letters, digits, '-' and '.'; each part between dots "
            "begins and ends with a letter or digit"
        )
    return value


ObjectName = Annotated[
    str, AfterValidator(_check_object_name), text_like(rf"{_LABEL}(\.{_LABEL})*")
]
"""The name of a Kubernetes object."""


ServiceName = Annotated[str, _check_label_of("Service"), text_like(_LABEL)]
"""The name of a Kubernetes Service."""

SinkNamespace = Annotated[
    str,
    *fits(
        r"([a-z0-9-]|\{team\})+",
        "a namespace's name is lower-case letters, digits and '-'; {team} stands for the team",
    ),
]
SinkName = Annotated[
    str,
    *fits(
        r"([a-z0-9.-]|\{team\})+",
        "a Secret's name is lower-case letters, digits, '-' and '.'; {team} stands for the team",
    ),
]
