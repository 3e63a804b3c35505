"""The command line: write, validate, plan and apply the declared state, and see how its systems are.

A command imports its module of `tenantry/commands` when it is called. So `--help` loads no library
but Typer, and `validate` none that calls a system. `tests/core/test_imports.py` checks this.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from tenantry.commands.exit_status import FAILED, USAGE
from tenantry.errors import TenantryError, as_tenantry_error
from tenantry.text import printed_lines

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder with platform.yaml and teams/*.yaml.")
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="Context of the connection file; default: $TENANTRY_CONTEXT, then the file's current one.",
    ),
]
"""The option of each command that calls the systems."""
Teams = Annotated[
    list[str] | None, typer.Option("--team", metavar="NAME", help="Only this team; repeatable.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Make the changes without a confirmation.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
WithoutLock = Annotated[
    bool,
    typer.Option(
        "--without-lock", help="Take no locks in Prefect: no flow can run at the same time."
    ),
]
Format = Literal["table", "json", "csv", "html", "sarif"]


@app.callback()
def options(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only errors, and data such as JSON.")
    ] = False,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Print more; -vv even more.")
    ] = 0,
) -> None:
    """Keep the tenants of a Kubernetes platform in sync with their declaration."""
    if quiet or verbose:
        from tenantry.commands.output import set_volume

        set_volume(quiet=quiet, verbose=verbose)


@app.command()
def version() -> None:
    """Print the version of Tenantry.

    Exit status: 0.
    """
    from tenantry.commands import version as command

    command.run()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to.")],
    platform: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the platform.")
    ] = "My platform",
    team: Annotated[str, typer.Option(metavar="NAME", help="Name of the first team.")] = "shop",
) -> None:
    """Write a first declared state, and a connection file if there is none. Nothing is overwritten.

    Exit status: 0 written, 1 error (nothing was written).
    """
    from tenantry.commands import init as command

    command.run(folder, platform, team)


@app.command()
def validate(
    folder: Folder,
    format: Annotated[
        Literal["text", "json", "sarif"], typer.Option(help="The format of the faults.")
    ] = "text",
) -> None:
    """Validate the declared state and list all faults.

    Warnings list values that a later release will reject.

    Exit status: 0 no faults, 1 faults.
    """
    from tenantry.commands import validate as command

    raise typer.Exit(command.run(folder, format))


@app.command()
def policy(folder: Folder) -> None:
    """Print a policy that admits all teams as they are declared now.

    The output is the section `policy` of platform.yaml: the current policy, and a grant for each
    team that needs more than it allows. Review the output, remove the grants that no team needs,
    and replace the current section with the rest.

    Exit status: 0 printed, 1 platform.yaml is faulty.
    """
    from tenantry.commands import policy as command

    command.run(folder)


@app.command()
def explain(
    field: Annotated[
        str | None,
        typer.Argument(
            metavar="FIELD",
            help="Path of the field, such as team.harbor.storage_quota; default: all.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain a field of platform.yaml or of a team's file, with its type, default and an example.

    Exit status: 0 explained, 1 there is no such field.
    """
    from tenantry.commands import explain as command

    command.run(field, as_json=as_json)


@app.command("import")
def import_folder(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder for platform.yaml and teams/*.yaml.")
    ],
    pattern: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Pattern of the names of namespaces, projects and groups, such as "
            "'team-{team}' (the default); repeatable.",
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
    context: Context = None,
) -> None:
    """Write the declared state of an existing platform, without changing the platform.

    A plan of the written state adopts the existing resources, and changes nothing else. Files that
    exist stay as they are: an import adds the teams that are not declared yet.

    The report lists what is not expressed, orphans, and the policy grants that the teams need. Review
    the grants, and add them to platform.yaml. The connections are those of `plan`.

    Exit status: 0 imported, or nothing to import, 1 error (nothing was written).
    """
    from tenantry.commands import importing as command

    command.run(
        folder,
        pattern,
        label,
        group,
        realm,
        parent_group,
        platform_id,
        report,
        context,
        write_grants=write_grants,
        dry_run=dry_run,
    )


@app.command()
def plan(
    folder: Folder,
    team: Teams = None,
    as_json: Json = False,
    context: Context = None,
) -> None:
    """Show the changes that onboarding would make, without making them.

    The plan includes the platform's own resources, unless you select teams.

    The connections come from a context of the connection file, and from environment variables:
    TENANTRY_HARBOR_URL, TENANTRY_HARBOR_USERNAME and TENANTRY_HARBOR_PASSWORD, the same for KEYCLOAK,
    and TENANTRY_KUBERNETES_KUBECONFIG.

    Teams with faulty files are left out, and the reason is shown.

    Exit status: 0 no changes, 2 changes, 1 error, or a team was left out.
    """
    from tenantry.commands import plan as command

    raise typer.Exit(command.run(folder, team, context, as_json=as_json))


@app.command()
def apply(
    folder: Folder,
    team: Teams = None,
    yes: Yes = False,
    as_json: Json = False,
    without_lock: WithoutLock = False,
    context: Context = None,
) -> None:
    """Configure the platform and onboard the teams: show the plan, ask, and make the changes.

    Only the changes that were shown are made. The platform's own resources are included, unless you
    select teams. The teams are locked in Prefect meanwhile, as in the flows, so PREFECT_API_URL must
    be set. The connections are those of `plan`.

    Exit status: 0 everything is in sync, 1 error, or a team was left out or not changed.
    """
    from tenantry.commands import apply as command

    raise typer.Exit(
        command.run(folder, team, context, yes=yes, as_json=as_json, without_lock=without_lock)
    )


@app.command()
def rotate(
    folder: Folder,
    team: Teams = None,
    purpose: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only robots of this purpose; repeatable."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also rotate credentials that are not due.")
    ] = False,
    compromised: Annotated[
        bool,
        typer.Option(
            "--compromised",
            help="The old credentials are known to others: delete them first. Pulls and pushes fail "
            "until the clients have loaded the new ones.",
        ),
    ] = False,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="The reason, for the audit trail.")
    ] = "",
    audit: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the audit trail.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is due.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    without_lock: WithoutLock = False,
    context: Context = None,
) -> None:
    """Rotate the robots' credentials that are due: show them, ask, and rotate.

    The old credentials are retired by a later run, after their overlap. The teams are locked as for
    `apply`. The connections are those of `plan`.

    Exit status: 0 rotated, or nothing is due, 1 error.
    """
    from tenantry.commands import rotate as command

    raise typer.Exit(
        command.run(
            folder,
            team,
            purpose,
            context,
            (force, compromised, reason),
            audit,
            yes=yes,
            as_json=as_json,
            without_lock=without_lock,
            dry_run=dry_run,
        )
    )


@app.command()
def status(
    folder: Folder,
    days: Annotated[
        int,
        typer.Option(metavar="DAYS", min=0, help="List credentials that expire within these days."),
    ] = 14,
    as_json: Json = False,
    context: Context = None,
) -> None:
    """Show the teams, open findings, credentials about to expire, and each flow's last run.

    The last runs are shown if PREFECT_API_URL is set. The connections are those of `plan`.

    Exit status: 0 all is well, 2 something needs attention, 3 something could not be read, 1 error.
    """
    from tenantry.commands import status as command

    raise typer.Exit(command.run(folder, context, days, as_json=as_json))


@app.command()
def drift(
    folder: Folder,
    team: Teams = None,
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            metavar="NAME",
            help="Only this system: kubernetes, keycloak, harbor or istio; repeatable.",
        ),
    ] = None,
    format: Annotated[Format, typer.Option(help="The format of the report.")] = "table",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report to this file.")
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Store the history of findings in this folder."),
    ] = None,
    no_probe: Annotated[
        bool,
        typer.Option(
            "--no-probe-credentials",
            "--no-probe",  # the former name, until 0.3
            help="Do not test the robots' credentials by a login. --no-probe is deprecated.",
        ),
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="In the table, show every finding, without grouping.")
    ] = False,
    remediate: Annotated[
        Literal["none", "safe", "all"],
        typer.Option(
            help="'safe' creates and updates Tenantry's own resources; 'all' also adopts resources "
            "where the declared state allows it, and removes extra resources that Tenantry owns."
        ),
    ] = "none",
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Remove this extra resource, by its id in the report; repeatable."
        ),
    ] = None,
    yes: Yes = False,
    without_lock: WithoutLock = False,
    context: Context = None,
) -> None:
    """Report differences between the systems and the declared state, and remediate them if asked to.

    A remediation shows its changes, asks, and locks the teams as `apply` does. The report is then the
    one after it. The connections are those of `plan`.

    Exit status: 0 in sync, 2 drift, 3 something could not be read, 1 error.
    """
    from tenantry.commands import drift as command

    status = command.run(
        folder,
        team,
        system,
        format,
        output,
        history,
        context,
        (remediate, remove),
        probe=not no_probe,
        full=full,
        yes=yes,
        without_lock=without_lock,
    )
    raise typer.Exit(status)


@app.command()
def check(
    folder: Folder,
    format: Annotated[Format, typer.Option(help="The format of the report.")] = "table",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report to this file.")
    ] = None,
    context: Context = None,
) -> None:
    """Check that the systems work together, from a login to an image pull, without changing anything.

    The connections are those of `plan`.

    Exit status: 0 no findings, 2 findings, 3 something could not be read, 1 error.
    """
    from tenantry.commands import check as command

    raise typer.Exit(command.run(folder, format, output, context))


@app.command()
def sandbox(
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Store the state in this folder; default: in memory."),
    ] = None,
    realistic: Annotated[
        bool, typer.Option("--realistic", help="Simulate the response times of a real Harbor.")
    ] = False,
    print_env: Annotated[
        bool,
        typer.Option(
            "--print-env", help="Print the environment variables of the other commands instead."
        ),
    ] = False,
) -> None:
    """Run a simulated Harbor, Keycloak and Kubernetes API on loopback ports until Ctrl-C.

    The first line of the output is a JSON object with the addresses and credentials.

    Exit status: 0 stopped, 1 the extra 'sandbox' is missing.
    """
    try:
        from tenantry.sandbox import serve  # only this command needs the server libraries
    except ModuleNotFoundError as error:
        if str(error.name).startswith("tenantry"):
            raise
        raise TenantryError(
            f"The sandbox needs the package '{error.name}', which is not installed. Install Tenantry "
            "with its extra 'sandbox': 'uv sync --extra sandbox' or pip install '.[sandbox]' in a "
            "checkout."
        ) from None
    serve(state, realistic=realistic, print_env=print_env)


def _complain(text: str) -> None:
    typer.echo(printed_lines(text), err=True)


def main() -> None:
    """Run the command line. Errors are printed as messages, never as tracebacks."""
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except TyperException as error:
        # Typer's own status for an unknown option is 2, which means "changes" for `plan`.
        _complain(f"{error.format_message()} Try --help.")
        sys.exit(USAGE)
    except TenantryError as error:
        _complain(str(error))
        sys.exit(FAILED)
    except OSError as error:  # the output failed, such as a closed pipe, or a folder
        where = error.filename or "the output"
        _complain(f"{where}: {error.strerror or 'cannot be read or written'}.")
        # At its exit the interpreter would try to write the buffered output again.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:  # noqa: BLE001 a bug in Tenantry is also reported as a message
        _complain(str(as_tenantry_error(error, "running this command")))
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
