"""The tasks of an import."""

from functools import partial
from pathlib import Path

from blocks.platform import PlatformBlocks
from tasks.pages import publish_pages
from tasks.step import step
from tenantry.importing import Imported, Recognition, Report, import_state


@step("import teams")
def import_teams(
    blocks: PlatformBlocks,
    recognition: Recognition,
    branch: str,
    dry_run: bool,
    options: dict[str, str | None],
) -> tuple[Report, str]:
    """Import into the declared state, and return the report, and the place that was written to.

    Args:
        blocks: the blocks of the platform.
        recognition: how teams are recognized.
        branch: the branch to create, if the declared state is in Git.
        dry_run: whether to write nothing.
        options: the options of `import_state`.

    Raises:
        TenantryError: a system cannot be read, or the declared state cannot be saved. Nothing was
            written.
    """
    make = partial(_make, blocks, recognition, dry_run, options)
    imported, place = blocks.declared_state.import_into(make, branch, "Import existing teams")
    return imported.report, place


def _make(
    blocks: PlatformBlocks,
    recognition: Recognition,
    dry_run: bool,
    options: dict[str, str | None],
    folder: Path,
) -> Imported:
    imported = import_state(
        blocks.connections(),
        recognition,
        into=folder,
        realm=options["realm"],
        parent_group=options["parent_group"],
        platform_id=options["platform_id"],
    )
    if dry_run:
        imported.files = {}
    return imported


def publish_report(report: Report) -> None:
    """Publish the report as a page."""
    publish_pages([("import-report", report.markdown())])
