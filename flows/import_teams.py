"""Runbook: write the declared state of teams that exist already, without changing the systems."""

from typing import Any

from prefect import flow

from flows.parameters import BlockName
from tasks import importing as tasks
from tasks.connections import load_platform
from tasks.names import run_name
from tasks.states import complete, fail
from tenantry.errors import TenantryError
from tenantry.importing import DEFAULT_PATTERN, Recognition


@flow(
    name="import-teams",
    flow_run_name=run_name("import teams", options=("patterns", "labels", "branch", "dry_run")),
    retries=0,
)
def import_teams(
    patterns: list[str] | None = None,
    labels: list[str] | None = None,
    groups: dict[str, str] | None = None,
    realm: str | None = None,
    parent_group: str | None = None,
    platform_id: str | None = None,
    branch: str = "tenantry-import",
    dry_run: bool = False,
    platform: BlockName = "default",
) -> Any:
    """Write the declared state of teams that exist already. The systems are only read.

    Args:
        patterns: Patterns of the names of namespaces, projects and groups, with {team}; team-{team}
            if empty.
        labels: Labels or annotations of namespaces whose value is the team's name.
        groups: OIDC groups by team, for teams whose group fits no pattern.
        realm: The realm of the teams, if platform.yaml does not name it; the only one besides master
            if empty.
        parent_group: The top-level parent of the teams' groups in the realm.
        platform_id: The platform's id, if the namespaces carry marks of several platforms.
        branch: The branch to create, if the declared state is in Git. Review and merge it.
        dry_run: Report what would be written, and write nothing.
        platform: Name of the Platform block.
    """
    recognition = Recognition(
        tuple(patterns or [DEFAULT_PATTERN]), tuple(labels or ()), groups or {}
    )
    options = {"realm": realm, "parent_group": parent_group, "platform_id": platform_id}
    try:
        recognition.check()
        blocks = load_platform(platform)
        report, place = tasks.import_teams(blocks, recognition, branch, dry_run, options)
        tasks.publish_report(report)
        where = "Dry run: nothing was written" if dry_run else "Nothing was written"
        return complete(f"{report.summary} {f'Written to {place}' if place else where}.")
    except TenantryError as error:
        return fail(str(error))
