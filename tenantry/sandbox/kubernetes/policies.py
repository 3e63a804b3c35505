"""Rules for NetworkPolicies and HTTPRoutes, with the messages of a real API server."""

import ipaddress
import json
import re
from collections.abc import Iterator
from typing import Any

from kubernetes.client.models.v1_network_policy_spec import V1NetworkPolicySpec
from pydantic import ValidationError

from .errors import Cause, forbidden_value, missing_value, wrong_value
from .kinds import JSON
from .metadata import key_faults, value_faults

_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_PORT_NUMBER = "must be between 1 and 65535, inclusive"
_PEERS = {"ingress": "from", "egress": "to"}
_TYPES = {"model_type": "map", "dict_type": "map", "list_type": "list", "string_type": "string"}


def schema_faults_of_policy(spec: Any) -> list[tuple[str, str]]:
    """Return the fields of a spec that are unknown or of another type in the published schema.

    Each comes with the reason.
    """
    try:
        V1NetworkPolicySpec.model_validate(spec)
    except ValidationError as error:
        return [
            (f"spec.{_join_path(each['loc'])}", _schema_fault(each["type"], each["input"]))
            for each in error.errors()
            # A missing field counts as empty.
            if each["type"] != "missing" and each["input"] is not None
        ]
    return []


def _join_path(place: tuple[str | int, ...]) -> str:
    # A port is a number or a name. The two alternatives of the schema do not belong to the path.
    steps = place[:-1] if place[-1] in ("int", "str") else place
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)[1:]


def _schema_fault(kind: str, value: Any) -> str:
    if kind == "extra_forbidden":
        return "field not declared in schema"
    if kind == "string_type":
        return f"expected string, got &value.valueUnstructured{{Value:{json.dumps(value)}}}"
    return f"expected {_TYPES.get(kind, 'map')}, got &{{{value}}}"


def policy_causes(spec: JSON) -> Iterator[Cause]:
    """Yield the causes for which the spec of a NetworkPolicy is invalid."""
    yield from _selector(spec.get("podSelector"), "spec.podSelector")
    for direction in _PEERS:
        for number, rule in enumerate(spec.get(direction) or ()):
            yield from _rule(rule or {}, direction, f"spec.{direction}[{number}]")
    types = spec.get("policyTypes") or []
    if len(types) > 2:
        why = "may not specify more than two policyTypes"
        shown = json.dumps(types, separators=(",", ":"))
        yield Cause("spec.policyTypes", "FieldValueInvalid", f"Invalid value: {shown}: {why}")
        return
    for place, wanted in enumerate(types):
        if wanted not in ("Ingress", "Egress"):
            why = f'Unsupported value: "{wanted}": supported values: "Ingress", "Egress"'
            yield Cause(f"spec.policyTypes[{place}]", "FieldValueNotSupported", why)


def _rule(rule: JSON, direction: str, path: str) -> Iterator[Cause]:
    for index, port in enumerate(rule.get("ports") or ()):
        yield from _port(port, f"{path}.ports[{index}]")
    peers = _PEERS[direction]
    for index, peer in enumerate(rule.get(peers) or ()):
        yield from _peer(peer, f"{path}.{peers}[{index}]")


def _peer(peer: JSON, path: str) -> Iterator[Cause]:
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if name in peer]
    for name in given:
        if name == "ipBlock":
            yield from _block(peer[name] or {}, f"{path}.ipBlock")
        else:
            yield from _selector(peer[name], f"{path}.{name}")
    if not given:
        yield missing_value(path, "must specify a peer")
    elif len(given) > 1 and "ipBlock" in given:
        yield forbidden_value(path, "may not specify both ipBlock and another peer")


def _selector(selector: JSON | None, path: str) -> Iterator[Cause]:
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        for text, faults in ((key, key_faults(key)), (value, value_faults(value))):
            yield from (wrong_value(f"{path}.matchLabels", text, why) for why in faults)
    for index, requirement in enumerate((selector or {}).get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{index}]"
        yield from _requirement(requirement, at)
        key = requirement.get("key") or ""
        yield from (wrong_value(f"{at}.key", key, why) for why in key_faults(key))
        for place, value in enumerate(requirement.get("values") or ()):
            for why in value_faults(value):
                yield wrong_value(f"{at}.values[{place}]", value, why)


def _requirement(requirement: JSON, path: str) -> Iterator[Cause]:
    operator, values = requirement.get("operator"), requirement.get("values")
    if operator in ("In", "NotIn"):
        if not values:
            why = "must be specified when `operator` is 'In' or 'NotIn'"
            yield missing_value(f"{path}.values", why)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield forbidden_value(f"{path}.values", why)
    else:
        yield wrong_value(f"{path}.operator", operator or "", "not a valid selector operator")


def _port(port: JSON, path: str) -> Iterator[Cause]:
    protocol = port.get("protocol", "TCP")
    if protocol not in ("TCP", "UDP", "SCTP"):
        why = f'Unsupported value: "{protocol}": supported values: "TCP", "UDP", "SCTP"'
        yield Cause(f"{path}.protocol", "FieldValueNotSupported", why)
    number, end = port.get("port"), port.get("endPort")
    if isinstance(number, int):
        if not 1 <= number <= 65535:
            yield wrong_value(f"{path}.port", number, _PORT_NUMBER)
        if end is not None and end < number:
            yield wrong_value(f"{path}.endPort", end, "must be greater than or equal to `port`")
        if end is not None and not 1 <= end <= 65535:
            yield wrong_value(f"{path}.endPort", end, _PORT_NUMBER)
        return
    if end is not None:
        state = "not specified" if number is None else "non-numeric"
        why = f"may not be specified when `port` is {state}"
        yield wrong_value(f"{path}.endPort", end, why)
    if number is not None:
        yield from (wrong_value(f"{path}.port", number, why) for why in _name_faults(number))


def _name_faults(name: str) -> Iterator[str]:
    if len(name) > 15:
        yield "must be no more than 15 characters"
    if not re.fullmatch(r"[-a-z0-9]+", name):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search(r"[a-z]", name):
        yield "must contain at least one letter (a-z)"
    if "--" in name:
        yield "must not contain consecutive hyphens"
    if name[:1] == "-" or name[-1:] == "-":
        yield "must not begin or end with a hyphen"


def _block(block: JSON, path: str) -> Iterator[Cause]:
    cidr = block.get("cidr")
    if not cidr:
        yield missing_value(f"{path}.cidr")
        return
    faults = list(_cidr_faults(cidr))
    yield from (wrong_value(f"{path}.cidr", cidr, why) for why in faults)
    for index, text in enumerate(block.get("except") or ()):
        at = f"{path}.except[{index}]"
        wrong = list(_cidr_faults(text))
        yield from (wrong_value(at, text, why) for why in wrong)
        if faults or wrong:
            continue
        whole: Any = ipaddress.ip_network(cidr, strict=False)
        part: Any = ipaddress.ip_network(text, strict=False)
        inside = whole.version == part.version and part.subnet_of(whole)
        if not inside or part.prefixlen == whole.prefixlen:
            yield wrong_value(at, text, "must be a strict subset of `cidr`")


def _cidr_faults(text: str) -> Iterator[str]:
    address, _, length = text.partition("/")
    normalized = ".".join(part.lstrip("0") or "0" for part in address.split("."))
    try:
        network = ipaddress.ip_network(f"{normalized}/{int(length)}", strict=False)
    except ValueError:
        yield _CIDR
        return
    if normalized != address or str(int(length)) != length:
        yield "must not have leading 0s in IP or prefix length"
    elif network.version == 6 and network.network_address.ipv4_mapped:
        yield "must not have an IPv4-mapped IPv6 address"
    elif ipaddress.ip_address(normalized) != network.network_address:
        yield "must not have bits set beyond the prefix length"


_NOT_CHECKED_FURTHER = Cause(
    "<nil>",
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)
_FORBIDDEN_PARTS = ("//", "/./", "/../", "%2f", "%2F", "#")
_CHARACTERS = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"


def route_causes(new: JSON, old: JSON | None) -> Iterator[Cause]:
    """Yield the causes for which an HTTPRoute is invalid, by the rules of its definition."""
    rules = (new.get("spec") or {}).get("rules") or []
    paths = {
        f"spec.rules[{place}].matches[{index}].path": str((match.get("path") or {}).get("value"))
        for place, rule in enumerate(rules)
        for index, match in enumerate(rule.get("matches") or ())
        if (match.get("path") or {}).get("type") in ("Exact", "PathPrefix")
    }
    many = len(rules)
    schema = []
    if many > 16:
        why = f"Too many: {many}: must have at most 16 items"
        schema.append(Cause("spec.rules", "FieldValueTooMany", why))
    for field, value in paths.items():
        if len(value) > 1024:
            why = "Too long: may not be more than 1024 bytes"
            schema.append(Cause(f"{field}.value", "FieldValueTooLong", why))
    if schema:
        yield from [*schema, _NOT_CHECKED_FURTHER]
        return
    for field, value in paths.items():
        for why in _path_faults(value):
            yield Cause(field, "FieldValueInvalid", f"Invalid value: {why}")


def _path_faults(value: str) -> Iterator[str]:
    ending = "type one of ['Exact', 'PathPrefix']"
    if not value.startswith("/"):
        yield f"value must be an absolute path and start with '/' when {ending}"
    yield from (
        f"must not contain '{part}' when {ending}" for part in _FORBIDDEN_PARTS if part in value
    )
    for end in ("/..", "/."):
        if value.endswith(end):
            yield f"must not end with '{end}' when {ending}"
    if not re.match(_CHARACTERS, value):
        kinds = "types ['Exact', 'PathPrefix']"
        yield f"must only contain valid characters (matching {_CHARACTERS}) for {kinds}"
