"""Bring the deployments on the server in line with the parameters of the installed flows.

    python deployments/parameters.py

Run this after each `prefect deploy`. `deployments/serve.py` does it by itself. It

1. deletes the deployments of earlier versions that no flow exists for: each run of their schedules
   would crash;
2. renames the parameters of earlier versions that deployments and their schedules still set, such as
   your own deployments of a flow: the flows reject the former names;
3. makes the API reject a run with a parameter that the flow does not have. Prefect would accept it,
   and the run would crash. `prefect deploy` replaces the schema, so this is done after each of them.

It covers all deployments with the tag `tenantry`. A deployment that cannot be updated is reported, and
does not stop the update of the others.
"""

import re
import sys
from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any
from uuid import UUID

import httpx
from prefect import Flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort
from prefect.utilities.callables import parameter_schema

import flows
from blocks import Platform
from blocks.loading import NoSuchBlock, load
from blocks.platform import DEFAULT
from tenantry.connections import HOME
from tenantry.errors import TenantryError

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

    Raises:
        TenantryError: a Platform block of this name exists, and names other blocks.
    """
    given = {each: blocks.get(each, DEFAULT) for each in BLOCKS}
    names = set(given.values())
    if names == {DEFAULT}:
        return DEFAULT
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
    raise TenantryError(
        f"The deployment needs a Platform block with {given | {'cluster': cluster}}, but the block "
        f"'Platform' named '{name}' names others. Rename that block, and run this again."
    )


def block_name(flow: str, deployment: str) -> str:
    """Return the name of the Platform block for a deployment whose blocks have different names.

    It is never `default`: all runs that name no Platform block would use it.
    """
    name = "-".join(re.findall("[a-z0-9]+", deployment.lower()))
    return name if name not in ("", DEFAULT) else f"{flow}-{DEFAULT}"


def flow_schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of the parameters of each installed flow, by the name of the flow."""
    modules = [import_module(f"flows.{found.name}") for found in iter_modules(flows.__path__)]
    installed = [each for module in modules for each in vars(module).values()]
    return {
        flow.name: parameter_schema(flow).model_dump_for_openapi()
        for flow in installed
        if isinstance(flow, Flow)
    }


def read_deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """Return all deployments with the tag `tenantry`. Prefect's API answers one page at a time."""
    found: list[DeploymentResponse] = []
    by_name = DeploymentSort.NAME_ASC
    while page := client.read_deployments(deployment_filter=_OURS, sort=by_name, offset=len(found)):
        found += page
    return found


def update_parameters() -> tuple[dict[str, list[str]], dict[str, str]]:
    """Rename former parameters of all deployments, and make the API reject unknown ones.

    Returns:
        The names of the updated deployments, with the former parameters that each has set; and the
        names of the other deployments, with the reasons.
    """
    updated, failed = {}, {}
    schemas = flow_schemas()
    with get_client(sync_client=True) as client:
        names: dict[UUID, str] = {}
        for deployment in read_deployments(client):
            if deployment.flow_id not in names:
                names[deployment.flow_id] = client.read_flow(deployment.flow_id).name
            flow = names[deployment.flow_id]
            # An own deployment still has the schema of the version that it was deployed with.
            schema = schemas.get(flow) or deployment.parameter_openapi_schema or {}
            try:
                updated[deployment.name] = _update(client, deployment, flow, schema)
            except TenantryError as error:
                failed[deployment.name] = str(error)
            except httpx.HTTPStatusError as error:
                failed[deployment.name] = f"Prefect rejects its parameters: {error.response.text}"
    return updated, failed


def _update(
    client: SyncPrefectClient,
    deployment: DeploymentResponse,
    flow: str,
    schema: Mapping[str, Any],
) -> list[str]:
    former: set[str] = set()
    of_deployment = rename(flow, deployment.parameters)[1]

    def present(parameters: Mapping[str, Any]) -> dict[str, Any]:
        renamed, blocks = rename(flow, parameters)
        former.update(set(parameters) - set(renamed))
        if blocks:  # a schedule sets only the blocks that differ from those of the deployment
            name = block_name(flow, deployment.name)
            renamed["platform"] = platform_of(of_deployment | blocks, name)
        return renamed

    update = DeploymentUpdate(parameter_openapi_schema={**schema, "additionalProperties": False})
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
        retired = [each for each in read_deployments(client) if each.name in RETIRED]
        for deployment in retired:
            client.delete_deployment(deployment.id)
    return [deployment.name for deployment in retired]


if __name__ == "__main__":
    for name in delete_retired():
        print(f"{name}: deleted, it belongs to an earlier version")
    updated, failed = update_parameters()
    for name, former in updated.items():
        note = f"; renamed the former parameters {', '.join(former)}" if former else ""
        print(f"{name}: accepts only the parameters of its flow{note}")
    for name, reason in failed.items():
        print(f"{name}: not updated. {reason}", file=sys.stderr)
    sys.exit(1 if failed else 0)
