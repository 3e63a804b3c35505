"""The blocks: what a person fills in once in the UI, and what `check` says of it."""

import base64
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from pydantic import SecretStr
from ruamel.yaml import YAML

import blocks
from blocks import ClusterConnection, DeclaredState, HarborConnection, KeycloakConnection, Platform
from tenantry.errors import SystemRefused, SystemUnavailable, TenantryError
from tenantry.kubeconfig import COMMAND
from tests.support.harness import FaultySandbox

pytestmark = pytest.mark.demand(
    "reality", "a kubeconfig in every form that fits into the UI's field"
)

BLOCKS: list[type[Block]] = [
    ClusterConnection,
    DeclaredState,
    HarborConnection,
    KeycloakConnection,
    Platform,
]
DEAD = "http://127.0.0.1:9"
PASSWORD = "dragon-Passw0rd"


@pytest.mark.parametrize("block", BLOCKS, scope="class")
class TestStandard(BlockStandardTestSuite):
    """Prefect's own demands on a block, but for those that lead to a page on the internet."""

    @pytest.fixture
    def block(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    test_has_a_documentation_url = None  # type: ignore[assignment]
    test_has_a_valid_image = None  # type: ignore[assignment]


def address(sandbox: FaultySandbox, system: str) -> dict[str, Any]:
    return dict(sandbox.addresses()[system])


def kubeconfig(sandbox: FaultySandbox) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        Path(address(sandbox, "kubernetes")["kubeconfig"]).read_text()
    )
    return content


def cluster(content: Any) -> ClusterConnection:
    text = content if isinstance(content, str) else json.dumps(content)
    return ClusterConnection(kubeconfig=SecretStr(text))


def as_yaml(content: Any) -> str:
    text = StringIO()
    YAML(typ="safe", pure=True).dump(content, text)
    return text.getvalue()


def as_base64(text: str) -> str:
    return base64.encodebytes(text.encode()).decode()


ENCODINGS: dict[str, Callable[[Any], str]] = {
    "YAML": as_yaml,
    "YAML of another system": lambda content: "\ufeff" + as_yaml(content).replace("\n", "\r\n"),
    "JSON": lambda content: json.dumps(content, indent=4),
    "JSON indented by tabs": lambda content: json.dumps(content, indent="\t"),
    "JSON without line breaks": lambda content: json.dumps(content, indent=4).replace("\n", " "),
    "base64 of YAML": lambda content: as_base64(as_yaml(content)),
    "base64 of JSON": lambda content: as_base64(json.dumps(content)),
    "base64 without line breaks": lambda content: "".join(as_base64(as_yaml(content)).split()),
    "base64 with blanks": lambda content: as_base64(as_yaml(content)).replace("\n", " "),
}

# What the UI shows


def test_these_are_all_blocks() -> None:
    assert blocks.__all__ == [block.__name__ for block in BLOCKS]


@pytest.mark.parametrize("block", BLOCKS)
def test_nothing_that_the_ui_shows_of_a_block_comes_from_elsewhere(block: type[Block]) -> None:
    assert block._logo_url is None
    assert block._documentation_url is None


@pytest.mark.parametrize("block", BLOCKS)
def test_every_field_is_described_with_a_sentence(block: type[Block]) -> None:
    for name, field in block.model_fields.items():
        description = field.description or ""
        assert description[:1].isupper(), f"{block.__name__}.{name}: {description!r}"
        assert description.endswith(".")
        assert len(description.split()) > 2


@pytest.mark.parametrize(
    ("block", "secrets"),
    [
        (HarborConnection, {"password"}),
        (KeycloakConnection, {"password"}),
        (ClusterConnection, {"kubeconfig"}),
        (DeclaredState, {"token", "ssh_key"}),
        (Platform, set()),
    ],
)
def test_the_server_is_told_which_fields_to_encrypt(block: type[Block], secrets: set[str]) -> None:
    told = block._to_block_schema().fields

    assert set(told["secret_fields"]) == secrets
    assert {name for name, field in told["properties"].items() if "writeOnly" in str(field)} == (
        secrets
    )


@pytest.mark.parametrize(
    "filled",
    [
        HarborConnection(url=DEAD, password=SecretStr(PASSWORD)),
        KeycloakConnection(url=DEAD, password=SecretStr(PASSWORD)),
        ClusterConnection(
            kubeconfig=SecretStr(
                f"clusters: []\ncontexts: []\nusers: [{{name: a, user: {{token: {PASSWORD}}}}}]"
            )
        ),
    ],
    ids=lambda block: type(block).__name__,
)
def test_a_secret_is_shown_nowhere(filled: Any) -> None:
    handed_on = filled.cluster() if isinstance(filled, ClusterConnection) else filled.account()

    for shown in (repr(filled), str(filled), filled.model_dump_json(), repr(handed_on)):
        assert PASSWORD not in shown


# A check that succeeds


def test_harbors_check_says_version_address_and_account(sandbox: FaultySandbox) -> None:
    harbor = address(sandbox, "harbor")

    said = HarborConnection(**harbor).check()

    assert said.startswith("Harbor v2.")
    assert said.endswith(f" at {harbor['url']} accepts 'admin'.")


def test_the_check_of_a_fresh_harbor_works_and_says_what_happens_to_its_auth_mode(
    sandbox: FaultySandbox,
) -> None:
    harbor = address(sandbox, "harbor")
    before = sandbox.harbor.configuration["auth_mode"]
    sandbox.harbor.configuration["auth_mode"] = "db_auth"
    try:
        said = HarborConnection(**harbor).check()
    finally:
        sandbox.harbor.configuration["auth_mode"] = before

    assert f" at {harbor['url']} accepts 'admin'. Its auth_mode is 'db_auth': " in said
    assert "configure-platform sets it to 'oidc_auth' if harbor.single_sign_on is declared" in said


def test_keycloaks_check_says_version_address_and_realm(sandbox: FaultySandbox) -> None:
    keycloak = address(sandbox, "keycloak")

    said = KeycloakConnection(**keycloak).check()

    assert said.startswith("Keycloak 26.")
    assert said.endswith(f" at {keycloak['url']} has realm 'master'.")


def test_the_clusters_check_says_version_and_address(sandbox: FaultySandbox) -> None:
    said = cluster(kubeconfig(sandbox)).check()

    assert said.startswith("Kubernetes v1.")
    assert said.endswith(f" at {sandbox.kubernetes.url} accepts the credentials.")


def test_the_declared_states_check_says_how_many_teams(tmp_path: Path) -> None:
    (tmp_path / "platform.yaml").write_text("name: test\n")

    assert DeclaredState(folder=str(tmp_path)).check() == (
        f"{tmp_path} declares 0 teams and is valid."
    )


# A check that fails


def test_a_wrong_password_for_harbor_is_told(sandbox: FaultySandbox) -> None:
    sandbox.harbor.login_delay = 1.05  # as slow as Harbor: a fast refusal would be a lock
    connection = HarborConnection(**address(sandbox, "harbor") | {"password": PASSWORD})

    with pytest.raises(SystemRefused) as refused:
        connection.check()

    assert str(refused.value) == (
        "Harbor: POST /c/login answered 401: wrong user name or password for 'admin'. "
        "Correct the Harbor connection."
    )


def test_a_wrong_password_for_keycloak_is_told(sandbox: FaultySandbox) -> None:
    connection = KeycloakConnection(**address(sandbox, "keycloak") | {"password": PASSWORD})

    with pytest.raises(SystemRefused) as refused:
        connection.check()

    assert str(refused.value) == (
        "Keycloak: POST /realms/master/…/token answered 400: Invalid user credentials. "
        "The credentials of the Keycloak connection are not accepted."
    )


def test_a_wrong_token_for_the_cluster_is_told(sandbox: FaultySandbox) -> None:
    content = kubeconfig(sandbox)
    content["users"][0]["user"]["token"] = PASSWORD

    with pytest.raises(SystemRefused) as refused:
        cluster(content).check()

    assert str(refused.value) == (
        "Kubernetes: GET /api/v1/namespaces/kube-system answered 401: Unauthorized. "
        "The credentials of the cluster connection are not accepted."
    )


def at_a_dead_address(system: str, sandbox: FaultySandbox) -> Any:
    if system == "harbor":
        return HarborConnection(**address(sandbox, system) | {"url": DEAD})
    if system == "keycloak":
        return KeycloakConnection(**address(sandbox, system) | {"url": DEAD})
    content = kubeconfig(sandbox)
    content["clusters"][0]["cluster"]["server"] = DEAD
    return cluster(content)


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("harbor", "Harbor: POST /c/login: no answer (ConnectError)"),
        ("keycloak", "Keycloak: POST /realms/master/…/token: no answer (ConnectionError)"),
        ("kubernetes", "Kubernetes: GET /version: no answer (NewConnectionError)"),
    ],
)
def test_a_dead_address_is_told(system: str, said: str, sandbox: FaultySandbox) -> None:
    with pytest.raises(SystemUnavailable) as unavailable:
        at_a_dead_address(system, sandbox).check()

    assert str(unavailable.value) == said


def test_a_certificate_that_is_not_trusted_is_reported_at_once(sandbox: FaultySandbox) -> None:
    url = sandbox.kubernetes.url  # the one system with TLS
    content = kubeconfig(sandbox)
    del content["clusters"][0]["cluster"]["certificate-authority-data"]
    password = SecretStr(PASSWORD)
    said: dict[str, Any] = {
        "harbor": HarborConnection(url=url, password=password),
        "keycloak": KeycloakConnection(url=url, password=password),
        "kubeconfig": cluster(content),
    }
    for place, connection in said.items():
        with pytest.raises(SystemRefused) as refused:
            connection.check()
        assert "the certificate of the server is not trusted: " in str(refused.value)
        assert place in str(refused.value).rpartition(". ")[2].lower()


@pytest.mark.parametrize("block", [HarborConnection, KeycloakConnection])
def test_an_address_without_a_scheme_is_told_without_the_password(block: Any) -> None:
    connection = block(url="example.com", password=SecretStr(PASSWORD))

    with pytest.raises(TenantryError) as faulty:
        connection.check()

    assert str(faulty.value) == (
        f"The {block._block_type_name} is faulty: url: an address begins with http:// or https://. "
        "Correct the block."
    )


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_a_kubeconfig_works_in_every_form_that_fits_into_the_field(
    encode: Callable[[Any], str], sandbox: FaultySandbox
) -> None:
    said = cluster(encode(kubeconfig(sandbox))).check()

    assert said.endswith("accepts the credentials.")


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_an_empty_kubeconfig_is_the_same_as_none(blank: str) -> None:
    assert cluster(blank).cluster() == ClusterConnection().cluster()


@pytest.mark.parametrize("between", ["", " "], ids=["dropped", "blanks"])
def test_lost_line_breaks_are_named_with_the_command_that_avoids_them(
    between: str, sandbox: FaultySandbox
) -> None:
    text = between.join(as_yaml(kubeconfig(sandbox)).splitlines())

    with pytest.raises(TenantryError) as faulty:
        cluster(text).check()

    assert str(faulty.value) == (
        "The Cluster Connection is faulty: The kubeconfig has lost its line breaks, probably in a "
        f"one-line form field. Paste the output of this command: {COMMAND}"
    )


@pytest.mark.parametrize("field", [COMMAND, "base64"])
def test_the_form_names_the_forms_and_the_command(field: str) -> None:
    assert field in str(ClusterConnection.model_fields["kubeconfig"].description)


NOT_ONE = "is not the content of a kubeconfig file"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PASSWORD, NOT_ONE),
        (f"users: [{PASSWORD}\n", NOT_ONE),
        (f"users:\n  - token: {PASSWORD}\n", NOT_ONE),
        (f"- {PASSWORD}\n", NOT_ONE),
        (f"clusters: *{PASSWORD}\n", NOT_ONE),
        (f"\x00{PASSWORD}", NOT_ONE),
        (f'{{"{PASSWORD}": ', NOT_ONE),
        (f"/home/{PASSWORD}", "is the path of a file, not its content"),
        (
            f"clusters: [{{name: a}}]\ncontexts: {{}}\nusers: [{PASSWORD}]\n",
            (
                "is faulty: clusters[0].cluster: is missing; contexts: must be a list; "
                "users[0]: must be a mapping"
            ),
        ),
        (
            "clusters: [{name: a, cluster: {server: 10.0.0.1:6443}}]\ncontexts: []\n",
            "is faulty: clusters[0].cluster.server: must begin with https:// or http://",
        ),
        (
            "clusters: []\ncontexts: []\nusers: [{name: a, user: {token: REDACTED}}]\n",
            "has no credentials: kubectl prints them only with --raw",
        ),
    ],
)
def test_a_faulty_kubeconfig_is_reported_and_not_quoted(content: str, said: str) -> None:
    with pytest.raises(TenantryError) as faulty:
        cluster(content).check()

    assert str(faulty.value) == (
        f"The Cluster Connection is faulty: The kubeconfig {said}. "
        f"Paste the output of this command: {COMMAND}"
    )
    assert PASSWORD not in str(faulty.value)
    assert faulty.value.__suppress_context__ or faulty.value.__context__ is None


def test_a_kubeconfig_that_names_a_file_is_reported_with_the_command_that_inlines_it(
    sandbox: FaultySandbox,
) -> None:
    content = kubeconfig(sandbox)
    content["clusters"][0]["cluster"] = {
        "server": "https://127.0.0.1:9",
        "certificate-authority": "/nowhere/ca.crt",
    }

    with pytest.raises(SystemRefused) as refused:
        cluster(content).check()

    assert "/nowhere/ca.crt" in str(refused.value)
    assert COMMAND in str(refused.value)


def test_line_breaks_around_a_value_do_not_count(sandbox: FaultySandbox) -> None:
    """The form's fields have several lines: a line break at the end is easily typed or pasted."""
    harbor, keycloak = address(sandbox, "harbor"), address(sandbox, "keycloak")

    assert HarborConnection(**{name: f"{value}\n" for name, value in harbor.items()}).check()
    assert KeycloakConnection(**{name: f"{value}\n" for name, value in keycloak.items()}).check()
    text = json.dumps(kubeconfig(sandbox))
    assert ClusterConnection(kubeconfig=SecretStr(f"{text}\n"), context="sandbox\n").check()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contexts": []}, "Expected object with name sandbox"),
        ({"current-context": "nowhere"}, "Expected object with name nowhere"),
        ({"current-context": ""}, "kube-config"),
    ],
)
def test_a_kubeconfig_that_leads_nowhere_is_told_and_not_quoted(
    change: dict[str, Any], said: str, sandbox: FaultySandbox
) -> None:
    content = kubeconfig(sandbox)
    content["users"][0]["user"]["token"] = PASSWORD

    with pytest.raises(SystemRefused) as refused:
        cluster(content | change).check()

    assert str(refused.value).startswith("Kubernetes: read the cluster connection: ")
    assert said in str(refused.value)
    assert PASSWORD not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_outside_a_cluster_an_empty_connection_is_told() -> None:
    with pytest.raises(SystemRefused, match="without one, only a pod of the cluster can connect"):
        ClusterConnection().check()


def test_a_faulty_declared_state_is_told_with_every_fault(tmp_path: Path) -> None:
    (tmp_path / "teams").mkdir()
    (tmp_path / "platform.yaml").write_text("colour: red\n")
    (tmp_path / "teams" / "a.yaml").write_text("name: A\n")

    with pytest.raises(TenantryError) as faulty:
        DeclaredState(folder=str(tmp_path)).check()

    first, second = str(faulty.value).splitlines()
    assert first.startswith("platform.yaml:1: colour: unknown key")
    assert second.startswith("teams/a.yaml:1: name: ")


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(TenantryError, match="nowhere: is not a folder"):
        DeclaredState(folder=str(tmp_path / "nowhere")).check()
