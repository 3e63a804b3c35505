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
    """A system that is not part of the run."""


_CHECKS: dict[str, Callable[[Systems], object]] = {
    "Kubernetes": lambda systems: check_kubernetes(systems.home_cluster),
    "Keycloak": lambda systems: check_keycloak(systems.keycloak_client),
    # Only an administrator sees everything; another account would miss the rest.
    "Harbor": lambda systems: check_harbor(systems.harbor_client),
}
"""What must hold before an observation by the adapter of this name counts."""

_LATER = ("Harbor", "Credentials")
"""The adapters that need those before them."""

_NEEDED: dict[SystemName, tuple[str, ...]] = {
    "kubernetes": ("Kubernetes", "Keycloak", "Harbor", "Credentials"),
    "keycloak": ("Keycloak",),
    "harbor": ("Kubernetes", "Harbor", "Credentials"),
    "istio": ("Istio",),
}
"""The adapters that each system needs: a project's mark is on the namespace, and the Secret says
which robot of a pair is the live one."""


def adapter_groups(systems: Systems, asked: Sequence[SystemName]) -> list[list[Adapter[Team]]]:
    """Return the adapters that these systems need, in order; those of one group run concurrently."""
    names = {name for system in asked for name in _NEEDED[system]}
    needed = [each for each in systems.team_adapters if each.name in names or each.system in asked]
    known = {name for names in _NEEDED.values() for name in names}
    first = [each for each in needed if each.name in known and each.name not in _LATER]
    later = [[each] for each in needed if each not in first]
    return [group for group in (first, *later) if group]


def _covers(adapter: Adapter[Team]) -> tuple[Id, ...]:
    """Return the ids of everything that is unknown if an adapter cannot observe."""
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
    """Add what one adapter observes of the teams, and of the platform in the same system.

    Args:
        adapter: the adapter.
        systems: the systems.
        teams: the teams to observe.
        observed: what was observed before; this observation is added to it.
        check: called with the reasons why parts could not be read. If it raises, nothing is added,
            so that the observation can be repeated.

    Raises:
        TenantryError: the system can't be read, or `check` raised it.
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
    """Record that an adapter could not observe: nothing of its resources is known."""
    for id in _covers(adapter):
        observed.unreadable[id] = Unreadable(error, None)


def observe(
    systems: Systems,
    teams: Sequence[Team],
    asked: Sequence[SystemName],
    *,
    submit: Submit | None = None,
    check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
    report_failure: Callable[[TenantryError], None] = lambda error: None,
    again: bool = False,
) -> Observed:
    """Return the observed state of these systems; what can't be read is recorded.

    Args:
        systems: the systems.
        teams: the teams to observe.
        asked: the systems to observe.
        submit: starts a step, one for each adapter; a thread runs it if not given.
        check_unread: called in each step with the reasons why parts could not be read. If it raises,
            nothing of that step is kept, so that the step can be repeated.
        report_failure: called with the error of a step that failed for good.
        again: whether it is not the first observation of a run, for the steps' names.
    """
    observed = begin(asked, systems, teams)
    suffix = " again" if again else ""

    def observe_by_adapter(adapter: Adapter[Team], retry: bool) -> None:
        observe_one(adapter, systems, teams, observed, check_unread)

    with ThreadPoolExecutor(len(systems.team_adapters)) as pool:
        start: Submit = submit or (lambda name, work: pool.submit(work, False))
        for group in adapter_groups(systems, asked):
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


def begin(asked: Sequence[SystemName], systems: Systems, teams: Sequence[Team]) -> Observed:
    """Return the state before the first observation: empty, with the systems that are not part of it.

    If it covers all teams, it includes the platform's own resources.
    """
    observed = Observed()
    if systems.state.platform.is_managed and len(teams) == len(systems.state.teams):
        observed.platform = Observed()
        for system in SYSTEMS:
            observed.platform.unreadable[whole_system(system)] = Unreadable(NotObserved(), PLATFORM)
    taken = {each.system for group in adapter_groups(systems, asked) for each in group}
    for system in SYSTEMS:
        if system not in taken:
            observed.unreadable[whole_system(system)] = Unreadable(NotObserved(), None)
    return observed
