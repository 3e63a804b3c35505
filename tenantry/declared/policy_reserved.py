"""The names and hosts that no team may use, and the faults of the policy itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tenantry.declared import policy_hosts
from tenantry.declared.faults import Place
from tenantry.declared.platform import Platform
from tenantry.declared.policy import LIMITS, Policy, allows_more
from tenantry.declared.policy_names import fold


def groups(policy: Policy, platforms: Iterable[Platform]) -> frozenset[str]:
    """Return the folded names of the groups that no team may use."""
    names: set[str] = {*policy.reserved_groups}
    for platform in platforms:
        sign_on = platform.harbor.single_sign_on
        names |= {sign_on.admin_group} if sign_on and sign_on.admin_group else set()
        names |= {platform.keycloak.parent_group} if platform.keycloak.parent_group else set()
        names |= {*platform.keycloak.groups}
        for settings in (platform.defaults, *platform.profiles.values()):
            names |= {*settings.harbor.groups}
    return frozenset(map(fold, names))


def names(policy: Policy) -> Mapping[str, Sequence[str]]:
    """Return the patterns of names that no team may use, by the limit that allows such a name."""
    return {"namespaces": policy.reserved_namespaces, "projects": policy.reserved_projects}


def hosts(policy: Policy, platforms: Sequence[Platform]) -> policy_hosts.Reserved:
    """Return the hosts that no team may use."""
    own = {host for each in platforms for host in policy_hosts.hosts_of(each)}
    wildcards = {
        host
        for platform in platforms
        for gateway in platform.mesh.gateways.values()
        for host in gateway.hosts
        if host.startswith("*.")
    }
    return policy_hosts.Reserved(frozenset(own), policy.reserved_hosts, frozenset(wildcards))


def check_platform(platform: Platform) -> Iterator[tuple[Place, str]]:
    """Return the faults of the policy itself."""
    policy = platform.policy
    for name, own in policy.profiles.items():
        place: Place = ("policy", "profiles", name)
        if name not in platform.profiles:
            known = ", ".join(platform.profiles) or "none"
            yield place, f"'{name}' is not among profiles; profiles there: {known}"
            continue
        more = [
            each
            for each in LIMITS
            if each in own.model_fields_set
            and allows_more(each, getattr(own, each), getattr(policy.limits, each))
        ]
        if more and own.teams is None:
            text = (
                f"allows more than policy.limits ({', '.join(more)}), and a team selects its profile "
                "itself: list the teams that may use it in 'teams'"
            )
            yield place, text
