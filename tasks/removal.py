"""The tasks that remove offboarded teams: plan, have the plans approved, remove, and archive."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State

from blocks.platform import PlatformBlocks
from tasks import offboarding_report as report
from tasks.approval import find_waiting, request_approval
from tasks.locks import TeamLock
from tasks.offboarding import confirm_recorded
from tasks.states import complete, fail
from tasks.step import retry_unread, run_as_task, step
from tenantry.declared import Declaration
from tenantry.declared.offboarding import Offboarding
from tenantry.declared.offboarding_edits import approve
from tenantry.errors import DeclarationError, as_tenantry_error
from tenantry.explain import plan_hash
from tenantry.offboarding import plan_removal, remove
from tenantry.offboarding.plan import Deletion, Removed
from tenantry.offboarding.vanished import vanished_teams
from tenantry.outcomes import NotApproved
from tenantry.systems.systems import Systems
from tenantry.text import joined, markdown
from tenantry.wording import count

TeamRemoval = report.TeamRemoval


def find_due(declaration: Declaration, names: Sequence[str] | None) -> list[TeamRemoval]:
    """Return the offboarded teams whose grace period is over.

    Args:
        declaration: the declared state.
        names: the teams of the run; all offboarded teams if not given.

    Raises:
        DeclarationError: a name is not the name of an offboarded team.
    """
    faults = []
    for name in names or ():
        if name not in declaration.offboarding:
            why = "is not being offboarded" if name in declaration.names else "is not declared"
            faults.append(f"team '{name}' {why}")
    if faults:
        raise DeclarationError(faults)
    today = datetime.now(UTC).date()
    return [
        TeamRemoval(team, team.offboarding)
        for name, team in declaration.offboarding.items()
        if team.offboarding is not None and (not names or name in names)
        if team.offboarding.is_over(today)
    ]


def describe_waiting(declaration: Declaration, names: Sequence[str] | None) -> str:
    """Return a line for each offboarded team whose grace period is not over."""
    today = datetime.now(UTC).date()
    return "\n".join(
        f"Team '{name}' is removed on {record.remove_after} or later."
        for name, team in declaration.offboarding.items()
        if (record := team.offboarding) is not None
        and not record.is_over(today)
        and (not names or name in names)
    )


def plan_all(systems: Systems, due: Sequence[TeamRemoval]) -> list[TeamRemoval]:
    """Observe the teams and return their removals with the plans, and publish each plan.

    A team that cannot be read has an error, and does not stop the others.
    """
    found = []
    for each in due:
        try:
            plan = plan_removal(
                systems,
                each.team,
                lambda name, work, team=each.name: run_as_task(f"{name} of team '{team}'", work),
                delete_images=each.record.delete_images,
                adopted=each.record.remove_adopted,
                check_unread=retry_unread,
            )
            found.append(replace(each, plan=plan))
        except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
            failure = as_tenantry_error(error, f"planning the removal of team '{each.name}'")
            get_run_logger().error("%s: %s", each.name, failure)
            found.append(replace(each, error=failure))
    report.publish_removals(found)
    return found


@step("find vanished teams")
def count_vanished(systems: Systems) -> int:
    """Return the number of teams whose marks the systems hold and that no file declares."""
    return len(vanished_teams(systems))


def doubts(systems: Systems, planned: Sequence[TeamRemoval]) -> list[str]:
    """Return why a person must approve the whole run: the declared state may be incomplete."""
    state = systems.state
    vanished = count_vanished(systems) if planned else 0
    known = len(state.names) + vanished
    most = state.platform.offboarding.max_teams(known)
    found = []
    if len(planned) > most:
        found.append(f"this run removes {len(planned)} of {known} teams")
    if vanished > most:
        found.append(f"{vanished} of {known} teams are no longer declared")
    return found


def approve_and_remove(
    blocks: PlatformBlocks, systems: Systems, planned: Sequence[TeamRemoval], why: Sequence[str]
) -> list[TeamRemoval]:
    """Have a user approve these plans, record that in the team files, and remove the teams.

    The run is suspended if there is no answer yet, unless another run already asks for this approval.
    A rejection is the error of the teams.

    Args:
        blocks: the blocks of the platform.
        systems: the systems.
        planned: the removals.
        why: why the declared state may be incomplete, from `doubts`.
    """
    digest = plan_hash([*(each.plan.digest for each in planned if each.plan), *why])
    if waiting := find_waiting(digest):
        return [replace(each, waits_for=waiting) for each in planned]
    try:
        percent = systems.state.platform.offboarding.max_teams_percent
        _approve(blocks, planned, why, percent, digest)
    except NotApproved as error:
        return [replace(each, error=error) for each in planned]
    return remove_all(blocks, systems, planned)


def _approve(
    blocks: PlatformBlocks,
    planned: Sequence[TeamRemoval],
    why: Sequence[str],
    percent: int,
    digest: str,
) -> None:
    """Have a user approve plans, and record that.

    Raises:
        NotApproved: they were rejected.
    """
    question = report.question(planned)
    if why:
        question = markdown(
            "**Check that the declared state is complete:** {}. That is more than "
            "`offboarding.max_teams_percent: {}` of platform.yaml allows without an approval. If files are "
            "missing, reject this, restore the files, and start the run again.\n\n{}",
            joined(", and ", (markdown("{}", each) for each in why)),
            percent,
            question,
        )
    by = request_approval(question, digest)
    approved = {each.name: each.plan.approval for each in planned if each.plan}
    save_approvals(blocks, approved, by)


@step("record approvals")
def save_approvals(blocks: PlatformBlocks, approved: Mapping[str, str], by: str) -> None:
    """Record in the team files which plans were approved, so that later runs do not ask again."""
    names = ", ".join(approved)
    blocks.declared_state.edit(approve(approved), f"Approve the removal of team {names}")
    for name in approved:
        report.emit_step("approved", name, by=by)


def remove_all(
    blocks: PlatformBlocks, systems: Systems, approved: Sequence[TeamRemoval]
) -> list[TeamRemoval]:
    """Remove teams, each under its lock, and archive their files. One failure stops no other team."""
    found = []
    for each in approved:
        try:
            found.append(_remove(blocks, systems, each))
        except Exception as error:  # noqa: BLE001 one team's failure, whatever it is
            failure = as_tenantry_error(error, f"removing team '{each.name}'")
            get_run_logger().error("%s: %s", each.name, failure)
            found.append(replace(each, error=failure))
    report.publish_removals(found)
    return found


def _remove(blocks: PlatformBlocks, systems: Systems, each: TeamRemoval) -> TeamRemoval:
    assert each.plan is not None
    name, log = each.name, get_run_logger()

    def removed(deletion: Deletion) -> None:
        log.info("%s: removed %s", name, deletion.id)

    result = remove(
        systems,
        each.plan,
        lambda what, work: run_as_task(f"{what} of team '{name}'", work),
        TeamLock([name], confirm_recorded(blocks, name, each.record)),
        report=removed,
    )
    blocked = [str(part) for part in result.blocked]
    report.emit_step(
        "removed" if result.is_complete else "blocked",
        name,
        removed=[str(part.id) for part in result.removed],
        kept=[f"{part.id}: {part.reason}" for part in result.kept],
        blocked=blocked,
    )
    if result.is_complete:
        archive_file(blocks, name, each.record, result)
    return replace(each, result=result)


@step("archive team file")
def archive_file(blocks: PlatformBlocks, name: str, record: Offboarding, result: Removed) -> None:
    """Move the team's file to the archive, with what was kept."""
    kept = {str(part.id): part.reason for part in result.kept}
    projects = {part.id.key: part.number for part in result.kept if part.number is not None}
    blocks.declared_state.archive_team(name, record, datetime.now(UTC), kept, projects)
    report.emit_step("archived", name, kept=list(kept))


def conclude(results: Sequence[TeamRemoval], waiting: str) -> State[Any]:
    """Return the final state of a run: Failed if a team is not removed."""
    done = [each for each in results if each.is_done]
    lines = [f"{count(len(done), 'team')} removed.", *(each.summary for each in results), waiting]
    message = "\n".join(filter(None, lines))
    is_good = all(each.is_done or each.waits_for for each in results)
    return complete(message) if is_good else fail(message)
