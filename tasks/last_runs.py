"""The last run of each deployment, for the command `tenantry status`."""

from collections.abc import Mapping
from datetime import datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.sorting import FlowRunSort
from prefect.types._datetime import now

from tasks.prefect_api import needed

_PAGE = 200


def last_runs() -> list[Mapping[str, str | datetime | None]]:
    """Return the last started or late run of each deployment of Tenantry, by name.

    Returns:
        A row for each deployment: `deployment`; `run`, its name; `state`, such as Completed or
        AwaitingApproval; and `since`, the time of the state. The last three are empty before the first
        run.

    Raises:
        TenantryError: Prefect's API does not answer, or refuses.
    """
    with needed("read the last runs"), get_client(sync_client=True) as client:
        deployments = []
        offset = 0
        while page := client.read_deployments(
            deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=["tenantry"])),
            limit=_PAGE,
            offset=offset,
        ):
            deployments += page
            offset += len(page)
        rows: list[Mapping[str, str | datetime | None]] = []
        for deployment in sorted(deployments, key=lambda each: each.name):
            runs = client.read_flow_runs(
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
                flow_run_filter=FlowRunFilter(
                    expected_start_time=FlowRunFilterExpectedStartTime(before_=now("UTC"))
                ),
                sort=FlowRunSort.EXPECTED_START_TIME_DESC,
                limit=1,
            )
            state = runs[0].state if runs else None
            rows.append(
                {
                    "deployment": deployment.name,
                    "run": runs[0].name if runs else "",
                    "state": state.name if state else "",
                    "since": state.timestamp if state else None,
                }
            )
    return rows
