"""The command `tenantry import`."""

from pathlib import Path
from typing import Annotated

import typer

from tenantry.contexts import Selected, connections
from tenantry.errors import DeclarationError, TenantryError
from tenantry.importing.importer import import_state
from tenantry.importing.recognition import DEFAULT_PATTERN, Recognition
from tenantry.importing.writer import write
from tenantry.text import printed_lines
from tenantry.wording import count


def import_folder(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder for platform.yaml and teams/*.yaml.")
    ],
    pattern: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Pattern of the names of namespaces, projects and groups, such as "
            f"'{DEFAULT_PATTERN}' (the default); repeatable.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="Label or annotation of namespaces whose value is the team's name; repeatable.",
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEAM=GROUP", help="OIDC group of a team, if no pattern fits it; repeatable."
        ),
    ] = None,
    realm: Annotated[
        str | None,
        typer.Option(
            metavar="REALM", help="Realm of the teams; default: the only one besides 'master'."
        ),
    ] = None,
    parent_group: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Top-level parent of the teams' groups in the realm."),
    ] = None,
    platform_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Id of the platform, if marks of several platforms exist."),
    ] = None,
    write_grants: Annotated[
        bool,
        typer.Option(
            "--write-grants",
            help="Add the grants that the teams need to platform.yaml, unreviewed.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the report, and write no file.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the report to this file, as Markdown."),
    ] = None,
    context: Selected = None,
) -> None:
    """Write the declared state of an existing platform, without changing the platform.

    A plan of the written state adopts the existing resources, and changes nothing else. Files that
    exist stay as they are: an import adds the teams that are not declared yet.

    The report lists what is not expressed, orphans, and the policy grants that the teams need. Review
    the grants, and add them to platform.yaml. The connections are those of `plan`.

    Exit status: 0 imported, or nothing to import, 1 error (nothing was written).
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
    typer.echo(printed_lines("\n".join(imported.report.lines())))
    typer.echo(printed_lines(f"\n{folder}: {count(len(written), 'file')} written."))


def _groups(given: list[str]) -> dict[str, str]:
    """Return the groups by team.

    Raises:
        DeclarationError: an option is not of the form TEAM=GROUP.
    """
    faults = [f"--group: '{each}': must be TEAM=GROUP" for each in given if "=" not in each]
    if faults:
        raise DeclarationError(faults)
    return dict(each.split("=", 1) for each in given)
