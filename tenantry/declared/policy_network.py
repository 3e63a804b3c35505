"""Checks for NetworkPolicies that remove the isolation, or allow more than the policy allows."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Any

from tenantry.declared.faults import Place
from tenantry.declared.network_policies import Network, network_of

_PEERS = {"ingress": "from", "egress": "to"}
_NAMING = ("kubernetes.io/metadata.name", "tenantry.io/team")
"""Labels that identify single namespaces. Other labels may be on any number of namespaces."""
_OURS = "tenantry-"

Policies = Mapping[str, Mapping[str, Any]]


def open_to_all(policies: Policies) -> Iterator[tuple[Place, str]]:
    """Return the policies that allow traffic from or to everywhere, each with the reason."""
    for name, spec in policies.items():
        if name.startswith(_OURS):
            yield (name,), f"would replace the policy '{name}' that Tenantry creates"
        for direction, peers in _PEERS.items():
            for index, rule in enumerate(spec.get(direction) or ()):
                for place, why in _open_rule(rule, direction, peers):
                    yield (name, direction, index, *place), why
    for direction in _PEERS:
        yield from _open_together(policies, direction)


def _open_rule(rule: Any, direction: str, peers: str) -> Iterator[tuple[Place, str]]:
    whole = f"allows {direction} {'from' if direction == 'ingress' else 'to'}"
    if not rule.get(peers):
        yield (), f"{whole} everywhere, since it has no '{peers}'"
    for index, peer in enumerate(rule.get(peers) or ()):
        selector = peer.get("namespaceSelector")
        if selector is not None and not _names_namespaces(selector):
            yield (
                (peers, index),
                f"{whole} namespaces that it does not name; select them by {_NAMING[0]}",
            )


def _names_namespaces(selector: Mapping[str, Any]) -> bool:
    labels = selector.get("matchLabels") or {}
    needs = selector.get("matchExpressions") or ()
    return any(key in _NAMING for key in labels) or any(
        need["key"] in _NAMING and need["operator"] == "In" for need in needs
    )


def _open_together(policies: Policies, direction: str) -> Iterator[tuple[Place, str]]:
    """Return the CIDR blocks that together cover all addresses."""
    blocks = list(_blocks(policies, direction))
    v4 = [net for _, net in blocks if isinstance(net, IPv4Network)]
    v6 = [net for _, net in blocks if isinstance(net, IPv6Network)]
    joined: list[Network] = [*collapse_addresses(v4), *collapse_addresses(v6)]
    for whole in (net for net in joined if net.prefixlen == 0):
        place = next(place for place, net in blocks if net.version == whole.version)
        preposition = "from" if direction == "ingress" else "to"
        yield place, f"allows {direction} {preposition} all addresses, {whole}"


def _blocks(policies: Policies, direction: str) -> Iterator[tuple[Place, Network]]:
    peers = _PEERS[direction]
    for name, spec in policies.items():
        for number, rule in enumerate(spec.get(direction) or ()):
            for index, peer in enumerate(rule.get(peers) or ()):
                net = network_of((peer.get("ipBlock") or {}).get("cidr") or "")
                if net is not None:
                    yield (name, direction, number, peers, index, "ipBlock", "cidr"), net


def egress_beyond(policies: Policies, allowed: Sequence[str]) -> Iterator[tuple[Place, list[str]]]:
    """Return the egress of policies to addresses outside of the allowed blocks.

    Returns:
        The field, and the blocks that the policy would have to allow.
    """
    within = [net for text in allowed if (net := network_of(text)) is not None]
    for name, spec in policies.items():
        for index, rule in enumerate(spec.get("egress") or ()):
            if not rule.get("to"):
                wanted = ["0.0.0.0/0", "::/0"]
                missing = [text for text in wanted if not _is_within(network_of(text), within)]
                if missing:
                    yield (name, "egress", index), missing
    for place, net in _blocks(policies, "egress"):
        if not _is_within(net, within):
            yield place, [str(net)]


def _is_within(net: Network | None, allowed: Sequence[Network]) -> bool:
    return net is not None and any(
        net.version == other.version and net.subnet_of(other)  # type: ignore[arg-type]
        for other in allowed
    )
