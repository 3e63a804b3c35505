"""Make the API refuse a parameter that a flow does not have, and delete retired deployments.

    python deployments/parameters.py

Prefect takes such a call, and the run crashes: the schema that it keeps of a flow's parameters
says nothing of others. Run this after each `prefect deploy`, which writes that schema anew.
`deployments/serve.py` does it by itself.

A deployment of an earlier version stays on the server after an upgrade, and each run of its
schedule would crash.
"""

from prefect import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

RETIRED = frozenset({"migrate-identity-provider"})
"""Deployments of earlier versions that no flow is left for."""
_OURS = DeploymentFilter(tags=DeploymentFilterTags(all_=["tenantry"]))


def refuse_unknown() -> list[str]:
    """Lets the deployments with the tag `tenantry` take the parameters of their flows only.

    Returns:
        The deployments' names.
    """
    with get_client(sync_client=True) as client:
        deployments = client.read_deployments(deployment_filter=_OURS)
        for deployment in deployments:
            schema = {**(deployment.parameter_openapi_schema or {}), "additionalProperties": False}
            client.update_deployment(
                deployment.id, DeploymentUpdate(parameter_openapi_schema=schema)
            )
    return [deployment.name for deployment in deployments]


def delete_retired() -> list[str]:
    """Delete the deployments of earlier versions, with their schedules.

    Returns:
        The deployments' names.
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
    for name in refuse_unknown():
        print(f"{name}: takes the parameters of its flow only")
