"""The command line: validate the declared state, show plans and drift, and run the sandbox."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.exceptions import TyperException

from tenantry import declared, explain, onboarding
from tenantry.contexts import Selected, connections
from tenantry.errors import DeclarationError, TenantryError, as_tenantry_error
from tenantry.files import FolderStore, write_private
from tenantry.importing.command import import_folder
from tenantry.outcomes import left_out
from tenantry.systems.settle import connect
from tenantry.text import Terminal, json_text, printed_lines
from tenantry.wording import count

if TYPE_CHECKING:
    from tenantry.drift import Report, SystemName
    from tenantry.drift.history import History

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keep the tenants of a Kubernetes platform in sync with their declaration.",
)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder with platform.yaml and teams/*.yaml.")
]

NOTHING_TO_DO, FAILED, CHANGES = 0, 1, 2
"""Exit statuses of `plan`."""
IN_SYNC, FOUND, UNREADABLE = 0, 2, 3
"""Exit statuses of `drift` and `check`, in addition to FAILED."""

Format = Literal["table", "json", "csv", "html", "sarif"]


@app.command()
def validate(folder: Folder) -> None:
    """Validate the declared state and list all faults.

    Warnings list values that a later release will reject.

    Exit status: 0 no faults, 1 faults.
    """
    state = declared.read(folder)
    for warning in state.warnings:
        _say(f"warning: {warning}", err=True)
    _say_skipped(state, None)
    if faults := state.faults:
        raise DeclarationError(faults)
    _say(f"{folder}: {count(len(state.teams), 'team')} and the platform are valid.")


@app.command()
def policy(folder: Folder) -> None:
    """Print a policy that admits all declared teams, for review.

    The output is the section `policy` of platform.yaml, with a grant for each team that needs one.
    Review it, and replace the current section with it.

    Exit status: 0 printed, 1 platform.yaml is faulty.
    """
    typer.echo(declared.propose_policy(folder), nl=False)


app.command("import")(import_folder)


@app.command()
def plan(
    folder: Folder,
    team: Annotated[
        list[str] | None, typer.Option("--team", metavar="NAME", help="Only this team; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    context: Selected = None,
) -> None:
    """Show the changes that onboarding would make, without making them.

    The plan includes the platform's own resources, unless you select teams.

    The connections come from a context of the connection file, and from environment variables:
    TENANTRY_HARBOR_URL, TENANTRY_HARBOR_USERNAME and TENANTRY_HARBOR_PASSWORD, the same for KEYCLOAK,
    and TENANTRY_KUBERNETES_KUBECONFIG.

    Teams with faulty files are left out, and the reason is shown.

    Exit status: 0 no changes, 2 changes, 1 error, or a team was left out.
    """
    state = declared.read(folder)
    state.pick(team)
    _say_skipped(state, team)
    with_platform = team is None and state.platform.is_managed
    with connect(connections(context), state) as systems:
        state = systems.state
        teams = state.pick(team)
        systems.check(configuring=with_platform)
        outcomes = [onboarding.plan_platform(systems)] if with_platform else []
        outcomes += onboarding.plan_all(systems, teams)
        outcomes += left_out(state, team)
    if as_json:
        _say(json_text(explain.document(outcomes)))
    else:
        # A pipe has no width. Wrapped lines would make the output hard to search.
        width = None if sys.stdout.isatty() else 400
        Terminal(width=width).print(explain.table(outcomes))
    if any(outcome.plan is None or outcome.plan.refusals for outcome in outcomes):
        raise typer.Exit(FAILED)
    planned = any(outcome.plan and outcome.plan.changes for outcome in outcomes)
    raise typer.Exit(CHANGES if planned else NOTHING_TO_DO)


@app.command()
def drift(
    folder: Folder,
    team: Annotated[
        list[str] | None, typer.Option("--team", metavar="NAME", help="Only this team; repeatable.")
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option("--system", metavar="NAME", help="Only this system; repeatable."),
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
    context: Selected = None,
) -> None:
    """Report differences between the systems and the declared state, without changing anything.

    The connections are those of `plan`.

    Exit status: 0 in sync, 2 drift, 3 something could not be read, 1 error.
    """
    # Imported here, because its libraries would slow down the start of other commands.
    from tenantry import drift as core
    from tenantry.drift.history import History

    state = declared.read(folder)
    state.pick(team)
    _say_skipped(state, team)
    asked = _systems(system)
    _check_output(output)
    store = FolderStore(history) if history else None
    past = History.read(store) if store else History.empty()
    with connect(
        connections(context), state, probe_credentials=not no_probe, extras=True
    ) as systems:
        report = core.detect_drift(systems, team, asked)
    now = past.after(report)
    _write(report, now, format, output, full=full)
    if store:
        now.write(store)
    raise typer.Exit(_status(report))


@app.command()
def check(
    folder: Folder,
    format: Annotated[Format, typer.Option(help="The format of the report.")] = "table",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report to this file.")
    ] = None,
    context: Selected = None,
) -> None:
    """Check that the systems work together, from a login to an image pull, without changing anything.

    The connections are those of `plan`.

    Exit status: 0 no findings, 2 findings, 3 something could not be read, 1 error.
    """
    from tenantry import checks  # not needed by other commands
    from tenantry.drift.history import History

    state = declared.read(folder)
    _check_output(output)
    with connect(connections(context), state) as systems:
        systems.check(configuring=True)
        report = checks.report(systems, checks.check_all(systems))
    _write(report, History.empty(), format, output)
    raise typer.Exit(_status(report))


@app.command()
def sandbox(
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Store the state in this folder; default: in memory."),
    ] = None,
    realistic: Annotated[
        bool, typer.Option("--realistic", help="Simulate the response times of a real Harbor.")
    ] = False,
) -> None:
    """Run a simulated Harbor, Keycloak and Kubernetes API on loopback ports until Ctrl-C.

    The first line of the output is a JSON object with the addresses and credentials.
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
    serve(state, realistic=realistic)


def _say(text: str, *, err: bool = False) -> None:
    """Print lines of text, escaped for terminals and for CI logs."""
    typer.echo(printed_lines(text), err=err)


def _check_output(output: Path | None) -> None:
    """Check that the output file can be written, before the report is made.

    Raises:
        TenantryError: it is a folder, its folder does not exist, or it is not writable.
    """
    if output is None:
        return
    if output.is_dir():
        raise TenantryError(f"--output: {output} is a folder; give the path of a file.")
    if not output.parent.is_dir():
        raise TenantryError(f"--output: folder {output.parent} does not exist; create it first.")
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise TenantryError(f"--output: {output} cannot be written: permission denied.")


def _write(
    report: "Report", history: "History", format: Format, output: Path | None, *, full: bool = False
) -> None:
    from tenantry.drift import reports
    from tenantry.drift.reports import terminal

    if format == "table":
        console = Terminal(width=None if sys.stdout.isatty() and not output else 160, record=True)
        with console.capture() as captured:
            console.print(terminal.table(report, history, full=full))
        text = captured.get()
    else:
        text = reports.write(format, report, history)
    if output:
        try:
            if _is_replaceable(output):
                write_private(output.resolve(), text.encode())
            else:
                output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise TenantryError(
                f"--output: cannot write the report to {output}: {error.strerror}. Free disk space "
                "or choose another file, and run the command again."
            ) from None
    else:
        typer.echo(text, nl=False)


def _is_replaceable(output: Path) -> bool:
    """Return whether a new file can replace the output, which /dev/stdout and mounts do not allow."""
    path = output.resolve()
    is_file = path.is_file() or not path.exists()
    return is_file and not path.is_mount() and os.access(path.parent, os.W_OK)


def _status(report: "Report") -> int:
    if report.unreadable:
        return UNREADABLE
    return FOUND if report.findings else IN_SYNC


def _say_skipped(state: declared.Declaration, names: list[str] | None) -> None:
    """Print a line for each team that a command skips because it is being offboarded."""
    for sentence in state.skipped(names):
        _say(sentence, err=True)


def _systems(names: list[str] | None) -> "tuple[SystemName, ...]":
    from tenantry.drift import SYSTEMS

    unknown = [name for name in names or () if name not in SYSTEMS]
    if unknown:
        known = ", ".join(SYSTEMS)
        raise DeclarationError([f"--system: '{name}': must be one of {known}" for name in unknown])
    return tuple(system for system in SYSTEMS if not names or system in names)


def main() -> None:
    """Run the command line. Errors are printed as messages, never as tracebacks."""
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except TyperException as error:
        # Typer's own status for an unknown option is 2, which means "changes" for `plan`.
        _say(f"{error.format_message()} Try --help.", err=True)
        sys.exit(FAILED)
    except TenantryError as error:
        _say(str(error), err=True)
        sys.exit(FAILED)
    except OSError as error:  # the output failed, such as a closed pipe, or a folder
        where = error.filename or "the output"
        _say(f"{where}: {error.strerror or 'cannot be read or written'}.", err=True)
        # At its exit the interpreter would try to write the buffered output again.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:  # noqa: BLE001 a bug in Tenantry is also reported as a message
        _say(str(as_tenantry_error(error, "running this command")), err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
