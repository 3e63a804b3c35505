"""What a real kubectl does on the sandbox, with the KUBECONFIG that the sandbox prints."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from blocks import ClusterConnection
from tenantry.kubeconfig import COMMAND
from tenantry.sandbox import Sandbox
from tests.support.kubectl import Kubectl

pytestmark = pytest.mark.demand("reality", "a real kubectl with the sandbox's KUBECONFIG")

OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: by-kubectl}
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: by-kubectl}
stringData: {user: first}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: by-kubectl}
spec: {hosts: [web.example.com], http: [{route: [{destination: {host: web}}]}]}
"""


@pytest.fixture
def kubectl(sandbox: Sandbox, tmp_path: Path) -> Kubectl:
    return Kubectl(sandbox, tmp_path)


def test_it_reads_with_the_token_over_tls(kubectl: Kubectl, sandbox: Sandbox) -> None:
    names = kubectl("get", "namespaces", "--output=name").splitlines()

    assert "namespace/default" in names
    assert "Server Version: v1." in kubectl("version")
    assert sandbox.kubernetes.url.startswith("https://")


@pytest.mark.parametrize("how", [[], ["--server-side"]], ids=["client side", "server side"])
def test_it_applies_changes_and_deletes(kubectl: Kubectl, how: list[str]) -> None:
    said = kubectl("apply", *how, "-f", "-", given=OBJECTS)
    assert "virtualservice.networking.istio.io/web" in said

    kubectl("apply", *how, "-f", "-", given=OBJECTS.replace("first", "second"))
    kubectl("-n", "by-kubectl", "label", "virtualservice", "web", "tier=front")
    host = kubectl("-n", "by-kubectl", "get", "vs", "-l", "tier=front", "-o=jsonpath={..hosts[0]}")
    user = kubectl("-n", "by-kubectl", "get", "secret", "login", "-o=jsonpath={.data.user}")
    assert (host, user) == ("web.example.com", "c2Vjb25k")

    kubectl("-n", "by-kubectl", "delete", "secret", "login")
    kubectl("delete", "namespace", "by-kubectl", "--wait=false")
    kubectl("wait", "--for=delete", "namespace/by-kubectl", "--timeout=30s")


def test_the_command_that_the_form_names_prints_what_the_block_takes(
    kubectl: Kubectl, sandbox: Sandbox
) -> None:
    program, *words = COMMAND.split()
    assert program == "kubectl"

    printed = kubectl(*words)

    one_line = " ".join(printed.splitlines())
    for text in (printed, one_line):
        assert ClusterConnection(kubeconfig=text).check().endswith("accepts the credentials.")
    address = json.loads(printed)["clusters"][0]["cluster"]["server"]
    assert address == sandbox.kubernetes.url


def test_a_kubeconfig_whose_certificates_are_in_files_needs_that_command(
    kubectl: Kubectl, sandbox: Sandbox, tmp_path: Path
) -> None:
    """As minikube and kind write one: the paths mean nothing where the flows run."""
    yaml = YAML(typ="safe", pure=True)
    path = Path(kubectl.environment["KUBECONFIG"])
    content = yaml.load(path)
    (tmp_path / "ca.crt").write_text(Path(sandbox.addresses()["kubernetes"]["ca"]).read_text())
    content["clusters"][0]["cluster"] |= {"certificate-authority": "ca.crt"}
    del content["clusters"][0]["cluster"]["certificate-authority-data"]
    with (tmp_path / "config").open("w") as file:
        yaml.dump(content, file)
    kubectl.environment["KUBECONFIG"] = str(tmp_path / "config")

    printed = kubectl(*COMMAND.split()[1:])

    assert ClusterConnection(kubeconfig=printed).check().endswith("accepts the credentials.")
