"""The connection to an API server: its address, certificates and credentials, from a kubeconfig."""

import os
from functools import cache, partial
from pathlib import Path

from kubernetes import client as kube
from kubernetes import config as kube_config
from kubernetes.config import kube_config as loader

from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.connections import Cluster
from tenantry.errors import SystemRefused
from tenantry.kubeconfig import COMMAND

_FILES = Path("/proc/self/fd")


def connect(cluster: Cluster) -> kube.ApiClient:
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
