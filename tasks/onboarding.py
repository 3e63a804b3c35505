"""The tasks of onboarding: each looks at a system, or brings one to what is declared."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from prefect import get_run_logger
from prefect.client.schemas.objects import State

from blocks import ClusterConnection, DeclaredState, HarborConnection, KeycloakConnection
from tasks.approval import NotApproved, bullets, require_approval
from tasks.locks import LockUnusable, TeamLock
from tasks.pages import artifact_key, publish_pages, publish_progress, update_progress
from tasks.prefect_api import needed
from tasks.shards import named, parts, run_all
from tasks.states import complete, fail
from tasks.step import (
    RETRIED,
    TeamsFailed,
    TeamsLeft,
    look_again_after,
    run_as_task,
    step,
)
from tasks.tables import PLAN_WIDTHS, publish_table
from tenantry import explain, onboarding, welcome
from tenantry.connections import Connections
from tenantry.declared import Declaration, IfDeclared, Proposal, Team, read_form
from tenantry.errors import TenantryError
from tenantry.explain import plan_hash
from tenantry.outcomes import Outcome
from tenantry.plan import Change, Plan
from tenantry.resources import Id, Observed
from tenantry.systems.adapter import Owner
from tenantry.systems.kubernetes.kinds import NAMESPACE
from tenantry.systems.settle import connect, settle
from tenantry.systems.systems import Systems
from tenantry.text import Markdown, code, joined, markdown
from tenantry.walk import Walk, observe_owners
from tenantry.wording import count

_SHOWN = 100
"""The most resources that an approval lists."""


class Batch:
    """The teams of a run, handed from task to task in memory.

    It is not a dataclass on purpose: Prefect looks into those, and this one holds secrets. Into a
    task's lists and models it looks too, which takes half a second for 300 teams.
    """

    def __init__(self, systems: Systems, teams: Sequence[Team]) -> None:
        self.systems = systems
        self.teams = list(teams)

    def pick(self, outcomes: Iterable[Outcome]) -> list[Team]:
        """Return the teams of these outcomes, in the same order."""
        by_name = {team.name: team for team in self.teams}
        return [by_name[outcome.team] for outcome in outcomes]

    def observe(self) -> Observed:
        """Return what the systems hold of the teams, a task for each system."""
        adapters = self.systems.team_adapters
        return observe_owners(adapters, self.teams, run_as_task, look_again_after)


def walk_of(systems: Systems, owner: Owner) -> Walk[Owner]:
    """Return the walk of a team, or of the platform, each of whose steps is a task."""
    return Walk(systems, owner, run_as_task, look_again_after, _log_change)


@contextmanager
def connected(
    declaration: Declaration,
    harbor: str,
    keycloak: str,
    cluster: str,
    *,
    settle_by_keycloak: bool = True,
    **options: Any,
) -> Iterator[Systems]:
    """Connect to the systems of these blocks, with conflicts between teams settled.

    From then on the declared state is `state` of the systems.

    Args:
        declaration: the declared state.
        harbor: the name of its block, and so on.
        keycloak: the name of its block.
        cluster: the name of its block.
        settle_by_keycloak: whether Keycloak may be called to settle conflicts.
        options: those of `Systems`.
    """
    connections = Connections(
        harbor=load_block(HarborConnection, harbor).account(),
        keycloak=load_block(KeycloakConnection, keycloak).account(),
        kubernetes=load_block(ClusterConnection, cluster).cluster(),
    )
    with connect(
        connections,
        declaration,
        keycloak=settle_by_keycloak,
        settled_by=settle_conflicts,
        **options,
    ) as systems:
        for fault in systems.state.faults:
            get_run_logger().warning("Left out: %s", fault)
        yield systems


def finish(state: State[Any], declaration: Declaration, names: Iterable[str] | None) -> State[Any]:
    """Return a run's last state: Failed, with every fault, if a file was left out of it.

    Args:
        state: the run's result for all other teams.
        declaration: what is declared.
        names: the teams that the run is about; all if not given.
    """
    faults = declaration.faults_of(names)
    if not faults:
        return state
    head = f"Left out because they are faulty in {declaration.origin}:"
    return fail("\n".join([state.message or "", head, *faults]))


def load_block(block: Any, name: str) -> Any:
    """A block by its name.

    Raises:
        TenantryError: there is none of that name.
    """
    try:
        with needed(f"read block '{name}'"):
            return block.load(name)
    except ValueError as error:
        if "Unable to find block document" not in str(error):
            raise
        text = (
            f"There is no block '{block._block_type_name}' named '{name}'. "
            "Create it in the UI under Blocks, or name another in the run's parameters."
        )
        raise TenantryError(text) from None


@step("settle conflicts between teams")
def settle_conflicts(systems: Systems, keycloak: bool) -> Declaration:
    """Return the declared state with all conflicts between teams settled by the live marks.

    A read that failed is repeated. After the last try, the teams are left out whose claims could not
    be settled.
    """
    return settle(systems, keycloak, check=look_again_after)


@step("read declared state")
def read_declared_state(block: str, commit: str | None = None) -> Declaration:
    """Reads and checks the declared state, at a commit if given; every fault is named."""
    declaration: Declaration = load_block(DeclaredState, block).read(commit)
    teams = len(declaration.teams)
    get_run_logger().info("%d teams are declared in %s.", teams, declaration.origin)
    _log_warnings(declaration)
    return declaration


@step("check declaration")
def check_declaration(block: str, given: Any, if_declared: IfDeclared) -> Proposal:
    """Return how the team of a call would be declared, checked together with all other teams.

    If it changes the file of a team that is declared already, the difference is published.

    Raises:
        DeclarationError: the team is faulty; with every fault.
        AlreadyDeclared: it would change the declaration of a team, and the call does not say to.
    """
    team, form = read_form(given)
    proposal: Proposal = load_block(DeclaredState, block).propose(team, if_declared, form)
    if proposal.changes:
        publish_table(
            artifact_key("difference", team.name),
            [change.cut._asdict() for change in proposal.changes],
            markdown("What this call changes in {}.", proposal.file),
        )
    if if_declared == "refuse":
        proposal.refuse()
    return proposal


def taken_over(proposal: Proposal, observed: Observed) -> list[Id]:
    """Return the live resources of a removed team whose name a proposal declares again.

    A caller of the API chooses the name. The team of that name may have been other people's.
    """
    if proposal.before is not None or proposal.overwrites:
        return []
    team = proposal.team
    # A namespace is never a team's extra, so it is not among what carries the team's mark.
    namespaces = [Id(NAMESPACE, name) for name in team.namespaces]
    held = [id for id in namespaces if id in observed.live and observed.live[id].ours]
    return sorted({*held, *(id for id, _ in observed.marked(team.name))})


def refuse_unattended(team: str, taken: Sequence[Id]) -> None:
    """Refuse to take over a removed team in a run that asks no person.

    Raises:
        NotApproved: with what the run would take over.
    """
    if taken:
        more = f" and {len(taken) - 5} more" if len(taken) > 5 else ""
        names = ", ".join(f"{each.kind} {each.key}" for each in taken[:5])
        raise NotApproved(
            f"Team '{team}' is not declared, but resources of a removed team of this name exist: "
            f"{names}{more}. Onboarding would take them over. Nothing was changed. Choose another "
            "name, start the run with require_approval, or declare the team in the declared state."
        )


def needs_approval(proposal: Proposal, plan: Plan, taken: Sequence[Id] = ()) -> bool:
    """Return whether a person must approve a proposal before it is saved and its plan carried out.

    That is so if the plan deletes something or takes over a removed team, or if the difference
    cannot be shown because the present file cannot be read.
    """
    return proposal.writes and bool(plan.removals or proposal.overwrites or taken)


def approve(proposal: Proposal, plan: Plan, taken: Sequence[Id] = ()) -> None:
    """Have a person approve a proposal and its plan.

    Args:
        proposal: the team's new declaration.
        plan: what it changes in the systems.
        taken: the resources of a removed team that it takes over.

    Raises:
        NotApproved: it was refused.
    """
    changes = proposal.changes
    fields = joined(", ", (code(change.field) for change in changes[:10]))
    more = f" and {len(changes) - 10} more" if len(changes) > 10 else ""
    what = markdown("changes {}{} in", fields, more) if changes else markdown("writes all of")
    unread = markdown(", **which cannot be read** and is overwritten")
    effects, shown = [], []
    if taken:
        amount = count(len(taken), "resource")
        effects.append(markdown("**takes over {}** of a removed team", amount))
        shown += [markdown("- take over {} {} {}", *each.parts) for each in taken[:_SHOWN]]
        shown += [markdown("- … and {} more", len(taken) - _SHOWN)] * (len(taken) > _SHOWN)
    if plan.removals or not taken:
        effects.append(markdown("**deletes {}**", count(len(plan.removals), "resource")))
        shown.append(bullets(plan.removals))
    require_approval(
        markdown(
            "The new declaration of team {} {}. It {} {}{}. All {} changes are in the "
            "artifact *{}*. Until you approve, neither the file nor any system is changed.\n\n{}",
            code(plan.team),
            joined(" and ", effects),
            what,
            code(proposal.file),
            unread if proposal.overwrites else markdown(""),
            len(plan.changes),
            artifact_key("plan", plan.team),
            joined("\n", shown),
        ),
        plan_hash([*explain.steps(plan), proposal.step, *map(str, taken)]),
    )


def refuse_other(approved: Plan, now: Plan) -> None:
    """Refuse a plan that deletes something and is not the one that was shown and approved.

    Raises:
        NotApproved: something else would be done.
    """
    deletes = approved.removals or now.removals
    if deletes and explain.steps(now) != explain.steps(approved):
        raise NotApproved(
            f"The systems have changed since plan {plan_hash(explain.steps(approved))} was made: "
            f"the present plan is {plan_hash(explain.steps(now))}. Nothing was changed. Start the "
            "run again, and approve the plan that it shows."
        )


@step("save team to declared state")
def save_team(block: str, proposal: Proposal) -> None:
    """Write the team to the declared state, before any system is changed."""
    declaration: Declaration = load_block(DeclaredState, block).save_team(proposal)
    get_run_logger().info("Declared in %s.", declaration.origin)
    _log_warnings(declaration)


def _log_warnings(declaration: Declaration) -> None:
    """Report the values that a later release will refuse."""
    for warning in declaration.warnings:
        get_run_logger().warning("%s", warning)


@step("check connections")
def check_connections(systems: Systems, configuring: bool = False) -> None:
    """Whether addresses, versions and credentials work."""
    for sentence in systems.check(configuring=configuring):
        get_run_logger().info(sentence)


@step("find new teams")
def find_new(batch: Batch) -> list[Team]:
    """The teams that are not applied as they are declared now."""
    new = batch.systems.not_applied(batch.teams)
    get_run_logger().info("%d of %d teams are new or changed.", len(new), len(batch.teams))
    return new


class Shard:
    """Teams of a batch that one task onboards, and what became of them so far."""

    def __init__(self, planned: Sequence[Outcome]) -> None:
        self.outcomes = {outcome.team: outcome for outcome in planned}
        self._left = dict.fromkeys(self.outcomes)

    @property
    def name(self) -> str:
        """Which teams they are."""
        return named(list(self.outcomes))

    @property
    def left(self) -> list[Outcome]:
        """The teams that are not done, and whose failure, if they failed, may pass."""
        return [self.outcomes[team] for team in list(self._left)]

    @property
    def ended(self) -> int:
        """How many teams are done, or failed for good."""
        return len(self.outcomes) - len(self._left)

    def keep(self, outcome: Outcome) -> None:
        """Takes down what became of a team; safe from many threads."""
        before = self.outcomes[outcome.team]
        self.outcomes[outcome.team] = replace(outcome, done=before.done + outcome.done)
        if not isinstance(outcome.error, RETRIED):
            self._left.pop(outcome.team, None)

    def give_up(self, error: TenantryError) -> None:
        """Takes down why the rest was not onboarded, where a team has no reason of its own."""
        for outcome in self.left:
            self.keep(replace(outcome, done=(), error=outcome.error or error))

    def check(self) -> None:
        """Whether all teams are done.

        Raises:
            TeamsLeft: some are not, and it may pass.
            TeamsFailed: some failed for good.
        """
        failed = [outcome for outcome in self.outcomes.values() if not outcome.is_done]
        if failed:
            reasons = "\n".join(f"{outcome.team}: {outcome.error}" for outcome in failed)
            kind = TeamsLeft if self._left else TeamsFailed
            alone = len(self.outcomes) == 1
            head = f"{len(failed)} of {len(self.outcomes)} teams failed.\n"
            raise kind(str(failed[0].error) if alone else head + reasons)


@step("onboard", "onboard {shard.name}")
def onboard_shard(shard: Shard, batch: Batch) -> None:
    """Onboards some teams of many, under their locks; a retry does those that are left."""
    log = get_run_logger()

    def finished(outcome: Outcome) -> None:
        shard.keep(outcome)
        if outcome.error is None:
            log.info("%s: %d changes made.", outcome.team, len(outcome.done))
        else:
            log.error("%s: %s", outcome.team, outcome.error)

    while shard.left:
        left = shard.left
        names = [outcome.team for outcome in left if outcome.has_changes]
        try:
            onboarding.onboard_many(
                batch.systems, batch.pick(left), left, TeamLock(names), finished
            )
            break
        except LockUnusable as error:  # these teams' failure; the others go on
            for team in error.teams:
                finished(replace(shard.outcomes[team], done=(), error=error))
    publish_guides(batch, shard)
    shard.check()


def onboard_all(batch: Batch, planned: Sequence[Outcome]) -> list[Outcome]:
    """A task for each shard of the teams that have something to do, and a progress artifact."""
    work = [each for each in planned if each.plan is not None and not each.plan.is_empty]
    divided, alone = parts(work)
    shards = [Shard(part) for part in divided]
    progress = Progress(len(work))
    run_all(
        shards,
        alone,
        lambda shard: onboard_shard.submit(shard, batch),
        lambda: progress.show(sum(shard.ended for shard in shards)),
    )
    results = {outcome.team: outcome for outcome in planned}
    for shard in shards:
        results |= shard.outcomes
    return list(results.values())


class Progress:
    """A progress artifact that counts teams."""

    _KEY = "onboarding-progress"
    EVERY = 2.0
    """Seconds between two updates: each costs the server as much as a task's run."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = 0
        self._shown_at = time.monotonic()
        self._id = publish_progress(self._KEY, 0.0 if total else 100.0, self._text(0))

    def show(self, done: int) -> None:
        """Says how many are done, if it is more than two seconds ago, or all."""
        now = time.monotonic()
        due = done == self._total or now > self._shown_at + self.EVERY
        if due and done > self._shown:
            update_progress(self._id, self._KEY, 100 * done / self._total, self._text(done))
            self._shown, self._shown_at = done, now

    def _text(self, done: int) -> Markdown:
        if not self._total:
            return markdown("No team has changes to make.")
        return markdown("{} of {} done.", done, count(self._total, "team"))


def conclude(outcomes: Sequence[Outcome]) -> State[Any]:
    """The batch's last word: a table of what became of each team, and the state that follows."""
    failed = [outcome for outcome in outcomes if not outcome.is_done]
    rows = [
        {
            "team": outcome.team,
            "result": "done" if outcome.is_done else "FAILED",
            "changes": len(outcome.done),
            "why": str(outcome.error or ""),
        }
        for outcome in sorted(outcomes, key=lambda outcome: outcome.is_done)
    ]
    changed = sum(bool(outcome.done) and outcome.is_done for outcome in outcomes)
    message = f"{changed} of {len(outcomes)} teams changed, {len(failed)} failed."
    publish_table("onboarding-result", rows, markdown("{}", message), {"why": 60})
    if not failed:
        return complete(message)
    reasons = "\n".join(f"{outcome.team}: {outcome.error}" for outcome in failed)
    return fail(f"{message}\n{reasons}")


def publish_plan(key: str, outcomes: Sequence[Outcome]) -> None:
    """The changes as a table artifact."""
    rows = [
        {"team": outcome.team, **row}
        for outcome in outcomes
        if outcome.plan is not None
        for row in explain.rows(outcome.plan.changes)
    ]
    publish_table(key, rows, markdown("{}", explain.summary(outcomes)), PLAN_WIDTHS)


def publish_guide(systems: Systems, team: Team, plan: Plan) -> None:
    """Publish a team's guide."""
    publish_pages([_guide(systems, team, plan)])


def publish_guides(batch: Batch, shard: Shard) -> None:
    """Publish the guides of a shard's teams that changed.

    Each team has a page of its own: a page that a team is sent shows no text of another team.
    """
    changed = [each for each in shard.outcomes.values() if each.is_done and each.done and each.plan]
    pairs = zip(batch.pick(changed), changed, strict=True)
    publish_pages(_guide(batch.systems, team, cast(Plan, outcome.plan)) for team, outcome in pairs)


def _guide(systems: Systems, team: Team, plan: Plan) -> tuple[str, Markdown]:
    realm = systems.state.platform.keycloak.realm
    text = welcome.guide(team, systems.credentials.registry, realm, plan)
    return artifact_key("welcome", team.name), text


def _log_change(change: Change) -> None:
    get_run_logger().info("%s: %s %s", change.stage, change.action, change.id)
