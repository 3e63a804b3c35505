"""Runbook: revoke the access of a team that ends, and remove the team after a grace period."""

from typing import Any

from prefect import flow

from flows.parameters import BlockName, Count, TeamName
from tasks import offboarding as tasks
from tasks import offboarding_report, removal
from tasks.connections import (
    check_connections,
    connected,
    finish,
    load_platform,
    read_declared_state,
)
from tasks.names import run_name
from tasks.states import complete, fail
from tenantry.errors import TenantryError


@flow(
    name="offboard-team",
    flow_run_name=run_name(
        "offboard {team}", options=("delete_images", "remove_adopted", "grace_days", "dry_run")
    ),
    retries=0,
)
def offboard_team(
    team: TeamName,
    confirm: TeamName,
    delete_images: bool = False,
    remove_adopted: bool = False,
    grace_days: Count = 14,
    dry_run: bool = False,
    platform: BlockName = "default",
) -> Any:
    """Revoke the access of a team now, and have it removed after a grace period.

    Args:
        team: Name of the team.
        confirm: Name of the team again, to confirm.
        delete_images: Let the removal delete the images in the team's Harbor project. If this is off, a
            project with images is kept. Turn it on for a team that was removed to have its kept project
            deleted.
        remove_adopted: Let the removal delete resources that existed before Tenantry and were adopted,
            too.
        grace_days: Number of days until the removal. Until then, onboard-team with the name of the team
            restores everything.
        dry_run: Show what would be revoked, without changes.
        platform: Name of the Platform block.
    """
    try:
        tasks.check_confirmation(team, confirm)
        blocks = load_platform(platform)
        declaration = read_declared_state(blocks)
        kept = tasks.find_kept(declaration, team, delete_images=delete_images)
        vanished = kept is None and tasks.is_vanished(declaration, team)
        known = kept or declaration.offboarding.get(team)
        record = tasks.new_record(known, grace_days, delete_images, remove_adopted)
        found = {team: kept} if kept else {}
        if vanished or dry_run:
            with connected(declaration, blocks) as systems:
                check_connections(systems)
                found = tasks.find_vanished(systems, team) if vanished else found
                if dry_run:
                    declared = tasks.as_declared(systems, team, found)
                    revoked = tasks.plan_revocation(systems, declared)
                    offboarding_report.publish_revoked(revoked, record, dry_run=True)
                    return complete(f"Dry run: {len(revoked.done)} resources would be revoked.")
                if vanished:
                    tasks.approve_vanished(systems, team, found)
        declaration = tasks.save_record(blocks, team, record, found.get(team))
        offboarding_report.emit_step("recorded", team, by=record.by)
        with connected(declaration, blocks) as systems:
            check_connections(systems)
            confirmed = tasks.confirm_recorded(blocks, team, record)
            revoked = tasks.revoke_access(systems, systems.state.named(team), confirmed)
        return complete(tasks.conclude(revoked, record))
    except TenantryError as error:
        return fail(str(error))


@flow(
    name="remove-offboarded-teams",
    flow_run_name=run_name("remove offboarded teams", about="teams", options=("dry_run",)),
    retries=0,
)
def remove_offboarded_teams(
    teams: list[str] | None = None,
    dry_run: bool = False,
    platform: BlockName = "default",
) -> Any:
    """Remove the offboarded teams whose grace period is over, after a person has approved the plan.

    Args:
        teams: Names of the offboarded teams to remove; all of them if empty.
        dry_run: Show what would be removed and kept, without changes.
        platform: Name of the Platform block.
    """
    try:
        blocks = load_platform(platform)
        declaration = read_declared_state(blocks)
        due = removal.find_due(declaration, teams)
        waiting = removal.describe_waiting(declaration, teams)
        if not due:
            text = "No offboarded team is due for removal."
            return finish(complete("\n".join(filter(None, [text, waiting]))), declaration, teams)
        with connected(declaration, blocks) as systems:
            check_connections(systems)
            planned = removal.plan_all(systems, due)
            if dry_run:
                return complete(offboarding_report.dry_run(planned))
            results = [each for each in planned if each.error]
            doubts = removal.doubts(systems, planned)
            asked = [each for each in planned if each.plan and (doubts or not each.is_approved)]
            ready = [each for each in planned if each.plan and each not in asked]
            results += removal.remove_all(blocks, systems, ready)
            if asked:
                results += removal.approve_and_remove(blocks, systems, asked, doubts)
        return removal.conclude(results, waiting)
    except TenantryError as error:
        return fail(str(error))
