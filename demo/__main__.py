"""Onboards the example's platform and teams to the sandbox, through the Prefect API.

make demo                   runs until Ctrl-C
make demo ARGS=--once       ends after the summary
"""

import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kubernetes import config, utils
from rich.console import Console

from demo.processes import ROOT, LocalPlatform, ProcessDied, start_sandbox
from tenantry import explain, onboarding
from tenantry.connections import Connections
from tenantry.declared import Team, files, load
from tenantry.errors import TenantryError
from tenantry.files import write_private
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners

EXAMPLE = ROOT / "deployments" / "example"
ENVIRONMENT = ROOT / ".demo" / "env.sh"
"""The variables for a shell that uses the demo, as long as it runs."""
console = Console()


def main(once: bool) -> int:
    """Run the demo, and return its exit status: 0 if all teams are in sync and no error was logged."""
    folder = Path(tempfile.mkdtemp(prefix="tenantry-demo-"))
    try:
        console.print("Starting the sandbox and a Prefect server. This takes about 20 seconds …")
        with LocalPlatform(folder) as platform:
            addresses = start_sandbox(platform)
            declared = _declare_platform(folder)
            platform.wait_for_server()
            _save_blocks(platform, addresses, declared)
            console.print("Serving the flows …")
            platform.serve_flows()
            platform.run(str(ROOT / "deployments" / "automations.py"))
            succeeded = _configure(platform) and _onboard(platform)
            _deploy(addresses)
            in_sync = _print_inventory(addresses, declared)
            _print_addresses(platform, addresses, declared)
            has_errors = _print_errors(platform)
            if not once:
                _write_environment(platform, addresses, declared)
                _run_until_stopped(platform)
        return 0 if succeeded and in_sync and not has_errors else 1
    except KeyboardInterrupt:
        return 0
    except (ProcessDied, TenantryError) as error:
        console.print(f"[red]The demo stopped:[/] {error}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _declare_platform(folder: Path) -> Path:
    """Copy the example's platform without its teams, and return the folder.

    The teams are onboarded through the API.
    """
    declared = folder / "declared"
    (declared / "teams").mkdir(parents=True)
    shutil.copy(EXAMPLE / "platform.yaml", declared)
    return declared


def _save_blocks(platform: LocalPlatform, addresses: dict[str, Any], declared: Path) -> None:
    """Save the blocks, as a user does once in the UI."""
    os.environ |= {key: value for key, value in platform.env.items() if key.startswith("PREFECT_")}
    # Prefect reads its settings when it is imported.
    from demo.blocks import save_blocks

    save_blocks(addresses, declared)


def _configure(platform: LocalPlatform) -> bool:
    console.print("Configuring the platform through the API …")
    run = platform.wait_for_run(platform.create_run("configure-platform/configure-platform", {}))
    return _report("platform", run)


def _onboard(platform: LocalPlatform) -> bool:
    teams = [_example(path) for path in sorted((EXAMPLE / "teams").glob("*.yaml"))]
    console.print(f"Onboarding {len(teams)} teams through the API …")
    runs = {}
    for team in teams:
        parameters = {"team": team.model_dump(mode="json", exclude_unset=True)}
        runs[team.name] = platform.create_run("onboard-team/onboard-team", parameters)
    succeeded = True
    for name, id in runs.items():
        run = platform.wait_for_run(id)
        succeeded = _report(name, run) and succeeded
    return succeeded


def _report(name: str, run: dict[str, Any]) -> bool:
    """Print the final state of a run, and return whether it completed."""
    completed: bool = run["state_type"] == "COMPLETED"
    mark = "[green]done[/]" if completed else f"[red]{run['state_name']}[/]"
    console.print(f"  {name}: {mark}, {run['state']['message']}", highlight=False)
    return completed


def _deploy(addresses: dict[str, Any]) -> None:
    """Create the Services of a route, which a team deploys itself."""
    kubeconfig = addresses["kubernetes"]["kubeconfig"]
    services = str(ROOT / "demo" / "services.yaml")
    with config.new_client_from_config(kubeconfig) as api:  # type: ignore[no-untyped-call]
        utils.create_from_yaml(api, services)  # type: ignore[no-untyped-call]


def _example(path: Path) -> Team:
    return Team.model_validate(files.read(path).data)


def _print_inventory(addresses: dict[str, Any], declared: Path) -> bool:
    """Print the resources of the systems, and return whether they are in sync."""
    declaration = load(declared)
    connections = Connections(
        harbor=addresses["harbor"],
        keycloak=addresses["keycloak"],
        kubernetes=addresses["kubernetes"],
    )
    with Systems(connections, declaration) as systems:
        teams = list(declaration.teams.values())
        observed = observe_owners(systems.team_adapters, teams)
        outcomes = onboarding.plan_all(systems, teams, observed)
        console.print()
        console.print(explain.inventory(teams, observed, outcomes))
        outcomes.append(onboarding.plan_platform(systems))
    return all(outcome.plan is not None and outcome.plan.is_empty for outcome in outcomes)


def _print_errors(platform: LocalPlatform) -> bool:
    """Print the errors in the logs of the processes, and return whether any exist."""
    errors = platform.new_errors()
    for error in errors:
        console.print(f"[red]Logged as an error:[/] {error}", highlight=False)
    return bool(errors)


def _print_addresses(platform: LocalPlatform, addresses: dict[str, Any], declared: Path) -> None:
    console.print(f"\n[bold]Prefect UI[/]        {platform.url}")
    for name in ("harbor", "keycloak"):
        system = addresses[name]
        account = f"{system['username']} / {system['password']}"
        console.print(
            f"{name.capitalize():<17} {system['url']}  ({account})", highlight=False, soft_wrap=True
        )
    kubeconfig = addresses["kubernetes"]["kubeconfig"]
    console.print(
        f"{'Kubernetes':<17} export KUBECONFIG={kubeconfig}", highlight=False, soft_wrap=True
    )
    console.print(f"{'Declared state':<17} {declared}", highlight=False, soft_wrap=True)


def _write_environment(platform: LocalPlatform, addresses: dict[str, Any], declared: Path) -> None:
    """Write the variables that `prefect` and `tenantry` need in another terminal."""
    variables = {
        "PREFECT_API_URL": f"{platform.url}/api",
        "TENANTRY_KUBERNETES_KUBECONFIG": addresses["kubernetes"]["kubeconfig"],
        "KUBECONFIG": addresses["kubernetes"]["kubeconfig"],
        "DECLARED_STATE": str(declared),
    }
    for system in ("harbor", "keycloak"):
        for name in ("url", "username", "password"):
            variables[f"TENANTRY_{system}_{name}".upper()] = addresses[system][name]
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    write_private(ENVIRONMENT, "\n".join([*lines, ""]).encode())
    console.print(f"{'In a shell':<17} . {ENVIRONMENT.relative_to(ROOT)}", highlight=False)


def _run_until_stopped(platform: LocalPlatform) -> None:
    """Run until Ctrl-C. The variables are removed first, since the processes take time to end."""
    console.print("\nEverything runs until you press Ctrl-C.")
    try:
        while True:
            time.sleep(1)
            platform.check()
    finally:
        ENVIRONMENT.unlink(missing_ok=True)


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Handle both signals, so that the started processes end with the demo. In the background,
    # SIGINT would be ignored otherwise.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    sys.exit(main(once="--once" in sys.argv[1:]))
