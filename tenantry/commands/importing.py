"""The command `tenantry import`."""

from pathlib import Path

from tenantry.commands.output import say
from tenantry.contexts import connections
from tenantry.errors import DeclarationError, TenantryError
from tenantry.importing.importer import import_state
from tenantry.importing.recognition import DEFAULT_PATTERN, Recognition
from tenantry.importing.writer import write
from tenantry.wording import count


def run(
    folder: Path,
    pattern: list[str] | None,
    label: list[str] | None,
    group: list[str] | None,
    realm: str | None,
    parent_group: str | None,
    platform_id: str | None,
    report: Path | None,
    context: str | None,
    *,
    write_grants: bool,
    dry_run: bool,
) -> None:
    """Write the declared state of an existing platform, and print the report of the import.

    Args:
        folder: the folder for `platform.yaml` and `teams/*.yaml`.
        pattern: patterns of the names of namespaces, projects and groups, with `{team}`.
        label: labels or annotations of namespaces whose value is the team's name.
        group: OIDC groups of teams, each as TEAM=GROUP.
        realm: the realm of the teams; None for the only one besides `master`.
        parent_group: the top-level parent of the teams' groups in the realm.
        platform_id: the id of the platform, if marks of several platforms exist.
        report: the file of the report.
        context: the context of the connection file.
        write_grants: whether to add the grants that the teams need to `platform.yaml`.
        dry_run: whether to write no file.

    Raises:
        TenantryError: an option is faulty, a system cannot be read, or the report cannot be written.
    """
    recognition = Recognition(
        tuple(pattern or [DEFAULT_PATTERN]), tuple(label or ()), _groups(group or [])
    )
    imported = import_state(
        connections(context),
        recognition,
        into=folder,
        realm=realm,
        parent_group=parent_group,
        platform_id=platform_id,
        write_grants=write_grants,
    )
    if report:
        try:
            report.write_text(imported.report.markdown() + "\n", encoding="utf-8")
        except OSError as error:
            text = f"--report: {report} cannot be written: {error.strerror}. Nothing was written."
            raise TenantryError(text) from None
    written = [] if dry_run else write(imported, folder)
    say("\n".join(imported.report.lines()))
    say(f"\n{folder}: {count(len(written), 'file')} written.")


def _groups(given: list[str]) -> dict[str, str]:
    """Return the groups by team.

    Raises:
        DeclarationError: an option is not of the form TEAM=GROUP.
    """
    faults = [f"--group: '{each}': must be TEAM=GROUP" for each in given if "=" not in each]
    if faults:
        raise DeclarationError(faults)
    return dict(each.split("=", 1) for each in given)
