"""The command `tenantry apply`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tenantry import declared, explain, onboarding
from tenantry.commands.exit_status import FAILED, NOTHING_TO_DO
from tenantry.commands.output import fail, give, say, say_skipped
from tenantry.commands.tables import show
from tenantry.commands.writing import Writer, in_shards, progress, run_shard
from tenantry.contexts import connections
from tenantry.declared import Team
from tenantry.errors import as_tenantry_error
from tenantry.outcomes import NotApproved, Outcome, left_out
from tenantry.plan import Plan, refuse
from tenantry.resources import PLATFORM
from tenantry.systems.settle import connect
from tenantry.systems.systems import Systems
from tenantry.text import json_text
from tenantry.walk import Walk


def run(
    folder: Path,
    team: list[str] | None,
    context: str | None,
    *,
    yes: bool,
    as_json: bool,
    without_lock: bool,
) -> int:
    """Configure the platform and onboard teams after a confirmation, and return the exit status.

    Args:
        folder: the declared state.
        team: the names of the teams; all teams, and the platform, if it is None.
        context: the context of the connection file.
        yes: make the changes without a confirmation.
        as_json: print JSON instead of tables.
        without_lock: no flow can run meanwhile.

    Raises:
        TenantryError: the declared state is faulty, a system cannot be read, or a lock cannot be taken.
    """
    writer = Writer(folder, yes=yes, without_lock=without_lock)
    state = declared.read(folder)
    state.pick(team)
    say_skipped(state, team)
    with connect(connections(context), state) as systems:
        state = systems.state
        with_platform = team is None and state.platform.is_managed
        systems.check(configuring=with_platform)
        application = _Application(systems, state.pick(team), writer, as_json=as_json)
        planned = application.plan(with_platform=with_platform)
        faulty = left_out(state, team)
        application.show([*planned, *faulty])
        planned_any = any(outcome.has_changes for outcome in planned)
        if not planned_any:
            outcomes = planned
        elif writer.confirm("Make these changes?"):
            outcomes = application.apply(planned)
        else:
            return FAILED
    outcomes = [_as_done(outcome) for outcome in [*outcomes, *faulty]]
    if as_json:
        give(json_text(explain.document(outcomes)))
    elif planned_any or any(outcome.error for outcome in outcomes):
        for outcome in outcomes:
            if outcome.error is not None:
                fail(f"{outcome.name}: {outcome.error}")
        say(explain.summary(outcomes, applied=True))
    failed = any(
        outcome.error or outcome.plan is None or outcome.plan.refusals for outcome in outcomes
    )
    return FAILED if failed else NOTHING_TO_DO


class _Application:
    """One run of the command."""

    def __init__(
        self, systems: Systems, teams: Sequence[Team], writer: Writer, *, as_json: bool
    ) -> None:
        self._systems = systems
        self._teams = teams
        self._writer = writer
        self._as_json = as_json
        self._shown: frozenset[str] = frozenset()

    def plan(self, *, with_platform: bool) -> list[Outcome]:
        """Return the plans of the platform and of the teams."""
        platform = [onboarding.plan_platform(self._systems)] if with_platform else []
        return [*platform, *onboarding.plan_all(self._systems, self._teams)]

    def show(self, outcomes: Sequence[Outcome]) -> None:
        """Show plans. Only what was shown is applied."""
        self._shown |= _steps(outcomes)
        if not self._as_json:
            show(explain.table(outcomes))

    def apply(self, planned: Sequence[Outcome]) -> list[Outcome]:
        """Make the changes that were shown: those of the platform first, on which teams depend."""
        platform = [outcome for outcome in planned if outcome.team == PLATFORM]
        teams = [outcome for outcome in planned if outcome.team != PLATFORM]
        if any(outcome.has_changes for outcome in platform):
            platform = [self._configure()]
            teams = onboarding.plan_all(self._systems, self._teams)
            if not _steps(teams) <= self._shown:
                self.show(teams)
                question = (
                    "The platform is configured, and the plan of the teams has changed. Make it?"
                )
                if not self._writer.confirm(question):
                    return [*platform, *(_declined(outcome) for outcome in teams)]
        return [*platform, *self._onboard(teams)]

    def _configure(self) -> Outcome:
        walk = Walk(self._systems, self._systems.state.platform)
        try:
            walk.plan()
            outcome = walk.apply(self._writer.lock([PLATFORM]), self._check_shown)
            refuse(walk.planned)
        except Exception as error:  # noqa: BLE001 the teams may be onboarded nevertheless
            failure = as_tenantry_error(error, "configuring the platform")
            return Outcome(PLATFORM, walk.planned, error=failure)
        return outcome

    def _onboard(self, planned: Sequence[Outcome]) -> list[Outcome]:
        by_name = {team.name: team for team in self._teams}
        results = {outcome.team: outcome for outcome in planned}
        ended: set[str] = set()
        readable = [outcome for outcome in planned if outcome.plan is not None]
        with progress("Onboarding teams", len(readable)) as count_one:

            def finished(outcome: Outcome) -> None:
                results[outcome.team] = outcome
                ended.add(outcome.team)
                count_one()

            def onboard_shard(left: list[Outcome]) -> None:
                teams = [by_name[outcome.team] for outcome in left]
                lock = self._writer.lock([outcome.team for outcome in left if outcome.has_changes])
                onboarding.onboard_many(
                    self._systems, teams, left, lock, finished, self._check_shown
                )

            for shard in in_shards(readable):
                run_shard(
                    shard,
                    onboard_shard,
                    lambda outcome: outcome.team in ended,
                    lambda outcome, error: finished(outcome.failed(error)),
                )
        return [results[outcome.team] for outcome in planned]

    def _check_shown(self, plan: Plan) -> None:
        """Refuse a plan with a change that nobody has seen.

        Raises:
            NotApproved: it has one.
        """
        if not explain.steps(plan) <= self._shown:
            raise NotApproved(
                "The systems have changed since the plan was shown. Nothing was changed. Run the "
                "command again."
            )


def _steps(outcomes: Sequence[Outcome]) -> frozenset[str]:
    return frozenset().union(*(explain.steps(each.plan) for each in outcomes if each.plan))


def _declined(outcome: Outcome) -> Outcome:
    if not outcome.has_changes:
        return outcome
    return outcome.failed(NotApproved("The plan was not confirmed. Nothing was changed."))


def _as_done(outcome: Outcome) -> Outcome:
    """Return an outcome whose plan has only the changes that were made."""
    if outcome.plan is None:
        return outcome
    return replace(outcome, plan=replace(outcome.plan, changes=outcome.done))
