"""Runs all flows one after another, without Prefect."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tenantry import declared, drift, onboarding
from tenantry.declared import Declaration
from tenantry.errors import TenantryError
from tenantry.locks import NoLock
from tenantry.outcomes import Outcome
from tenantry.resources import PLATFORM
from tenantry.rotation import RotationRequest, rotate
from tenantry.sandbox import Sandbox
from tenantry.systems.settle import connect
from tenantry.systems.systems import Systems
from tests.support.harness import connections


@dataclass
class Served:
    """The results of a run for all teams."""

    accepted: frozenset[str] = frozenset()
    """The teams that were not left out because of a fault or conflict."""
    errors: dict[str, list[str]] = field(default_factory=dict)
    """The failures by team."""

    def fail(self, team: str, error: TenantryError | None) -> None:
        """Record a failure, if one happened."""
        if error is not None:
            self.errors.setdefault(team, []).append(str(error))


def run_all(
    sandbox: Sandbox,
    folder: Path,
    rotated: Sequence[str] = (),
    remediate: drift.Remediate = "all",
) -> Served:
    """Configure the platform, onboard all teams, remediate drift, and rotate.

    Args:
        sandbox: the systems.
        folder: the declared state.
        rotated: the teams whose credentials are rotated even if they are not due, and then as
            compromised. Nine days pass meanwhile.
        remediate: the drift to remediate.
    """
    served = Served()
    flows = _Flows(sandbox, declared.read(folder), served)
    flows.onboard()
    flows.remediate(remediate)
    flows.rotate()
    for name in rotated:
        flows.rotate(name, force=True)
        flows.wait(hours=30)
        flows.rotate()
        flows.rotate(name, compromised=True)
        flows.wait(days=8)
        flows.rotate()
    return served


class _Flows:
    def __init__(self, sandbox: Sandbox, state: Declaration, served: Served) -> None:
        self._sandbox, self._state, self._served = sandbox, state, served

    def _connect(self, **options: Any) -> Systems:
        clock = self._sandbox.clock.now
        return connect(connections(self._sandbox), self._state, clock=clock, **options)

    def wait(self, **duration: float) -> None:
        """Move the clock forward."""
        self._sandbox.clock.move(timedelta(**duration).total_seconds())

    def onboard(self) -> None:
        """Configure the platform and onboard all teams."""
        with self._connect() as systems:
            teams = systems.state.pick(None)
            self._served.accepted = frozenset(team.name for team in teams)
            try:
                onboarding.configure(systems)
            except TenantryError as error:
                self._served.fail(PLATFORM, error)
            planned = onboarding.plan_all(systems, teams)
            outcomes: list[Outcome] = []
            onboarding.onboard_many(systems, teams, planned, NoLock(), outcomes.append)
        for outcome in outcomes:
            self._served.fail(outcome.team, outcome.error)

    def remediate(self, remediate: drift.Remediate) -> None:
        """Detect drift and remediate it."""
        with self._connect(extras=True) as systems:
            teams = systems.state.pick(None)
            seen = drift.observe(systems, teams, drift.SYSTEMS)
            detected = drift.detect(systems, teams, seen, now=systems.clock())
            remedy = drift.choose(detected, remediate)
            order = drift.Order(remediate)
            for done in drift.remediate_teams(systems, remedy, order, NoLock(), approved=False):
                self._served.fail(done.team, done.error)

    def rotate(self, name: str | None = None, **asked: Any) -> None:
        """Rotate the credentials that are due; or those of one team, with the given options."""
        with self._connect(keycloak=False) as systems:
            now = self._sandbox.clock.now()
            teams = [team for team in systems.state.pick(None) if name in (None, team.name)]
            names = None if name is None else [name]
            found = rotate(
                systems, teams, RotationRequest(now, **asked), now, NoLock(), names=names
            )
        for outcome in found:
            self._served.fail(outcome.name.partition("/")[0], outcome.error)
