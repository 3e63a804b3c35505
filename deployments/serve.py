"""Serve the deployments of prefect.yaml from one long-lived process, without a work pool.

    python deployments/serve.py
    python deployments/serve.py other.yaml

Runs get the environment that a worker would set. Variables that are already set are kept.
"""

import argparse
import asyncio
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import TerminationSignal
from prefect.runner import Runner
from prefect.settings import get_current_settings
from prefect.types.entrypoint import EntrypointType
from ruamel.yaml import YAML

PREFECT_YAML = Path(__file__).parent.parent / "prefect.yaml"


def deployments(file: Path = PREFECT_YAML) -> list[RunnerDeployment]:
    """Return the deployments of a file, ready to be served."""
    return [
        _deployment(declared) for declared in YAML(typ="safe", pure=True).load(file)["deployments"]
    ]


def environment(file: Path = PREFECT_YAML) -> dict[str, str]:
    """Return the variables that the deployments of a file add to the environment of their runs."""
    found: dict[str, str] = {}
    for declared in YAML(typ="safe", pure=True).load(file)["deployments"]:
        found |= declared["work_pool"]["job_variables"]["env"]
    return found


def _deployment(declared: dict[str, Any]) -> RunnerDeployment:
    module, _, name = declared["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), name)
    limit = declared.get("concurrency_limit")
    deployment: RunnerDeployment = flow.to_deployment(
        name=declared["name"],
        description=declared["description"],
        tags=declared["tags"],
        parameters=declared.get("parameters", {}),
        schedules=[CronSchedule(**schedule) for schedule in declared.get("schedules", [])],
        concurrency_limit=ConcurrencyLimitConfig(**limit) if limit else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return deployment


def seconds_between_polls() -> float:
    """Return `PREFECT_RUNNER_POLL_FREQUENCY`; 1 if it is not set.

    A run waits for the next poll. Prefect's default of 10 s would be most of the time that a short run
    takes, and a poll is one small call.
    """
    settings = get_current_settings().runner
    return settings.poll_frequency if "poll_frequency" in settings.model_fields_set else 1.0


if __name__ == "__main__":
    # In the folder of this file: only a script can import it from there.
    if TYPE_CHECKING:
        from deployments.parameters import delete_retired, update_parameters
    else:
        from parameters import delete_retired, update_parameters

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=PREFECT_YAML, help="prefect.yaml")
    file = parser.parse_args().file
    for name, value in environment(file).items():
        os.environ.setdefault(name, value)
    # The same as prefect.serve, with an update of the parameters before the start.
    runner = Runner(limit=None, query_seconds=seconds_between_polls())
    for deployment in deployments(file):
        runner.add_deployment(deployment)
    delete_retired()
    updated, failed = update_parameters()
    for name, reason in failed.items():
        print(f"{name}: not updated. {reason}", file=sys.stderr)
    print(f"Serving {', '.join(updated)}.", flush=True)
    with suppress(KeyboardInterrupt, TerminationSignal):
        asyncio.run(runner.start())
