"""A real Kubernetes API server with etcd, a few controllers, and the CRDs of a service mesh.

Without a kubelet and a scheduler no pod ever runs, and without a garbage collector dependents of a
deleted owner remain. Otherwise the API behaves as that of a cluster.
"""

import base64
import hashlib
import json
import os
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import kubernetes
import urllib3
from ruamel.yaml import YAML

from tenantry.sandbox.certificates import Authority, Pair, write_key
from tests.real.servers import golang
from tests.real.servers.cache import (
    Progress,
    cache_directory,
    only_one,
    quiet,
    temporary_sibling,
)
from tests.real.servers.processes import (
    ServerError,
    Servers,
    free_ports,
    retry_on_taken_port,
)

KUBERNETES_VERSION = "1.37.2"
SOURCE = Path(__file__).parent / "kubernetes_apiserver"

_VERSION_PACKAGE = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = KUBERNETES_VERSION.split(".")
_LINKER = (
    "-s -w"
    f" -X {_VERSION_PACKAGE}.gitVersion=v{KUBERNETES_VERSION}"
    f" -X {_VERSION_PACKAGE}.gitMajor={_MAJOR} -X {_VERSION_PACKAGE}.gitMinor={_MINOR}"
)

# The module, the version, the checksum as computed by Go, and the path of the CRDs.
_DEFINITIONS = [
    (
        "istio.io/api",
        "v1.31.4",
        "h1:AcnncYrlDj1PJkym7h88Gggkef4MAra8QpGaXRMsr+E=",
        "kubernetes/customresourcedefinitions.gen.yaml",
    ),
    (
        "sigs.k8s.io/gateway-api",
        "v1.7.0",
        "h1:duVnm7nO6oXfMMUWfcDoBph47CYR/ME3NGxccOVglaY=",
        "config/crd/standard/",
    ),
]


def prepare(progress: Progress = quiet) -> tuple[Path, list[dict[str, Any]]]:
    """Build the server and fetch the CRDs unless cached; return both."""
    return _binary(progress), _definitions(progress)


class RealKubernetes:
    """An API server that runs from its construction until `stop`.

    `kubeconfig` is the path of a file with the credentials of an administrator; `server` and
    `certificate_authority` are for tests that create other users.
    """

    def __init__(self, progress: Progress = quiet) -> None:
        binary, definitions = prepare(progress)
        self._servers = retry_on_taken_port(lambda: self._start(binary, definitions))

    def stop(self) -> None:
        """Stop the server and remove its data; a second call does nothing."""
        self._servers.stop()

    def check(self) -> None:
        """Raise ServerError with the last lines of the log if one of its processes has exited."""
        self._servers.check()

    def memory(self) -> dict[str, int]:
        """Return the resident memory of each process in MiB."""
        return self._servers.memory()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, binary: Path, definitions: list[dict[str, Any]]) -> Servers:
        servers = Servers("kubernetes")
        try:
            self._start_in(servers, binary, definitions)
        except BaseException:
            servers.stop()
            raise
        return servers

    def _start_in(self, servers: Servers, binary: Path, definitions: list[dict[str, Any]]) -> None:
        directory = servers.directory
        etcd_port, peer_port, port = free_ports(3)
        etcd, peer = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
        self.server = f"https://127.0.0.1:{port}"

        authority = Authority(directory)
        self.certificate_authority = authority.certificate
        server = authority.server(
            "apiserver",
            hosts=["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
            addresses=["127.0.0.1"],
        )
        # RBAC grants this group all rights.
        administrator = authority.client("administrator", group="system:masters")
        accounts = write_key(directory / "service-accounts.key")
        self.kubeconfig = directory / "kubeconfig"
        _write_kubeconfig(self.kubeconfig, self.server, authority.certificate, administrator)

        environment = _server_environment()
        servers.start(
            "etcd",
            [
                str(binary),
                "etcd",
                "--name=tests",
                f"--data-dir={directory / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=tests={peer}",
                # The data need not survive a power failure.
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
            environment,
        )
        http = urllib3.PoolManager(
            ca_certs=str(authority.certificate),
            cert_file=str(administrator.certificate),
            key_file=str(administrator.key),
            retries=False,
            timeout=5.0,
        )
        servers.wait_until(
            "etcd answers", lambda: _answers(http, f"{etcd}/health"), timeout=60, interval=0.05
        )
        servers.start(
            "kube-apiserver",
            [
                str(binary),
                "kube-apiserver",
                f"--etcd-servers={etcd}",
                "--bind-address=127.0.0.1",
                f"--secure-port={port}",
                # A loopback address cannot be advertised, and no test reads the endpoints.
                "--endpoint-reconciler-type=none",
                f"--tls-cert-file={server.certificate}",
                f"--tls-private-key-file={server.key}",
                f"--client-ca-file={authority.certificate}",
                "--authorization-mode=RBAC",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={accounts}",
                f"--service-account-signing-key-file={accounts}",
                "--service-cluster-ip-range=10.0.0.0/16",
                "--profiling=false",
            ],
            environment,
        )
        servers.wait_until(
            "the API server is ready",
            lambda: _answers(http, f"{self.server}/readyz"),
            timeout=120,
        )
        api = connect(self.kubeconfig)
        try:
            _apply(servers, api, definitions)
            # Started after the CRDs exist, so that quotas count these kinds from the beginning.
            servers.start(
                "controllers",
                [str(binary), "controllers", str(self.kubeconfig)],
                environment,
            )
            core = kubernetes.client.CoreV1Api(api)
            servers.wait_until(
                "the controllers work",
                lambda: bool(
                    core.list_namespaced_service_account(
                        "default", field_selector="metadata.name=default"
                    ).items
                ),
                timeout=60,
            )
        finally:
            api.close()
            http.clear()


def connect(kubeconfig: Path) -> Any:
    """Return a client for the cluster of a kubeconfig; the caller closes it."""
    # Untyped, because the client's type hints do not allow dictionaries as bodies.
    load: Any = kubernetes.config.new_client_from_config
    return load(str(kubeconfig))


def _answers(http: urllib3.PoolManager, url: str) -> bool:
    try:
        return http.request("GET", url).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _server_environment() -> dict[str, str]:
    """Return an environment without the user's variables that configure a server."""
    # etcd also reads every option from a variable ETCD_....
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ETCD_") and name not in ("GODEBUG", "GOGC", "GOMEMLIMIT")
    }


def _write_kubeconfig(path: Path, server: str, authority: Path, user: Pair) -> None:
    def encoded(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    name = "tests"
    # JSON is valid YAML. The file embeds all data, so a copy also works on another machine.
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": server, "certificate-authority-data": encoded(authority)},
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": encoded(user.certificate),
                    "client-key-data": encoded(user.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=2))


def _apply(servers: Servers, api: Any, definitions: list[dict[str, Any]]) -> None:
    """Create the CRDs, and wait until the server serves each of their kinds."""
    extensions: Any = kubernetes.client.ApiextensionsV1Api(api)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(extensions.create_custom_resource_definition, definitions))
    wanted = {
        (body["spec"]["group"], version["name"], body["spec"]["names"]["plural"])
        for body in definitions
        for version in body["spec"]["versions"]
        if version["served"]
    }
    versions = {(group, version) for group, version, _ in wanted}
    custom: Any = kubernetes.client.CustomObjectsApi(api)

    def established() -> bool:
        return all(
            any(
                condition.type == "Established" and condition.status == "True"
                for condition in definition.status.conditions or []
            )
            for definition in extensions.list_custom_resource_definition().items
        )

    def served() -> bool:
        found = set()
        for group, version in versions:
            try:
                resources = custom.get_api_resources(group, version).resources
            except kubernetes.client.ApiException:
                return False  # the API group does not exist yet
            found |= {(group, version, resource.name) for resource in resources}
        return wanted <= found

    servers.wait_until("the custom resources are established", established, timeout=60)
    servers.wait_until("the custom resources are served", served, timeout=60)


def _binary(progress: Progress) -> Path:
    """Return the path of the server program."""
    label = f"Kubernetes {KUBERNETES_VERSION} (once; 5 to 12 minutes)"
    return golang.program(SOURCE, KUBERNETES_VERSION, _LINKER, ".", label, progress)


def _definitions(progress: Progress) -> list[dict[str, Any]]:
    """Return the CRDs of Istio and of the Gateway API.

    They are cached as one JSON file, because parsing the published YAML takes longer than
    starting the server.
    """
    key = hashlib.sha256(json.dumps(_DEFINITIONS).encode()).hexdigest()[:16]
    cached = cache_directory() / f"definitions-{key}.json"
    if not cached.exists():
        with only_one("definitions"), temporary_sibling(cached) as temporary:
            progress("Fetching the definitions of Istio and of the Gateway API ...")
            made = temporary / "definitions.json"
            made.write_text(json.dumps(_fetched_definitions(progress)))
            made.rename(cached)
    found: list[dict[str, Any]] = json.loads(cached.read_text())
    return found


def _fetched_definitions(progress: Progress) -> list[dict[str, Any]]:
    reader = YAML(typ="safe", pure=True)
    found: list[dict[str, Any]] = []
    for module, version, checksum, place in _DEFINITIONS:
        archive = golang.module(module, version, checksum, progress)
        prefix = f"{module}@{version}/{place}"
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if name.startswith(prefix)]
            for name in sorted(name for name in names if name.endswith(".yaml")):
                found += _only_definitions(reader.load_all(file.read(name)))
    if not found:
        raise ServerError("The modules of Istio and the Gateway API hold no definitions.")
    return found


def _only_definitions(documents: Iterable[Any]) -> list[dict[str, Any]]:
    kind = "CustomResourceDefinition"
    return [each for each in documents if isinstance(each, dict) and each.get("kind") == kind]
