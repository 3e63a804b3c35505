"""The test servers behave as the other tests in this directory expect."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes
import pytest
from keycloak import KeycloakAdmin
from kubernetes.client import ApiException

from tests.real.conftest import Cluster, Keycloak
from tests.real.servers import browser
from tests.real.servers.apiserver import KUBERNETES_VERSION, connect

pytestmark = pytest.mark.real

REDIRECT = "http://127.0.0.1:1/callback"
# The default of Keycloak takes a second of processor time for each user.
QUICK_PASSWORDS = "hashAlgorithm(pbkdf2-sha256) and hashIterations(1)"


@pytest.fixture
def api(real_kubernetes: Cluster) -> Iterator[kubernetes.client.ApiClient]:
    client = connect(real_kubernetes.kubeconfig)
    yield client
    client.close()


@pytest.fixture
def namespace(api: kubernetes.client.ApiClient) -> Iterator[str]:
    core = core_api(api)
    name = unique("servers")
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


@pytest.fixture
def admin(real_keycloak: Keycloak) -> KeycloakAdmin:
    return connected(real_keycloak)


@pytest.fixture
def realm(admin: KeycloakAdmin) -> Iterator[str]:
    name = unique("realm")
    admin.create_realm({"realm": name, "enabled": True, "passwordPolicy": QUICK_PASSWORDS})
    admin.change_current_realm(name)
    yield name
    admin.delete_realm(name)


def test_the_api_server_has_the_version_the_client_is_for(
    api: kubernetes.client.ApiClient,
) -> None:
    assert kubernetes.client.VersionApi(api).get_code().git_version == f"v{KUBERNETES_VERSION}"


def test_a_namespace_gets_its_service_account(
    api: kubernetes.client.ApiClient, namespace: str
) -> None:
    core = core_api(api)

    eventually(lambda: bool(core.list_namespaced_service_account(namespace).items))

    assert core.read_namespaced_service_account("default", namespace)


def test_a_deleted_namespace_and_what_it_held_are_gone(api: kubernetes.client.ApiClient) -> None:
    core = core_api(api)
    name = unique("servers")
    core.create_namespace({"metadata": {"name": name}})
    core.create_namespaced_config_map(name, {"metadata": {"name": "kept"}, "data": {}})
    mesh(api, name, {"hosts": ["a.test"], "http": [route("a")]})

    core.delete_namespace(name)

    eventually(lambda: not names(core.list_namespace(), name), seconds=60)
    assert core.list_namespaced_config_map(name).items == []


def test_a_quota_counts_and_refuses(api: kubernetes.client.ApiClient, namespace: str) -> None:
    core = core_api(api)
    hard = {"count/secrets": "1", "count/virtualservices.networking.istio.io": "1"}
    core.create_namespaced_resource_quota(
        namespace, {"metadata": {"name": "little"}, "spec": {"hard": hard}}
    )
    eventually(lambda: core.read_namespaced_resource_quota("little", namespace).status.used)
    core.create_namespaced_secret(namespace, {"metadata": {"name": "first"}})
    mesh(api, namespace, {"hosts": ["a.test"], "http": [route("a")]}, "first")

    with pytest.raises(ApiException, match="exceeded quota: little") as second_secret:
        core.create_namespaced_secret(namespace, {"metadata": {"name": "second"}})
    with pytest.raises(ApiException, match="exceeded quota: little") as second_service:
        mesh(api, namespace, {"hosts": ["b.test"], "http": [route("b")]}, "second")

    assert second_secret.value.status == second_service.value.status == 403


def test_a_quota_sees_what_is_deleted(api: kubernetes.client.ApiClient, namespace: str) -> None:
    core = core_api(api)

    def used() -> str | None:
        status = core.read_namespaced_resource_quota("little", namespace).status
        return (status.used or {}).get("count/secrets")

    core.create_namespaced_resource_quota(
        namespace, {"metadata": {"name": "little"}, "spec": {"hard": {"count/secrets": "1"}}}
    )
    eventually(lambda: used() == "0")
    core.create_namespaced_secret(namespace, {"metadata": {"name": "only"}})
    assert used() == "1"

    core.delete_namespaced_secret("only", namespace)

    eventually(lambda: used() == "0")


def test_a_role_bound_in_one_namespace_gives_nothing_elsewhere(
    real_kubernetes: Cluster, api: kubernetes.client.ApiClient, namespace: str
) -> None:
    core = core_api(api)
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "reader"}})
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    # A controller aggregates the ClusterRole `view` from other roles.
    rbac: Any = kubernetes.client.RbacAuthorizationV1Api(api)
    rbac.create_namespaced_role_binding(
        namespace,
        {
            "metadata": {"name": "readers"},
            "subjects": [subject],
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "view",
            },
        },
    )
    token = core.create_namespaced_service_account_token("reader", namespace, {"spec": {}})
    configuration = kubernetes.client.Configuration()
    configuration.host = api.configuration.host
    configuration.ssl_ca_cert = api.configuration.ssl_ca_cert
    configuration.api_key = {"authorization": f"Bearer {token.status.token}"}

    with kubernetes.client.ApiClient(configuration) as reader_client:
        reader = core_api(reader_client)

        def may_read() -> bool:
            try:
                reader.list_namespaced_config_map(namespace)
            except ApiException:
                return False
            return True

        eventually(may_read)
        with pytest.raises(ApiException) as elsewhere:
            reader.list_namespaced_config_map("default")
        with pytest.raises(ApiException) as change:
            reader.create_namespaced_config_map(namespace, {"metadata": {"name": "written"}})

    assert elsewhere.value.status == change.value.status == 403


def test_a_virtual_service_is_stored(api: kubernetes.client.ApiClient, namespace: str) -> None:
    spec = {"hosts": ["a.test"], "http": [route("a")]}

    mesh(api, namespace, spec)

    stored = custom_api(api).get_namespaced_custom_object(
        "networking.istio.io", "v1", namespace, "virtualservices", "route"
    )
    assert stored["spec"] == spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"hosts": "a.test"}, "must be of type array"),
        ({"hosts": ["a.test"], "http": [{"timeout": "soon"}]}, "must be a valid duration"),
    ],
)
def test_an_invalid_virtual_service_is_refused(
    api: kubernetes.client.ApiClient, namespace: str, spec: dict[str, object], said: str
) -> None:
    with pytest.raises(ApiException, match=said) as refused:
        mesh(api, namespace, spec)

    assert refused.value.status == 422


def test_the_gateway_api_is_served(api: kubernetes.client.ApiClient, namespace: str) -> None:
    body = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "route"},
        "spec": {"rules": [{"backendRefs": [{"name": "a", "port": 80}]}]},
    }

    made = custom_api(api).create_namespaced_custom_object(
        "gateway.networking.k8s.io", "v1", namespace, "httproutes", body
    )

    assert made["spec"]["rules"][0]["matches"], "a default of the definition's schema"


def test_keycloak_gives_the_administrator_a_token(
    real_keycloak: Keycloak, admin: KeycloakAdmin
) -> None:
    assert "master" in [each["realm"] for each in admin.get_realms()]
    assert not real_keycloak.url.endswith("/")


def test_a_user_logs_in_and_the_token_names_their_groups(
    real_keycloak: Keycloak, admin: KeycloakAdmin, realm: str
) -> None:
    parent = admin.create_group({"name": "tenants"})
    child = admin.create_group({"name": "blue"}, parent=parent)
    assert child is not None
    client = with_login_client(admin, secret="not-a-secret")
    admin.add_mapper_to_client(
        client,
        {
            "name": "groups",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper",
            "config": {
                "claim.name": "groups",
                "full.path": "false",
                "id.token.claim": "true",
                "access.token.claim": "true",
                "userinfo.token.claim": "true",
            },
        },
    )
    user = with_user(admin, "ada", "made-up")
    admin.group_user_add(user, child)

    claims = browser.log_in(
        real_keycloak.url, realm, "portal", "not-a-secret", REDIRECT, "ada", "made-up"
    )

    assert claims["sub"] == user
    assert claims["preferred_username"] == "ada"
    assert claims["email"] == "ada@example.test"
    assert claims["groups"] == ["blue"]


def test_a_public_client_logs_in_without_a_secret(
    real_keycloak: Keycloak, admin: KeycloakAdmin, realm: str
) -> None:
    with_login_client(admin, secret=None)
    user = with_user(admin, "ada", "made-up")

    claims = browser.log_in(real_keycloak.url, realm, "portal", None, REDIRECT, "ada", "made-up")

    assert claims["sub"] == user


def test_a_wrong_password_is_refused(
    real_keycloak: Keycloak, admin: KeycloakAdmin, realm: str
) -> None:
    with_login_client(admin, secret=None)
    with_user(admin, "ada", "made-up")

    with pytest.raises(browser.LoginError, match="Invalid username or password"):
        browser.log_in(real_keycloak.url, realm, "portal", None, REDIRECT, "ada", "wrong")


def test_a_redirect_that_is_not_the_clients_is_refused(
    real_keycloak: Keycloak, admin: KeycloakAdmin, realm: str
) -> None:
    with_login_client(admin, secret=None)

    with pytest.raises(browser.LoginError, match="Invalid parameter: redirect_uri"):
        browser.log_in(
            real_keycloak.url, realm, "portal", None, "http://127.0.0.1:2/", "ada", "made-up"
        )


def test_a_user_of_another_realm_logs_in_through_it(
    real_keycloak: Keycloak, admin: KeycloakAdmin, realm: str
) -> None:
    with_login_client(admin, secret=None)
    outside = unique("outside")
    admin.create_realm({"realm": outside, "enabled": True, "passwordPolicy": QUICK_PASSWORDS})
    admin.change_current_realm(outside)
    endpoint = f"{real_keycloak.url}/realms/{realm}/broker/outside/endpoint"
    with_login_client(admin, secret="not-a-secret", redirect=endpoint)
    with_user(admin, "ada", "made-up")
    admin.change_current_realm(realm)
    protocol = f"{real_keycloak.url}/realms/{outside}/protocol/openid-connect"
    admin.create_idp(
        {
            "alias": "outside",
            "providerId": "oidc",
            "enabled": True,
            "config": {
                "clientId": "portal",
                "clientSecret": "not-a-secret",
                "authorizationUrl": f"{protocol}/auth",
                "tokenUrl": f"{protocol}/token",
                "jwksUrl": f"{protocol}/certs",
                "useJwksUrl": "true",
                "validateSignature": "true",
                "issuer": f"{real_keycloak.url}/realms/{outside}",
                "defaultScope": "openid email profile",
            },
        }
    )

    first, second = (
        browser.log_in(
            real_keycloak.url,
            realm,
            "portal",
            None,
            REDIRECT,
            "ada",
            "made-up",
            identity_provider="outside",
        )
        for _ in range(2)
    )

    admin.delete_realm(outside)
    assert first["email"] == "ada@example.test"
    assert second["sub"] == first["sub"]


def test_keycloak_serves_under_a_path(real_keycloak_under_auth: Keycloak) -> None:
    url = real_keycloak_under_auth.url
    admin = connected(real_keycloak_under_auth)
    admin.create_realm({"realm": "elsewhere", "enabled": True})
    admin.change_current_realm("elsewhere")
    with_login_client(admin, secret=None)
    user = with_user(admin, "ada", "made-up")

    claims = browser.log_in(url, "elsewhere", "portal", None, REDIRECT, "ada", "made-up")

    assert url.endswith("/auth")
    assert claims["sub"] == user
    assert claims["iss"] == f"{url}/realms/elsewhere"


# Untyped, because the client's type hints do not allow dictionaries as bodies.
def core_api(api: kubernetes.client.ApiClient) -> Any:
    return kubernetes.client.CoreV1Api(api)


def custom_api(api: kubernetes.client.ApiClient) -> Any:
    return kubernetes.client.CustomObjectsApi(api)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def eventually(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(0.1)


def names(listed: Any, wanted: str) -> list[str]:
    return [each.metadata.name for each in listed.items if each.metadata.name == wanted]


def route(destination: str) -> dict[str, object]:
    return {"route": [{"destination": {"host": destination}}]}


def mesh(
    api: kubernetes.client.ApiClient, namespace: str, spec: dict[str, object], name: str = "route"
) -> None:
    custom_api(api).create_namespaced_custom_object(
        "networking.istio.io",
        "v1",
        namespace,
        "virtualservices",
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": name},
            "spec": spec,
        },
    )


def connected(keycloak: Keycloak) -> KeycloakAdmin:
    return KeycloakAdmin(
        # python-keycloak drops the path if the URL has no trailing slash.
        server_url=f"{keycloak.url}/",
        username=keycloak.username,
        password=keycloak.password,
        realm_name="master",
        user_realm_name="master",
        verify=keycloak.verify,
        max_retries=0,
    )


def with_login_client(admin: KeycloakAdmin, *, secret: str | None, redirect: str = REDIRECT) -> str:
    client: str = admin.create_client(
        {
            "clientId": "portal",
            "publicClient": secret is None,
            "secret": secret,
            "redirectUris": [redirect],
            "attributes": {"pkce.code.challenge.method": "S256"} if redirect == REDIRECT else {},
        }
    )
    return client


def with_user(admin: KeycloakAdmin, name: str, password: str) -> str:
    return admin.create_user(
        {
            "username": name,
            "enabled": True,
            "email": f"{name}@example.test",
            "emailVerified": True,
            "firstName": name.title(),
            "lastName": "Example",
            "credentials": [{"type": "password", "value": password, "temporary": False}],
        }
    )
