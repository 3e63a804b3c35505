"""A platform under test, on the sandbox or on real servers, and the steps of a round trip."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tenantry import drift, onboarding
from tenantry.calls import utc_now
from tenantry.connections import Connections
from tenantry.declared import load
from tenantry.drift import Report
from tenantry.errors import SystemUnavailable
from tenantry.locks import NoLock
from tenantry.outcomes import Outcome
from tenantry.systems.systems import Systems
from tests.support.harness import REALM

_TRIES = 3


@dataclass
class Site:
    """The systems of a platform, and the folder with its declared state.

    Attributes:
        connections: the connections to the systems.
        folder: the folder of the declared state.
        clock: the clock of the systems.
        suffix: a text in the names of all teams, if the systems hold other data.
        realm: the realm.
    """

    connections: Connections
    folder: Path
    clock: Callable[[], datetime] = utc_now
    suffix: str = ""
    realm: str = REALM

    @contextmanager
    def systems(self, *, extras: bool = False) -> Iterator[Systems]:
        """Return the systems of a new process, which ends with the context."""
        state = load(self.folder)
        with Systems(self.connections, state, extras=extras, clock=self.clock) as systems:
            yield systems

    def plans(self) -> list[Outcome]:
        """Return the plan of the platform, if it is managed, and of each team."""
        with self.systems() as systems:
            managed = systems.state.platform.is_managed
            platform = [onboarding.plan_platform(systems)] if managed else []
            return platform + onboarding.plan_all(systems, list(systems.state.teams.values()))

    def onboard(self) -> None:
        """Bring the platform, if it is managed, and all teams to their declared state. None may fail.

        A team for which a system was not available is tried again, as the flow's tasks do.
        """
        for _ in range(_TRIES):
            finished = self._onboard()
            failed = [outcome for outcome in finished if outcome.error]
            if not failed or not all(
                isinstance(outcome.error, SystemUnavailable) for outcome in failed
            ):
                break
        assert not failed, "\n".join(f"{outcome.team}: {outcome.error}" for outcome in failed)

    def _onboard(self) -> list[Outcome]:
        finished: list[Outcome] = []
        with self.systems() as systems:
            if systems.state.platform.is_managed:
                onboarding.configure(systems)
            teams = list(systems.state.teams.values())
            planned = onboarding.plan_all(systems, teams)
            onboarding.onboard_many(systems, teams, planned, NoLock(), finished.append)
        assert len(finished) == len(teams)
        return finished

    def drift(self) -> Report:
        """Return the drift of all teams."""
        with self.systems(extras=True) as systems:
            return drift.find_drift(systems).report


def changes_by_action(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    """Return the planned resources by action. Errors, refusals and records have actions of their own."""
    found: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.error is not None or outcome.plan is None:
            found.setdefault("error", []).append(f"{outcome.team}: {outcome.error}")
            continue
        for change in outcome.plan.changes:
            action = "record" if change.id.kind.is_record else change.action
            found.setdefault(action, []).append(str(change.id))
        for refusal in outcome.plan.refusals:
            found.setdefault("refused", []).append(f"{refusal.id}: {refusal.reason}")
    return found


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of all files of a folder, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
