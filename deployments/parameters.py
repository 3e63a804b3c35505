"""Makes the API refuse a parameter that a flow does not have.

    python deployments/parameters.py

Prefect takes such a call, and the run crashes: the schema that it keeps of a flow's parameters
says nothing of others. Run this after each `prefect deploy`, which writes that schema anew.
`deployments/serve.py` does it by itself.
"""

from prefect import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

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


if __name__ == "__main__":
    for name in refuse_unknown():
        print(f"{name}: takes the parameters of its flow only")
