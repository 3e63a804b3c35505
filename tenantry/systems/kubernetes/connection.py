"""The connection to an API server: its address, certificates and credentials, from a kubeconfig.

Only this module imports the official client, which takes a while. `KubernetesClient` imports it when
it connects.
"""

import os
from functools import cache, partial
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client as kube
from kubernetes import config as kube_config
from kubernetes.config import kube_config as loader

from tenantry.calls import MAX_CONCURRENT_CALLS, TIMEOUT
from tenantry.confidential import hide_wire_logs
from tenantry.connections import Cluster
from tenantry.errors import SystemRefused
from tenantry.kubeconfig import COMMAND
from tenantry.transport import Library, translate_errors

hide_wire_logs()

_FILES = Path("/proc/self/fd")


def _cause(error: BaseException) -> BaseException:
    is_wrapped = isinstance(error, kube.ApiException)
    return (error.__context__ or error) if is_wrapped else error


KUBERNETES_CLIENT = Library((urllib3.exceptions.HTTPError, OSError, kube.ApiException), _cause)
"""The official client raises what urllib3 and sockets raise, and wraps failures of TLS."""


class Connection:
    """The connection to one API server. Safe to use from many threads."""

    def __init__(self, cluster: Cluster) -> None:
        """
        Raises:
            SystemRefused: the kubeconfig cannot be used.
        """
        self._api = _connect(cluster)
        self.host: str = self._api.configuration.host

    def close(self) -> None:
        """Close the connections."""
        self._api.rest_client.pool_manager.clear()

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: dict[str, Any] | None,
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return the response to a call, which has been read, and the request as it was sent.

        Raises:
            SystemRefused: the certificate of the server is not trusted.
            SystemUnavailable: the server did not answer.
        """
        request = self._api.param_serialize(
            method=method,
            resource_path=path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        with translate_errors(KUBERNETES_CLIENT, "kubernetes", f"{method} {path}"):
            answer = self._api.call_api(*request, _request_timeout=TIMEOUT)
            answer.read()  # type: ignore[no-untyped-call]
        return answer, request


def _connect(cluster: Cluster) -> kube.ApiClient:
    """Return a client of the API server.

    Retries are off: they would repeat writes whose answer was lost. Redirects are off: they would
    send the client certificate or the token to another server.

    Raises:
        SystemRefused: the kubeconfig cannot be used.
    """
    configuration = kube.Configuration()
    _keep_in_memory()
    try:
        _configure(configuration, cluster)
    except (kube_config.ConfigException, OSError, ValueError, LookupError) as error:
        raise SystemRefused(
            "kubernetes",
            f"read {cluster.kubeconfig or 'the cluster connection'}",
            str(error).splitlines()[0],
            advice=_advice(cluster),
        ) from None
    configuration.retries = False
    configuration.connection_pool_maxsize = MAX_CONCURRENT_CALLS
    api = kube.ApiClient(configuration)
    pool = api.rest_client.pool_manager
    pool.urlopen = partial(pool.urlopen, redirect=False)  # type: ignore[method-assign]
    return api


def _keep_in_memory() -> None:
    """Let the client keep the certificates and keys of kubeconfigs in memory.

    OpenSSL reads keys from files only, so the client writes the keys of a kubeconfig, or of its
    `exec` plugin, to the temporary directory, where they stay if the process is killed. A file of
    `memfd_create` has no name, and ends with the process. It exists on Linux only.
    """
    if hasattr(os, "memfd_create") and _FILES.is_dir():
        loader._create_temp_file_with_content = _in_memory


def _in_memory(
    content: str | bytes, temp_file_path: str | None = None, force_recreate: bool = False
) -> str:
    """Return the path of a file in memory. The parameters are those of the client's own
    function."""
    return _file(content.encode() if isinstance(content, str) else content)


@cache
def _file(content: bytes) -> str:
    # It stays open: the client reads it again for each connection.
    file = os.memfd_create("kubeconfig", os.MFD_CLOEXEC)
    os.write(file, content)
    return str(_FILES / str(file))


def _advice(cluster: Cluster) -> str:
    if cluster.kubeconfig_content is None and cluster.kubeconfig is None:
        return (
            "Give the cluster connection a kubeconfig; without one, only a pod of the cluster can "
            "connect."
        )
    if cluster.kubeconfig_content is None:
        return f"Correct the kubeconfig at {cluster.kubeconfig}, or the path."
    return f"This command prints a kubeconfig that needs no other files: {COMMAND}"


def _configure(configuration: kube.Configuration, cluster: Cluster) -> None:
    if cluster.kubeconfig_content is not None:
        kube_config.load_kube_config_from_dict(  # type: ignore[no-untyped-call]
            cluster.kubeconfig_content, cluster.context, configuration
        )
    elif cluster.kubeconfig is not None:
        kube_config.load_kube_config(  # type: ignore[no-untyped-call]
            cluster.kubeconfig, cluster.context, configuration
        )
    else:
        kube_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
