"""Bring the deployments on the server in line with the parameters of the installed flows.

    python deployments/parameters.py

Run this after each `prefect deploy`. `deployments/serve.py` does it by itself. It

1. deletes the deployments of earlier versions that no flow exists for: each run of their schedules
   would crash;
2. renames the parameters of earlier versions that deployments and their schedules still set, such as
   your own deployments of a flow: the flows reject the former names;
3. makes the API reject a run with a parameter that the flow does not have. Prefect would accept it,
   and the run would crash. `prefect deploy` replaces the schema, so this is done after each of them.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.responses import DeploymentResponse

from blocks import Platform
from blocks.loading import NoSuchBlock, load
from tenantry.connections import HOME

RETIRED = frozenset({"migrate-identity-provider"})
"""Deployments of earlier versions that no flow exists for."""
BLOCKS = ("declared_state", "harbor", "keycloak", "cluster")
"""Former parameters, which `platform` replaces."""
_STORAGE = {"store": "report_storage"}
_APPROVAL = {"ask": "require_approval"}
_EXCLUDE = {"exclude": "exclude_users", "approval": "approved_plan"}
RENAMED: Mapping[str, Mapping[str, str]] = {
    "onboard-teams": {"which": "scope"},
    "detect-drift": _STORAGE | _APPROVAL,
    "rotate-robots": _STORAGE | _APPROVAL,
    "plan-migration": {
        **_STORAGE,
        "people": "identities_file",
        "percent": "wave_percent",
        "exclude": "exclude_users",
        "reimport": "reimport_users",
        "largest_wave": "max_wave_percent",
        "plan_again": "replan",
    },
    "continue-migration": _STORAGE,
    "follow-up-migration": _STORAGE,
    "finish-migration": _STORAGE | _EXCLUDE,
    "roll-back-migration": _STORAGE | _EXCLUDE,
}
"""The renamed parameters of each flow: the former name, and the present one."""
VALUES: Mapping[tuple[str, Any], Any] = {("scope", "new"): "changed"}
"""The renamed values of parameters."""
_OURS = DeploymentFilter(tags=DeploymentFilterTags(all_=["tenantry"]))


def rename(flow: str, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return parameters under their present names, and the blocks that former ones name.

    Args:
        flow: the name of the flow.
        parameters: parameters that a deployment or a schedule sets.
    """
    names = RENAMED.get(flow, {})
    blocks = {name: str(parameters[name]) for name in BLOCKS if name in parameters}
    renamed = {}
    for name, value in parameters.items():
        if name in blocks:
            continue
        present = names.get(name, name)
        if present == name or present not in parameters:
            is_known = isinstance(value, str) and (present, value) in VALUES
            renamed[present] = VALUES[present, value] if is_known else value
    return renamed, blocks


def platform_of(blocks: Mapping[str, str], name: str) -> str:
    """Return the name of a Platform block that names these blocks; create it if it does not exist.

    Args:
        blocks: the names of the blocks by the former parameters; `default` where one is missing.
        name: the name of the Platform block if the blocks have different names.
    """
    given = {each: blocks.get(each, "default") for each in BLOCKS}
    names = set(given.values())
    if names == {"default"}:
        return "default"
    (name,) = names if len(names) == 1 else (name,)
    cluster = given.pop("cluster")
    wanted = Platform(**given, clusters={HOME: cluster})
    try:
        present = load(Platform, name, "the deployment")
    except NoSuchBlock:
        wanted.save(name)
        return name
    names_of = [present.declared_state, present.harbor, present.keycloak]
    if [*names_of, *present.clusters.values()] == [*given.values(), cluster]:
        return name
    raise SystemExit(
        f"The deployment needs a Platform block with {given | {'cluster': cluster}}, but the block "
        f"'Platform' named '{name}' names others. Rename that block, and run this again."
    )


def update_parameters() -> dict[str, list[str]]:
    """Rename former parameters of all deployments, and make the API reject unknown ones.

    Returns:
        The names of the deployments, with the former parameters that each has set.
    """
    done = {}
    with get_client(sync_client=True) as client:
        flows: dict[UUID, str] = {}
        for deployment in client.read_deployments(deployment_filter=_OURS):
            if deployment.flow_id not in flows:
                flows[deployment.flow_id] = client.read_flow(deployment.flow_id).name
            done[deployment.name] = _update(client, deployment, flows[deployment.flow_id])
    return done


def _update(client: SyncPrefectClient, deployment: DeploymentResponse, flow: str) -> list[str]:
    former: set[str] = set()

    def present(parameters: Mapping[str, Any]) -> dict[str, Any]:
        renamed, blocks = rename(flow, parameters)
        former.update(set(parameters) - set(renamed))
        if blocks:
            renamed["platform"] = platform_of(blocks, deployment.name)
        return renamed

    schema = {**(deployment.parameter_openapi_schema or {}), "additionalProperties": False}
    update = DeploymentUpdate(parameter_openapi_schema=schema)
    parameters = present(deployment.parameters)
    if parameters != deployment.parameters:
        update.parameters = parameters
    client.update_deployment(deployment.id, update)
    for schedule in deployment.schedules:
        renamed = present(schedule.parameters)
        if renamed != schedule.parameters:
            client.update_deployment_schedule(deployment.id, schedule.id, parameters=renamed)
    return sorted(former)


def delete_retired() -> list[str]:
    """Delete the deployments of earlier versions, with their schedules.

    Returns:
        The names of the deleted deployments.
    """
    with get_client(sync_client=True) as client:
        found = client.read_deployments(deployment_filter=_OURS)
        retired = [deployment for deployment in found if deployment.name in RETIRED]
        for deployment in retired:
            client.delete_deployment(deployment.id)
    return [deployment.name for deployment in retired]


if __name__ == "__main__":
    for name in delete_retired():
        print(f"{name}: deleted, it belongs to an earlier version")
    for name, former in update_parameters().items():
        note = f"; renamed the former parameters {', '.join(former)}" if former else ""
        print(f"{name}: accepts only the parameters of its flow{note}")
