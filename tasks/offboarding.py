"""The tasks of offboarding a team: check the call, record the offboarding, and revoke the access."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta

from prefect import get_run_logger
from prefect.runtime import flow_run

from blocks.platform import PlatformBlocks
from tasks.approval import request_approval
from tasks.locks import TeamLock
from tasks.offboarding_report import emit_step, publish_revoked
from tasks.rotation import who
from tasks.step import retry_unread, run_as_task, step
from tenantry.declared import Declaration, Team, complete
from tenantry.declared.offboarding import Offboarding
from tenantry.declared.offboarding_edits import record
from tenantry.errors import DeclarationError, TenantryError
from tenantry.explain import plan_hash
from tenantry.offboarding import revoke
from tenantry.offboarding.plan import Revoked
from tenantry.offboarding.revocation import Revocation
from tenantry.offboarding.vanished import check_all_named, vanished_teams
from tenantry.plan import Change
from tenantry.systems.systems import Systems
from tenantry.text import code, joined, markdown


def check_confirmation(team: str, confirm: str) -> None:
    """Check that the call names the team twice.

    Raises:
        TenantryError: it does not.
    """
    if not team or confirm != team:
        raise TenantryError(
            f"'confirm' is '{confirm}', and must be the name of the team, '{team}'. Nothing was changed."
        )


def is_vanished(declaration: Declaration, team: str) -> bool:
    """Return whether no file declares a team.

    Raises:
        DeclarationError: the team was removed before, or its file cannot be edited.
    """
    if team in declaration.names:
        for each in declaration.left_out:
            if team in each.names and not each.document.data:
                text = (
                    f"Team '{team}' cannot be offboarded: {each.file} cannot be read. Correct it:"
                )
                raise DeclarationError([text, *each.faults])
        return False
    check_all_named(declaration, team)
    for archived in declaration.archive:
        if archived.name == team:
            text = f"Team '{team}' was removed before, and its file is {archived.file}."
            if archived.projects:
                text = (
                    f"{text} The removal kept Harbor project {', '.join(sorted(archived.projects))}. To have "
                    "it deleted with its images, run offboard-team again with 'delete_images'."
                )
            raise DeclarationError([text])
    return True


def find_kept(declaration: Declaration, team: str, *, delete_images: bool) -> Team | None:
    """Return a removed team whose project was kept and is to be deleted now; None if it is not one.

    It has its names and the record of its offboarding only: other teams may use the rest of what it had.

    Raises:
        DeclarationError: its file in the archive does not show which project was kept.
    """
    if team in declaration.names or not delete_images:
        return None
    for archived in reversed(declaration.archive):
        if archived.name != team or not archived.projects:
            continue
        record = archived.record
        if record is None or not record.kept_projects.keys() & archived.projects:
            text = (
                f"Team '{team}' cannot be offboarded again: {archived.file} has no valid record, or does not "
                "have the number of a kept project in 'offboarding.kept_projects', so nothing shows "
                "that Tenantry created it. Delete the project in Harbor, and its line in "
                "'offboarding.kept' of that file."
            )
            raise DeclarationError([text])
        kept = record.model_dump(mode="json", exclude={"removed", "kept", "approved"})
        names = archived.content.get("names")
        return Team.model_validate(
            {"name": team, **({"names": names} if names else {}), "offboarding": kept}
        )
    return None


@step("find vanished teams")
def find_vanished(systems: Systems, team: str) -> dict[str, Team]:
    """Return the teams whose marks the systems hold and that no file declares.

    Raises:
        DeclarationError: the team is not among them.
    """
    found = vanished_teams(systems)
    if team not in found:
        known = ", ".join(sorted(systems.state.names)) or "none"
        text = f"team '{team}' is not declared, and no resource has its mark; declared: {known}"
        raise DeclarationError([text])
    return dict(found)


def as_declared(systems: Systems, team: str, vanished: Mapping[str, Team]) -> Team:
    """Return a team with all defaults, as far as its file or its marks show it."""
    if team in vanished:
        return complete(systems.state.platform, vanished[team])
    return systems.state.named(team)


def approve_vanished(systems: Systems, team: str, vanished: Collection[str]) -> None:
    """Have a user approve the offboarding of a vanished team if the source may be incomplete.

    Raises:
        NotApproved: it was rejected.
    """
    known = len(systems.state.names) + len(vanished)
    most = systems.state.platform.offboarding.max_teams(known)
    if len(vanished) <= most:
        return
    request_approval(
        markdown(
            "**{} of {} teams are not declared in {}**, which is more than "
            "`offboarding.max_teams_percent: {}` of platform.yaml allows. The declared state may be "
            "incomplete: check the branch, the folder and the last commits before you approve. If files "
            "are missing, reject this, and restore the files. "
            "Approving revokes the access of team {} only. Not declared: {}.",
            len(vanished),
            known,
            systems.state.origin,
            systems.state.platform.offboarding.max_teams_percent,
            code(team),
            joined(", ", (code(name) for name in list(vanished)[:50])),
        ),
        plan_hash(["revoke", team, *vanished]),
    )


def new_record(
    known: Team | None, grace_days: int, delete_images: bool, remove_adopted: bool
) -> Offboarding:
    """Return the record of an offboarding. An earlier one keeps its time and its author.

    Args:
        known: the team, if it was offboarded before.
        grace_days: the days until the removal.
        delete_images: as in the record.
        remove_adopted: as in the record.
    """
    earlier = known.offboarding if known is not None else None
    day = datetime.now(UTC).replace(microsecond=0)
    since = earlier.since if earlier else day
    kept = earlier.kept_projects if earlier else {}
    by = earlier.by if earlier else f"{who()} (run {flow_run.name})"[:200]
    return Offboarding(
        since=since,
        by=by,
        remove_after=(day if kept else since).date() + timedelta(days=grace_days),
        delete_images=delete_images,
        remove_adopted=remove_adopted,
        kept_projects=kept,
    )


@step("record offboarding")
def save_record(
    blocks: PlatformBlocks, team: str, given: Offboarding, vanished: Team | None
) -> Declaration:
    """Record the offboarding in the team's file, and return the declared state with it.

    Args:
        blocks: the blocks of the platform.
        team: the team's name.
        given: the record.
        vanished: the team as far as its marks show it, if no file declares it: a file is written.
    """
    state = blocks.declared_state
    message = f"Record the offboarding of team {team}"
    declaration = state.edit(record(team, given), message)
    if team not in declaration.names and vanished is not None:
        known = vanished.model_dump(mode="json", exclude_unset=True)
        content = Team.model_validate({**known, "offboarding": given.model_dump(mode="json")})
        declaration = state.save_team(state.propose(content, "refuse"))
    get_run_logger().info("%s in %s.", message.replace("Record", "Recorded"), declaration.origin)
    return declaration


def revoke_access(systems: Systems, team: Team, confirm: Callable[[], None]) -> Revoked:
    """Revoke the access of a team, under its lock; each step is a task."""
    return revoke(
        systems,
        team,
        run_as_task,
        TeamLock([team.name], confirm),
        check_unread=retry_unread,
        report=_log_change,
    )


@step("plan revocation")
def plan_revocation(systems: Systems, team: Team) -> Revoked:
    """Return what a revocation would change."""
    walk = Revocation(systems, team, adopted=False)
    plan = walk.plan()
    return Revoked(team.name, plan.changes, walk.kept)


def confirm_recorded(blocks: PlatformBlocks, team: str, given: Offboarding) -> Callable[[], None]:
    """Return the check, under the team's lock, that it is still being offboarded.

    Another run may have onboarded the team again meanwhile.
    """

    def check() -> None:
        found = blocks.declared_state.read().named(team).offboarding
        same = found is not None and found.model_copy(update={"approved": given.approved}) == given
        if not same:
            raise TenantryError(
                f"Team '{team}' was onboarded again, or its record was changed, after this run had "
                "read it. Nothing was changed after that. Start the run again if this was a mistake."
            )

    return check


def conclude(revoked: Revoked, given: Offboarding) -> str:
    """Publish the result of a revocation, and return the message of the run."""
    publish_revoked(revoked, given)
    emit_step(
        "revoked",
        revoked.team,
        changes=[f"{each.action} {each.id}" for each in revoked.done],
        kept=[f"{each.id}: {each.reason}" for each in revoked.kept],
        remove_after=given.remove_after.isoformat(),
    )
    left = f" Not revoked, see the artifact: {len(revoked.kept)}." if revoked.kept else ""
    return (
        f"Team '{revoked.team}' is offboarded: {len(revoked.done)} resources changed.{left} "
        f"remove-offboarded-teams removes it on {given.remove_after} or later, after an approval. "
        f"Until then onboard-team with its name restores it."
    )


def _log_change(change: Change) -> None:
    get_run_logger().info("%s: %s %s", change.stage, change.action, change.id)
