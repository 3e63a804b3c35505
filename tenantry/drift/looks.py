"""Observes the systems for drift: which observations each system needs, and in what order."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tenantry.answers import understood
from tenantry.declared import Team
from tenantry.drift.findings import SYSTEMS, SystemName
from tenantry.errors import TenantryError
from tenantry.resources import PLATFORM, Id, Observed, Unreadable, whole
from tenantry.systems import Systems, check_harbor, check_keycloak, check_kubernetes
from tenantry.systems.kubernetes.kinds import SECRET, SERVICE_ACCOUNT


class NotLookedAt(TenantryError):
    """A system that is not part of the run."""


@dataclass(frozen=True)
class _Look:
    """How one system is observed, and what is unknown if that fails."""

    look: Callable[[Systems, Sequence[Team], Observed], None]
    covers: tuple[Id, ...]
    platform: Callable[[Systems, Observed], None] | None = None
    """Observes the platform's own resources; a failure there does not affect the teams."""


def _kubernetes(systems: Systems, teams: Sequence[Team], observed: Observed) -> None:
    check_kubernetes(systems.kubernetes_client)
    with understood("kubernetes", "read the namespaces"):
        observed.add(systems.kubernetes.observe(teams))


def _keycloak(systems: Systems, teams: Sequence[Team], observed: Observed) -> None:
    check_keycloak(systems.keycloak_client)
    systems.look_at_keycloak(teams, observed)


def _harbor(systems: Systems, teams: Sequence[Team], observed: Observed) -> None:
    # Only an administrator sees all of it; another account would miss the rest.
    check_harbor(systems.harbor_client)
    systems.look_at_harbor(teams, observed)


def _istio(systems: Systems, teams: Sequence[Team], observed: Observed) -> None:
    with understood("istio", "read the routes"):
        observed.add(systems.istio.observe(teams))


_SECRETS = (Id(SECRET, "*"), Id(SERVICE_ACCOUNT, "*"))
LOOKS = {
    "Kubernetes": _Look(_kubernetes, (whole("kubernetes"),)),
    "Istio": _Look(_istio, (whole("istio"),), Systems.look_at_mesh),
    "Keycloak": _Look(_keycloak, (whole("keycloak"),), Systems.look_at_realm),
    "Harbor": _Look(_harbor, (whole("harbor"),), Systems.look_at_configuration),
    "Credentials": _Look(Systems.look_at_credentials, _SECRETS),
}
_LATER = ("Harbor", "Credentials")
"""Those that need all others before them."""

_NEEDED: dict[SystemName, tuple[str, ...]] = {
    "kubernetes": ("Kubernetes", "Keycloak", "Harbor", "Credentials"),
    "keycloak": ("Keycloak",),
    "harbor": ("Kubernetes", "Harbor", "Credentials"),
    "istio": ("Istio",),
}
"""The observations that each system needs: a project's mark is on the namespace, and the Secret says
which robot of a pair is the live one."""


def looks(asked: Sequence[SystemName]) -> list[list[str]]:
    """Return the observations that these systems need, in order; those of one list run concurrently."""
    needed = {name for system in asked for name in _NEEDED[system]}
    first = [name for name in LOOKS if name in needed and name not in _LATER]
    return [group for group in (first, *([n] for n in _LATER if n in needed)) if group]


def look_at(
    name: str,
    systems: Systems,
    teams: Sequence[Team],
    observed: Observed,
    check: Callable[[Iterable[TenantryError]], None] = lambda errors: None,
) -> None:
    """Make one of the observations.

    Args:
        name: which one.
        systems: the systems.
        teams: the teams to look at.
        observed: what was observed before; this observation is added to it.
        check: called with the reasons why parts could not be read. If it raises, nothing is added,
            so that the observation can be repeated.

    Raises:
        TenantryError: the system can't be read, or `check` raised it.
    """
    chosen, seen, platform = LOOKS[name], Observed(), Observed()
    seen.add(observed)
    chosen.look(systems, teams, seen)
    if chosen.platform and observed.platform is not None:
        with platform.noting(chosen.covers[0], PLATFORM):
            chosen.platform(systems, platform)
    unread = {id: part for id, part in seen.unreadable.items() if id not in observed.unreadable}
    check(part.error for part in (*unread.values(), *platform.unreadable.values()))
    observed.add(seen)
    if chosen.platform and observed.platform is not None:
        del observed.platform.unreadable[chosen.covers[0]]  # it is observed now
        observed.platform.add(platform)


def note(name: str, error: TenantryError, observed: Observed) -> None:
    """Record that an observation failed: nothing of the system is known."""
    for id in LOOKS[name].covers:
        observed.unreadable[id] = Unreadable(error, None)


def look(systems: Systems, teams: Sequence[Team], asked: Sequence[SystemName]) -> Observed:
    """Return the observed state of these systems; what can't be read is recorded."""
    observed = begin(asked, systems, teams)

    def take(name: str) -> None:
        try:
            look_at(name, systems, teams, observed)
        except TenantryError as error:
            note(name, error, observed)

    with ThreadPoolExecutor(len(LOOKS)) as pool:
        for group in looks(asked):
            list(pool.map(take, group))
    return observed


def begin(asked: Sequence[SystemName], systems: Systems, teams: Sequence[Team]) -> Observed:
    """Return the state before the first observation: empty, with the systems that are not part of it.

    If it covers all teams, it includes the platform's own resources.
    """
    observed = Observed()
    if systems.state.platform.is_managed and len(teams) == len(systems.state.teams):
        observed.platform = Observed()
        for system in SYSTEMS:
            observed.platform.unreadable[whole(system)] = Unreadable(NotLookedAt(), PLATFORM)
    taken = {id.system for group in looks(asked) for name in group for id in LOOKS[name].covers}
    for system in SYSTEMS:
        if system not in taken:
            observed.unreadable[whole(system)] = Unreadable(NotLookedAt(), None)
    return observed
