"""Systems that were given: made ready for the suites, put back, and rid of what those made there.

Whatever a suite makes has a mark in its name that nothing else has: what was there before is never
touched, nor what another session makes at the same time.
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
# What a Harbor is given that knows no provider yet. No case logs in there through it.
PROVIDER = {
    "oidc_name": "tests",
    "oidc_endpoint": "https://keycloak.invalid/realms/tests",
    "oidc_client_id": "tests",
    "oidc_scope": "openid",
}

Settings = dict[str, Any]


@contextmanager
def ready(account: HarborAccount) -> Iterator[None]:
    """A Harbor whose projects can have OIDC groups for members, while the context lasts.

    Raises:
        ServerError: it isn't ready and can't be made so, or it can't be put back; and what to do.
    """
    before = _set(account, "can't be used", lambda held: _missing(account, held))
    try:
        yield
    finally:
        if before:
            _set(account, f"can't be put back to {before}", lambda held: before)


def _set(account: HarborAccount, failed: str, choose: Callable[[Settings], Settings]) -> Settings:
    """Changes Harbor's configuration, and gives what stood there before."""
    client = HarborClient(account)
    try:
        client.info()
        if not client.is_administrator():
            raise ServerError(f"{_WHICH} {failed}: '{account.username}' is no administrator.")
        held = client.get("/configurations")
        changes = choose(held)
        if changes:
            client.put("/configurations", changes)
    except TenantryError as error:
        raise ServerError(f"{_WHICH} {failed}: {error}") from None
    finally:
        client.close()
    return {name: held[name]["value"] for name in changes}


def _missing(account: HarborAccount, held: Settings) -> Settings:
    """What has to be set for groups of OIDC to be members."""
    if held["read_only"]["value"]:
        raise ServerError(f"{_WHICH} can't be used: it is in read-only mode. End that.")
    mode = held["auth_mode"]
    if mode["value"] == OIDC:
        return {}
    if not mode["editable"]:
        raise ServerError(
            f"{_WHICH} can't be used: its auth_mode is '{mode['value']}', in which OIDC groups "
            f"can't be members of projects, and Harbor lets nobody change it now. Set auth_mode "
            f"to {OIDC}: that takes a Harbor without users but its administrator."
        )
    provider = {name: value for name, value in PROVIDER.items() if not held[name]["value"]}
    return {"auth_mode": OIDC, **provider}


def remove_from_harbor(account: HarborAccount, mark: str) -> None:
    """Removes all projects, with what is in them, robots and user groups that have the mark.

    Raises:
        AssertionError: something can't be removed; all else has been.
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
    """Removes all namespaces that have the mark in their names.

    Args:
        core: the kubernetes client's CoreV1Api.
        mark: the mark.
    """
    for namespace in core.list_namespace().items:
        name, phase = namespace.metadata.name, namespace.status.phase
        if mark in name and phase != "Terminating":
            core.delete_namespace(name)


@contextmanager
def members_role_kept(kubeconfig: Path) -> Iterator[None]:
    """A cluster that in the end has the cluster role of the teams' people as it had it before."""
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
