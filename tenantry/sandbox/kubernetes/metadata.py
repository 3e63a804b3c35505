"""Rules for the metadata of objects: names, labels and annotations."""

import re
from collections.abc import Iterator

from .errors import Cause, wrong_value
from .kinds import JSON, RBAC, Kind

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_FIRST_AND_LAST = "and must start and end with an alphanumeric character"
_BYTES_IN_ANNOTATIONS = 256 * 1024
_LABEL_RULE = (
    f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_FIRST_AND_LAST} "
    "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    f" {_FIRST_AND_LAST} (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_SERVICE_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    f"{_FIRST_AND_LAST} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', "
    f"{_FIRST_AND_LAST} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_OPTIONAL_PREFIX = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"


def key_faults(key: str) -> list[str]:
    """Return the reasons why a text cannot be the key of a label or an annotation."""
    parts = key.split("/")
    if len(parts) > 2:
        return [
            f"a valid label key must consist of {_KEY_RULE.partition('must consist of ')[2]}{_OPTIONAL_PREFIX}"
        ]
    faults, name = [], parts[-1]
    if len(parts) == 2 and not parts[0]:
        faults.append("prefix part must be non-empty")
    elif len(parts) == 2 and not _SUBDOMAIN.fullmatch(parts[0]):
        faults.append(f"prefix part {_SUBDOMAIN_RULE}")
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > 63:
        faults.append("name part must be no more than 63 bytes")
    if not _NAME.fullmatch(name):
        faults.append(_KEY_RULE)
    return faults


def value_faults(value: str) -> list[str]:
    """Return the reasons why a text cannot be the value of a label."""
    faults = ["must be no more than 63 bytes"] if len(value) > 63 else []
    return faults if _VALUE.fullmatch(value) else [*faults, _VALUE_RULE]


def metadata_causes(kind: Kind, metadata: JSON) -> Iterator[Cause]:
    """Yield the causes for which the metadata of an object is invalid."""
    name = metadata["name"]
    if kind.group == RBAC:
        if name in (".", "..") or "/" in name or "%" in name:
            yield wrong_value("metadata.name", name, "may not contain '/' or '%'")
    else:
        pattern, rule, longest = {
            "Namespace": (_LABEL, _LABEL_RULE, 63),
            "Service": (_SERVICE, _SERVICE_RULE, 63),
        }.get(kind.name, (_SUBDOMAIN, _SUBDOMAIN_RULE, 253))
        if len(name) > longest:
            yield wrong_value("metadata.name", name, f"must be no more than {longest} characters")
        if not pattern.fullmatch(name):
            yield wrong_value("metadata.name", name, rule)
    for key, value in (metadata.get("labels") or {}).items():
        yield from _key_causes("metadata.labels", key)
        for fault in value_faults(value):
            yield wrong_value("metadata.labels", value, fault)
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        yield from _key_causes("metadata.annotations", key)
    if sum(len(key) + len(value) for key, value in annotations.items()) > _BYTES_IN_ANNOTATIONS:
        why = f"Too long: may not be more than {_BYTES_IN_ANNOTATIONS} bytes"
        yield Cause("metadata.annotations", "FieldValueTooLong", why)


def _key_causes(field: str, key: str) -> Iterator[Cause]:
    for fault in key_faults(key):
        yield wrong_value(field, key, fault)
