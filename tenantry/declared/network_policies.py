"""Checks of the `spec` of a NetworkPolicy, with the rules of Kubernetes' API server.

Fields and types are those of Kubernetes' published schema (`network_policy_fields.py`). The rules
below are those of the API server that the schema does not contain (pkg/apis/networking/validation of
Kubernetes 1.37).
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tenantry.declared.faults import Place
from tenantry.declared.kubernetes_values import check_label, check_label_key
from tenantry.declared.network_policy_fields import NetworkPolicyFields

Spec = dict[str, Any]

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_DIRECTIONS = {"ingress": "from", "egress": "to"}


def _check_schema(value: Any) -> Any:
    """Check the names and types of the fields; return the value without fields that are null."""
    NetworkPolicyFields.model_validate(value)
    return _without_nulls(value)


def _without_nulls(value: Any) -> Any:
    """Return the value without null fields, which the API server treats as absent."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(below) for key, below in value.items() if below is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(below) for below in value]
    return value


class _PublishedSchema:
    """The JSON Schema that Kubernetes publishes for the type."""

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(NetworkPolicyFields.__pydantic_core_schema__)


NetworkPolicySpec = Annotated[Spec, BeforeValidator(_check_schema), _PublishedSchema()]
"""The `spec` of a NetworkPolicy, with Kubernetes' own fields."""


def check(spec: Spec) -> Iterator[tuple[Place, str]]:
    """Return the faults of a schema-valid spec that the API server would refuse."""
    yield from _check_selector(spec.get("podSelector"), ("podSelector",))
    types = spec.get("policyTypes") or []
    if len(types) > 2:
        yield ("policyTypes",), "has more than two entries; allowed: Ingress, Egress"
    for index, kind in enumerate(types):
        if kind not in ("Ingress", "Egress"):
            yield ("policyTypes", index), f"'{kind}': must be Ingress or Egress"
    for direction, peers in _DIRECTIONS.items():
        for number, rule in enumerate(spec.get(direction) or []):
            place: Place = (direction, number)
            for index, port in enumerate(rule.get("ports") or []):
                yield from _check_port(port, (*place, "ports", index))
            for index, peer in enumerate(rule.get(peers) or []):
                yield from _check_peer(peer, (*place, peers, index))


def _check_port(port: Spec, place: Place) -> Iterator[tuple[Place, str]]:
    protocol = port.get("protocol", "TCP")
    if protocol not in _PROTOCOLS:
        yield (*place, "protocol"), f"'{protocol}': must be one of {', '.join(_PROTOCOLS)}"
    number, end = port.get("port"), port.get("endPort")
    if isinstance(number, int) and not 1 <= number <= 65535:
        yield (*place, "port"), f"{number}: a port is a number from 1 to 65535"
    if isinstance(number, str) and not _is_port_name(number):
        text = (
            f"'{number}': a port is a number from 1 to 65535, or the name of a container's port: "
            "up to 15 lower-case letters, digits and single dashes, with at least one letter"
        )
        yield (*place, "port"), text
    if end is None:
        return
    if not isinstance(number, int):
        yield (*place, "endPort"), "needs a numeric 'port', the first port of the range"
    elif not max(number, 1) <= end <= 65535:
        yield (*place, "endPort"), f"{end}: must be between 'port' ({number}) and 65535"


def _is_port_name(name: str) -> bool:
    return bool(re.fullmatch(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*", name)) and len(name) <= 15


def _check_peer(peer: Spec, place: Place) -> Iterator[tuple[Place, str]]:
    given = [key for key in ("ipBlock", "podSelector", "namespaceSelector") if key in peer]
    if not given:
        yield place, "names no peer; give podSelector, namespaceSelector or ipBlock"
    if "ipBlock" in given and len(given) > 1:
        yield place, f"gives ipBlock and {given[1]}; give them as two entries of the list"
    for key in ("podSelector", "namespaceSelector"):
        yield from _check_selector(peer.get(key), (*place, key))
    if "ipBlock" in peer:
        yield from _check_block(peer["ipBlock"], (*place, "ipBlock"))


def _check_selector(selector: Spec | None, place: Place) -> Iterator[tuple[Place, str]]:
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        yield from _check_text(check_label_key, key, (*place, "matchLabels", key))
        yield from _check_text(check_label, value, (*place, "matchLabels", key))
    for index, need in enumerate((selector or {}).get("matchExpressions") or []):
        here: Place = (*place, "matchExpressions", index)
        yield from _check_text(check_label_key, need["key"], (*here, "key"))
        values, operator = need.get("values") or [], need["operator"]
        if operator in ("In", "NotIn"):
            if not values:
                yield (*here, "values"), f"the operator {operator} needs at least one value"
        elif operator not in ("Exists", "DoesNotExist"):
            text = f"'{operator}': must be one of In, NotIn, Exists, DoesNotExist"
            yield (*here, "operator"), text
        elif values:
            yield (*here, "values"), f"the operator {operator} takes no values; remove them"
        for number, value in enumerate(values):
            yield from _check_text(check_label, value, (*here, "values", number))


def _check_text(check: Any, value: str, place: Place) -> Iterator[tuple[Place, str]]:
    try:
        check(value)
    except ValueError as error:
        yield place, f"'{value}': {error}"


def _check_block(block: Spec, place: Place) -> Iterator[tuple[Place, str]]:
    whole = network_of(block["cidr"])
    if whole is None:
        yield (*place, "cidr"), f"'{block['cidr']}': {_ALLOWED}"
    for index, text in enumerate(block.get("except") or []):
        part = network_of(text)
        here: Place = (*place, "except", index)
        if part is None:
            yield here, f"'{text}': {_ALLOWED}"
        elif whole and (
            part.version != whole.version
            or part.prefixlen <= whole.prefixlen
            or not part.subnet_of(whole)  # type: ignore[arg-type]
        ):
            yield here, f"'{text}': must be a smaller block within '{block['cidr']}'"


_ALLOWED = "must be a CIDR, such as 10.1.0.0/24 or 2001:db8::/64"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network_of(text: str) -> Network | None:
    """Return the network of a CIDR; None if the text is not a CIDR."""
    found = re.fullmatch(r"([0-9A-Fa-f.:]+)/(\d{1,9})", text, re.ASCII)
    if not found:
        return None
    try:
        return ipaddress.ip_network(f"{_without_zeros(found[1])}/{int(found[2])}", strict=False)
    except ValueError:
        return None


def _without_zeros(address: str) -> str:
    """Return an address without leading zeros, which Kubernetes before 1.36 ignored."""
    if ":" in address:
        return address
    return ".".join(part.lstrip("0") or part[:1] for part in address.split("."))


def check_unclear(spec: Spec) -> Iterator[tuple[Place, str]]:
    """Return the CIDRs that Kubernetes 1.36 and later refuse in new policies.

    Older versions accept them, and so does an update of a policy that already contains them.
    """
    for direction, peers in _DIRECTIONS.items():
        for number, rule in enumerate(spec.get(direction) or []):
            for index, peer in enumerate(rule.get(peers) or []):
                block = peer.get("ipBlock") or {}
                place: Place = (direction, number, peers, index, "ipBlock")
                given = [((*place, "cidr"), block.get("cidr"))]
                given += [
                    ((*place, "except", each), text)
                    for each, text in enumerate(block.get("except") or [])
                ]
                for here, text in given:
                    if text and (clear := _clear_form(text)):
                        yield here, f"'{text}' is refused by Kubernetes 1.36 and later; {clear}"


def _clear_form(text: str) -> str | None:
    """Return the remedy for a CIDR with an ambiguous notation; None if it is not ambiguous."""
    network = network_of(text)
    if network is None:
        return None
    if network.version == 6 and network.network_address.ipv4_mapped:
        return "write the IPv4 address in IPv4 notation"
    address, _, length = text.partition("/")
    if _without_zeros(address) != address or str(int(length)) != length:
        return f"write {network}, without leading zeros"
    interface = ipaddress.ip_address(address)
    if interface != network.network_address:
        return f"write {network}, or {interface}/{network.max_prefixlen} for the single address"
    return None
