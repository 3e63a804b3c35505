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

# As defaults of the parameters, the form shows these values instead of a choice of the type.
_PATTERNS = [DEFAULT_PATTERN]
_LABELS: list[str] = []
_GROUPS: dict[str, str] = {}


@flow(
    name="import-teams",
    flow_run_name=run_name("import teams", options=("patterns", "labels", "branch", "dry_run")),
    retries=0,
)
def import_teams(
    patterns: list[str] = _PATTERNS,
    labels: list[str] = _LABELS,
    groups: dict[str, str] = _GROUPS,
    realm: str = "",
    parent_group: str = "",
    platform_id: str = "",
    branch: str = "tenantry-import",
    dry_run: bool = False,
    platform: BlockName = "default",
) -> Any:
    """Write the declared state of teams that exist already. The systems are only read.

    Args:
        patterns: Patterns of the names of namespaces, projects and groups. {team} stands for the name
            of the team.
        labels: Names of labels or annotations of namespaces whose value is the name of the team.
        groups: OIDC groups by team, for teams whose group fits no pattern, such as {"shop": "devs"}.
        realm: The realm of the teams, if platform.yaml does not name it. If empty, the only realm
            besides master.
        parent_group: The top-level group that contains the groups of the teams in the realm, if there
            is one.
        platform_id: The id of the platform, if the namespaces have marks of several platforms.
        branch: The branch to create, if the declared state is in Git. Review and merge it.
        dry_run: Report what would be written, and write nothing.
        platform: Name of the Platform block.
    """
    recognition = Recognition(tuple(patterns) or (DEFAULT_PATTERN,), tuple(labels), groups)
    given = {"realm": realm, "parent_group": parent_group, "platform_id": platform_id}
    options = {name: value or None for name, value in given.items()}
    try:
        recognition.check()
        blocks = load_platform(platform)
        report, place = tasks.import_teams(blocks, recognition, branch, dry_run, options)
        tasks.publish_report(report)
        where = "Dry run: nothing was written" if dry_run else "Nothing was written"
        return complete(f"{report.summary} {f'Written to {place}' if place else where}.")
    except TenantryError as error:
        return fail(str(error))
