"""Observes the systems for drift: which adapters each system needs, and in what order."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tenantry.declared import Team
from tenantry.drift.findings import SYSTEMS, SystemName
from tenantry.errors import TenantryError
from tenantry.resources import PLATFORM, Id, Observed, Unreadable, whole_system
from tenantry.systems.adapter import Adapter
from tenantry.systems.health import check_harbor, check_keycloak, check_kubernetes
from tenantry.systems.systems import Systems
from tenantry.systems.systems import observe as observe_by
from tenantry.walk import Submit, accept_unread


class NotObserved(TenantryError):
    """The system is not part of the run."""


_CHECKS: dict[str, Callable[[Systems], object]] = {
    "Kubernetes": lambda systems: check_kubernetes(systems.home_cluster),
    "Keycloak": lambda systems: check_keycloak(systems.keycloak_client),
    # Only an administrator sees everything; another account would miss the rest.
    "Harbor": lambda systems: check_harbor(systems.harbor_client),
}
"""The health check that must pass before an observation by the adapter of this name counts."""

_LATER = ("Keycloak", "Harbor", "Credentials")
"""The adapters that need the results of the adapters before them."""

_NEEDED: dict[SystemName, tuple[str, ...]] = {
    "kubernetes": ("Kubernetes", "Keycloak", "Harbor", "Credentials"),
    "keycloak": ("Keycloak",),
    "harbor": ("Kubernetes", "Harbor", "Credentials"),
    "istio": ("Istio",),
}
"""The adapters that each system needs. A project's mark and the record of what Tenantry created are on
the namespace, and the Secret tells which robot of a pair is in use."""


def adapter_groups(
    systems: Systems, system_names: Sequence[SystemName]
) -> list[list[Adapter[Team]]]:
    """Return the adapters for the systems in groups. The adapters of a group run concurrently."""
    names = {name for system in system_names for name in _NEEDED[system]}
    needed = [
        each for each in systems.team_adapters if each.name in names or each.system in system_names
    ]
    known = {name for names in _NEEDED.values() for name in names}
    first = [each for each in needed if each.name in known and each.name not in _LATER]
    later = [[each] for each in needed if each not in first]
    return [group for group in (first, *later) if group]


def _covers(adapter: Adapter[Team]) -> tuple[Id, ...]:
    """Return the ids that are unknown if an adapter cannot observe."""
    if adapter.name.lower() == adapter.system:
        return (whole_system(adapter.system),)
    kinds = sorted(kind for kind in adapter.kinds if kind.system == adapter.system)
    return tuple(Id(kind, "*") for kind in kinds)


def observe_one(
    adapter: Adapter[Team],
    systems: Systems,
    teams: Sequence[Team],
    observed: Observed,
    check: Callable[[Iterable[TenantryError]], None] = accept_unread,
) -> None:
    """Observe the teams, and the platform's resources in the same system, with one adapter.

    Args:
        adapter: the adapter.
        systems: the systems.
        teams: the teams to observe.
        observed: the earlier observations, to which this one is added.
        check: called with the errors of unreadable parts. If it raises, nothing is added, so that
            the observation can be repeated.

    Raises:
        TenantryError: the system cannot be read, or `check` raised it.
    """
    seen, platform = Observed(), Observed()
    seen.add(observed)
    if adapter.name in _CHECKS:
        _CHECKS[adapter.name](systems)
    observe_by(adapter, teams, seen)
    of_platform = {each.name: each for each in systems.platform_adapters}.get(adapter.name)
    if of_platform and observed.platform is not None:
        # A failure there does not affect the teams.
        with platform.capture_errors(whole_system(adapter.system), PLATFORM):
            observe_by(of_platform, [systems.state.platform], platform)
    unread = {id: part for id, part in seen.unreadable.items() if id not in observed.unreadable}
    check(part.error for part in (*unread.values(), *platform.unreadable.values()))
    observed.add(seen)
    if of_platform and observed.platform is not None:
        del observed.platform.unreadable[whole_system(adapter.system)]  # it is observed now
        observed.platform.add(platform)


def record_failure(adapter: Adapter[Team], error: TenantryError, observed: Observed) -> None:
    """Record that an adapter could not observe, so that its resources are unknown."""
    for id in _covers(adapter):
        observed.unreadable[id] = Unreadable(error, None)


def observe(
    systems: Systems,
    teams: Sequence[Team],
    system_names: Sequence[SystemName],
    *,
    submit: Submit | None = None,
    check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
    report_failure: Callable[[TenantryError], None] = lambda error: None,
    again: bool = False,
) -> Observed:
    """Return the observed state of the systems, including the errors of unreadable parts.

    Args:
        systems: the systems.
        teams: the teams to observe.
        system_names: the systems to observe.
        submit: starts a step, one for each adapter; a thread runs it if not given.
        check_unread: called in each step with the reasons why parts could not be read. If it raises,
            nothing of that step is kept, so that the step can be repeated.
        report_failure: called with the error of a step that failed for good.
        again: whether it is not the first observation of a run, for the steps' names.
    """
    observed = begin(system_names, systems, teams)
    suffix = " again" if again else ""

    def observe_by_adapter(adapter: Adapter[Team], retry: bool) -> None:
        observe_one(adapter, systems, teams, observed, check_unread)

    with ThreadPoolExecutor(len(systems.team_adapters)) as pool:
        start: Submit = submit or (lambda name, work: pool.submit(work, False))
        for group in adapter_groups(systems, system_names):
            started = [
                (each, start(f"observe {each.name}{suffix}", partial(observe_by_adapter, each)))
                for each in group
            ]
            for adapter, step in started:
                try:
                    step.result()
                except TenantryError as error:
                    report_failure(error)
                    record_failure(adapter, error, observed)
    return observed


def begin(system_names: Sequence[SystemName], systems: Systems, teams: Sequence[Team]) -> Observed:
    """Return an empty observed state, in which systems outside of the run are marked as unread.

    If the run covers all teams, the state includes the platform's own resources.
    """
    observed = Observed()
    if systems.state.platform.is_managed and len(teams) == len(systems.state.teams):
        observed.platform = Observed()
        for system in SYSTEMS:
            observed.platform.unreadable[whole_system(system)] = Unreadable(NotObserved(), PLATFORM)
    taken = {each.system for group in adapter_groups(systems, system_names) for each in group}
    for system in SYSTEMS:
        if system not in taken:
            observed.unreadable[whole_system(system)] = Unreadable(NotObserved(), None)
    return observed
