"""Preparation and cleanup of given systems.

The name of every object that a suite creates contains a unique mark. Objects that existed before,
and those of a concurrent session, are never touched.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes

from tenantry.connections import HarborAccount
from tenantry.errors import TenantryError
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.kubernetes.namespaces import MEMBER_ROLE
from tests.real.servers.apiserver import connect
from tests.real.servers.processes import ServerError
from tests.sandbox.calls import Caller

_WHICH = "The Harbor of TENANTRY_TEST_HARBOR_URL"
OIDC = "oidc_auth"
# The OIDC settings for a Harbor without a provider. No test logs in through it.
PROVIDER = {
    "oidc_name": "tests",
    "oidc_endpoint": "https://keycloak.invalid/realms/tests",
    "oidc_client_id": "tests",
    "oidc_scope": "openid",
}

Settings = dict[str, Any]


@contextmanager
def ready(account: HarborAccount) -> Iterator[None]:
    """Make a Harbor accept OIDC groups as project members, and restore its settings at the end.

    Raises:
        ServerError: Harbor cannot be prepared or restored; the message says what to do.
    """
    before = _set(account, "can't be used", lambda current: _missing(account, current))
    try:
        yield
    finally:
        if before:
            _set(account, f"can't be restored to {before}", lambda current: before)


def _set(account: HarborAccount, failed: str, choose: Callable[[Settings], Settings]) -> Settings:
    """Change Harbor's configuration, and return the previous values."""
    client = HarborClient(account)
    try:
        client.info()
        if not client.is_administrator():
            raise ServerError(f"{_WHICH} {failed}: '{account.username}' is not an administrator.")
        current = client.get("/configurations")
        changes = choose(current)
        if changes:
            client.put("/configurations", changes)
    except TenantryError as error:
        raise ServerError(f"{_WHICH} {failed}: {error}") from None
    finally:
        client.close()
    return {name: current[name]["value"] for name in changes}


def _missing(account: HarborAccount, current: Settings) -> Settings:
    """Return the settings that Harbor needs before OIDC groups can be members."""
    if current["read_only"]["value"]:
        raise ServerError(f"{_WHICH} can't be used: it is in read-only mode. Turn that off.")
    mode = current["auth_mode"]
    if mode["value"] == OIDC:
        return {}
    if not mode["editable"]:
        raise ServerError(
            f"{_WHICH} can't be used: its auth_mode is '{mode['value']}', in which OIDC groups "
            f"can't be members of projects, and Harbor does not allow to change it now. Set "
            f"auth_mode to {OIDC}: that takes a Harbor without users but its administrator."
        )
    provider = {name: value for name, value in PROVIDER.items() if not current[name]["value"]}
    return {"auth_mode": OIDC, **provider}


def remove_from_harbor(account: HarborAccount, mark: str) -> None:
    """Remove the projects with their contents, the robots and the user groups with the mark.

    Raises:
        AssertionError: some objects cannot be removed; all others have been.
    """
    admin = Caller(account.url, account.username, account.password.get_secret_value())
    found = [
        *_found(admin, f"/projects?name={mark}", "name", "project_id", mark),
        *_found(admin, f"/robots?q=name%3D~{mark}", "name", "id", mark),
        *_found(admin, f"/usergroups?group_name={mark}", "group_name", "id", mark),
    ]
    answers = {path: admin("DELETE", path) for path in found}
    left = {
        path: answer.text
        for path, answer in answers.items()
        if answer.status_code not in (200, 404)
    }
    assert not left, f"not removed from {account.url}: {left}"


def _found(admin: Caller, query: str, name: str, id: str, mark: str) -> list[str]:
    rows = admin.json(f"{query}&page_size=0")
    path = query.partition("?")[0]
    return [f"{path}/{row[id]}" for row in rows if mark in row[name]]


def remove_from_cluster(core: Any, mark: str) -> None:
    """Delete the namespaces with the mark in their names.

    Args:
        core: The CoreV1Api of the kubernetes client.
        mark: The mark.
    """
    for namespace in core.list_namespace().items:
        name, phase = namespace.metadata.name, namespace.status.phase
        if mark in name and phase != "Terminating":
            core.delete_namespace(name)


@contextmanager
def members_role_kept(kubeconfig: Path) -> Iterator[None]:
    """Restore the ClusterRole of team members at the end of the context."""
    with connect(kubeconfig) as api:
        rbac: Any = kubernetes.client.RbacAuthorizationV1Api(api)
        before = _role(rbac)
        try:
            yield
        finally:
            after = _role(rbac)
            if after and (before is None or after.rules != before.rules):
                rbac.delete_cluster_role(MEMBER_ROLE)
                after = None
            if before and not after:
                before.metadata.uid = before.metadata.resource_version = None
                rbac.create_cluster_role(before)


def _role(rbac: Any) -> Any:
    try:
        return rbac.read_cluster_role(MEMBER_ROLE)
    except kubernetes.client.exceptions.NotFoundException:
        return None
