"""Health checks: whether each system answers, is supported, and accepts the credentials."""

from tenantry.errors import SystemRefused
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes.client import KubernetesClient


def check_harbor(client: HarborClient, *, any_mode: bool = False) -> str:
    """Check Harbor's address, version and credentials, and return the result as a sentence.

    Args:
        client: Harbor.
        any_mode: permit another auth_mode than OIDC.

    Raises:
        CallFailed: the check fails.
    """
    info = client.info()
    version, mode = info["harbor_version"], info["auth_mode"]
    if mode != "oidc_auth" and not any_mode:
        raise SystemRefused(
            "harbor",
            "GET /api/v2.0/systeminfo",
            f"its auth_mode is '{mode}', in which OIDC groups can't be members of projects",
            advice="Set auth_mode to oidc_auth in Harbor's configuration, or declare "
            "harbor.single_sign_on and run configure-platform.",
        )
    if not client.is_administrator():
        raise SystemRefused(
            "harbor",
            "GET /api/v2.0/users/current",
            f"'{client.account.username}' is not a system administrator",
            advice="Set an administrator in the Harbor connection: a robot cannot renew the secrets of "
            "other robots.",
        )
    works = f"Harbor {version} at {client.account.url} accepts '{client.account.username}'."
    if mode == "oidc_auth":
        return works
    return (
        f"{works} Its auth_mode is '{mode}': configure-platform sets it to 'oidc_auth' if "
        "harbor.single_sign_on is declared. Harbor permits this only without users other than its "
        "administrator."
    )


def check_keycloak(client: KeycloakClient, *, any_realm: bool = False) -> str:
    """Check Keycloak's address, realm and credentials, and return the result as a sentence.

    Args:
        client: the realm.
        any_realm: permit a missing realm.

    Raises:
        CallFailed: the check fails.
    """
    client.log_in()
    version = client.version()
    if not client.realm_exists():
        if any_realm:
            return f"Keycloak {version} at {client.url} has no realm '{client.realm}' yet."
        raise SystemRefused(
            "keycloak",
            f"GET /admin/realms/{client.realm}",
            f"there is no realm '{client.realm}'",
            status=404,
            advice="Create it, or correct keycloak.realm in platform.yaml.",
        )
    return f"Keycloak {version} at {client.url} has realm '{client.realm}'."


def check_kubernetes(client: KubernetesClient) -> str:
    """Check a cluster's address and credentials, and return the result as a sentence.

    Raises:
        CallFailed: the check fails.
    """
    version = client.version()
    client.uid()
    return f"Kubernetes {version} at {client.host} accepts the credentials."
