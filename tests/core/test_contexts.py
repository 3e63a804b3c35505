"""The connection file: contexts, secrets from elsewhere, and environment variables on top."""

import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend

from tenantry import contexts
from tenantry.connections import Connections
from tenantry.contexts import connections
from tenantry.errors import DeclarationError

pytestmark = pytest.mark.demand("operate", "command line: named contexts, no secret in a file")

PRINT = f"[{sys.executable}, -c, \"print('from-command')\"]"
TWO = f"""
current: lab
contexts:
  lab:
    harbor:
      url: https://harbor.lab.example
      password: {{env: LAB_HARBOR}}
    keycloak:
      url: https://login.lab.example
      username: tenantry
      realm: operations
      password: {{command: {PRINT}}}
    kubernetes: {{kubeconfig: lab.kubeconfig, context: admin}}
  production:
    harbor:
      url: https://harbor.example
      password: {{keyring: {{service: tenantry, username: harbor}}}}
    keycloak:
      url: https://login.example
      password: {{env: PRODUCTION_KEYCLOAK}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "connections.yaml"
    path.write_text(TWO)
    monkeypatch.setenv(contexts.FILE, str(path))
    monkeypatch.setenv("LAB_HARBOR", "from-environment")
    return path


def faults(name: str | None = None) -> list[str]:
    with pytest.raises(DeclarationError) as refused:
        connections(name)
    return str(refused.value).splitlines()


def passwords(found: Connections) -> tuple[str, str]:
    return (
        found.harbor.password.get_secret_value(),
        found.keycloak.password.get_secret_value(),
    )


def test_the_current_context_gives_the_connections(file: Path) -> None:
    found = connections()
    assert found.harbor.url == "https://harbor.lab.example"
    assert found.harbor.username == "admin"
    assert (found.keycloak.username, found.keycloak.realm) == ("tenantry", "operations")
    assert found.kubernetes.kubeconfig == str(file.parent / "lab.kubeconfig")
    assert found.kubernetes.context == "admin"
    assert passwords(found) == ("from-environment", "from-command")


def test_environment_variables_override_the_context(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(TWO.replace(PRINT, "[/nowhere/pass]"))
    monkeypatch.delenv("LAB_HARBOR")
    monkeypatch.setenv("TENANTRY_HARBOR_URL", "https://other.example")
    monkeypatch.setenv("TENANTRY_HARBOR_PASSWORD", "one")
    monkeypatch.setenv("TENANTRY_KEYCLOAK_PASSWORD", "two")
    monkeypatch.setenv("TENANTRY_KUBERNETES_KUBECONFIG", "/other/config")
    found = connections()
    assert found.harbor.url == "https://other.example"
    assert passwords(found) == ("one", "two")
    assert (found.kubernetes.kubeconfig, found.kubernetes.context) == ("/other/config", None)


def test_a_context_is_selected_by_argument_before_the_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(contexts.CONTEXT, "production")
    assert connections("lab").harbor.url == "https://harbor.lab.example"
    assert any("production" in each for each in faults())


def test_secrets_that_cannot_be_read_are_named_all_at_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAB_HARBOR")
    file.write_text(TWO.replace("print('from-command')", "print('s3cret'); exit(3)"))
    place = f"{file}: contexts.lab"
    assert faults() == [
        f"{place}.harbor.password: the environment variable LAB_HARBOR is not set",
        f"{place}.keycloak.password: the command '{sys.executable}' failed with exit status 3",
    ]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("[/nowhere/pass, show]", "the command '/nowhere/pass' cannot be run: No such file"),
        (f"[{sys.executable}, -c, pass]", "printed nothing"),
        (
            f'[{sys.executable}, -c, "import os; os.write(1, bytes([255]))"]',
            "is not text",
        ),
    ],
)
def test_a_command_that_gives_no_secret_is_named(file: Path, command: str, message: str) -> None:
    file.write_text(TWO.replace(PRINT, command))
    (fault,) = faults()
    assert message in fault


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("Harbor12345", "a secret is not written in this file"),
        ("{env: A, command: [b]}", "env and command are both given"),
        ("{}", "a secret is not written in this file"),
        ("[Harbor12345]", "a secret is not written in this file"),
        ("{vault: x}", "a secret is not written in this file"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(
    file: Path, written: str, message: str
) -> None:
    file.write_text(TWO.replace("{env: LAB_HARBOR}", written))
    (fault,) = faults()
    assert fault.startswith("connections.yaml:7: contexts.lab.harbor.password: ")
    assert message in fault
    assert "Harbor12345" not in fault


class Entries(KeyringBackend):
    """A keyring with one entry."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return "from-keyring" if (service, username) == ("tenantry", "harbor") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture
def entries() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(Entries())
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("entries")
def test_a_secret_is_read_from_the_keyring(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTION_KEYCLOAK", "from-environment")
    assert passwords(connections("production")) == ("from-keyring", "from-environment")
    file.write_text(TWO.replace("username: harbor}", "username: harbour}"))
    (fault,) = faults("production")
    assert fault.startswith(
        f"{file}: contexts.production.harbor.password: the keyring has no entry"
    )
    assert fault.endswith("add it with: keyring set tenantry harbour")


def test_a_secret_in_place_of_a_variables_name_is_not_shown(file: Path) -> None:
    file.write_text(TWO.replace("LAB_HARBOR", "Harbor-12345"))
    (fault,) = faults()
    assert fault.startswith(
        "connections.yaml:7: contexts.lab.harbor.password.env: must be the name"
    )
    assert "Harbor-12345" not in fault


def test_a_missing_address_is_named_with_both_places_for_it(file: Path) -> None:
    file.write_text(TWO.replace("      url: https://harbor.lab.example\n", ""))
    assert faults() == [
        f"TENANTRY_HARBOR_URL: is not set; give it here, or in context 'lab' of {file}"
    ]


def test_an_unknown_context_is_named_with_the_known_ones(file: Path) -> None:
    assert faults("labb") == ["connections.yaml has no context 'labb'; it has: lab, production."]
    file.write_text(TWO.replace("current: lab", "current: labb"))
    assert faults() == [
        "connections.yaml:2: current: 'labb' is not one of the contexts: lab, production"
    ]


def test_one_of_several_contexts_must_be_selected(file: Path) -> None:
    file.write_text(TWO.replace("current: lab\n", ""))
    (fault,) = faults()
    assert fault.endswith(
        "none of the contexts is selected: lab, production. Set 'current', or give --context"
    )


def test_a_missing_file_is_an_error_only_if_it_was_asked_for(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file.unlink()
    (fault,) = faults()
    assert fault.startswith(f"The connection file {file} does not exist.")
    monkeypatch.delenv(contexts.FILE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert all("give it here, or in a context of" in each for each in faults())
