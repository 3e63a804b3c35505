"""Whether each system answers, has a version that Tenantry supports, and accepts the credentials."""

from tenantry.errors import SystemRefused
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes.client import KubernetesClient


def check_harbor(client: HarborClient, *, any_mode: bool = False) -> str:
    """Whether Harbor's address, version and credentials work, in a sentence.

    Args:
        client: Harbor.
        any_mode: let its auth_mode be another than that of OIDC.
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
            f"'{client.account.username}' is no system administrator",
            advice="Give the Harbor connection an administrator: no robot may renew another's "
            "secret.",
        )
    works = f"Harbor {version} at {client.account.url} knows '{client.account.username}'."
    if mode == "oidc_auth":
        return works
    return (
        f"{works} Its auth_mode is '{mode}': configure-platform sets it to 'oidc_auth' if "
        "harbor.single_sign_on is declared, which takes a Harbor without users but its administrator."
    )


def check_keycloak(client: KeycloakClient, *, any_realm: bool = False) -> str:
    """Whether Keycloak's address, realm and credentials work, in a sentence.

    Args:
        client: the realm.
        any_realm: let it be missing.
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
    """Whether the cluster's address and credentials work, in a sentence."""
    version = client.version()
    client.uid()
    return f"Kubernetes {version} at {client.host} accepts the credentials."
