"""SSH keys and host keys, as they arrive through a form: whole, encoded, or on one line."""

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest
from pydantic import SecretStr

from blocks import DeclaredState
from tenantry.declared.keys import ADVICE, read_known_hosts, read_private_key
from tenantry.errors import TenantryError

pytestmark = pytest.mark.demand("reality", "the same for SSH keys and known_hosts")

FORMATS = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa": ["-t", "ecdsa"],
    "rsa": ["-t", "rsa", "-b", "2048"],
    "rsa in PEM": ["-t", "rsa", "-b", "2048", "-m", "PEM"],
    "ecdsa in PEM": ["-t", "ecdsa", "-m", "PEM"],
    "rsa in PKCS8": ["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
    "ecdsa in PKCS8": ["-t", "ecdsa", "-m", "PKCS8"],
}
ARRIVALS: dict[str, Callable[[str], str]] = {
    "whole": str,
    "without the last line break": str.strip,
    "with the line breaks of another system": lambda text: text.replace("\n", "\r\n"),
    "with blanks for line breaks": lambda text: text.replace("\n", " "),
    "with no line breaks": lambda text: text.replace("\n", ""),
    "indented, as in YAML": lambda text: text.replace("\n", "\n      "),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64 with blanks": lambda text: (
        base64.encodebytes(text.encode()).decode().replace("\n", " ")
    ),
}


def generate(folder: Path, *how: str, passphrase: str = "") -> Path:
    file = folder / "key"
    subprocess.run(["ssh-keygen", "-q", *how, "-N", passphrase, "-f", str(file)], check=True)
    return file


@pytest.mark.parametrize("how", FORMATS.values(), ids=FORMATS)
def test_a_private_key_works_in_every_format_and_however_it_arrives(
    how: list[str], tmp_path: Path
) -> None:
    file = generate(tmp_path, *how)
    public = file.with_suffix(".pub").read_text().split()[1]

    for arrival, arrive in ARRIVALS.items():
        key = read_private_key(arrive(file.read_text()))
        assert key.get_base64() == public, arrival


@pytest.mark.parametrize(
    "how", [FORMATS[name] for name in ("ed25519", "rsa in PEM", "rsa in PKCS8")]
)
def test_a_passphrase_is_reported(how: list[str], tmp_path: Path) -> None:
    text = generate(tmp_path, *how, passphrase="dragon").read_text()

    for arrive in ARRIVALS.values():
        with pytest.raises(ValueError, match=r"^is protected by a passphrase$"):
            read_private_key(arrive(text))


FRAME = "-----BEGIN OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not a key", "is not a private key"),
        ("ssh-ed25519 AAAAC3Nza bot@example", "is a public key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nx", "is in PuTTY's format"),
        (f"{FRAME}\nAAAA", "is cut off: its last line"),
        (f"{FRAME}\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "is damaged"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "is not a private key"),
    ],
)
def test_another_text_is_reported_before_any_call_and_not_quoted(text: str, said: str) -> None:
    host = paramiko.ECDSAKey.generate()
    block = DeclaredState(
        repository="git@example.com:tenants.git",
        ssh_key=SecretStr(text),
        known_hosts=f"example.com {host.get_name()} {host.get_base64()}",
    )

    with pytest.raises(TenantryError) as faulty:
        block.check()

    assert str(faulty.value).startswith("The Declared State block is faulty: ssh_key: the SSH key ")
    assert said in str(faulty.value)
    assert ADVICE in str(faulty.value)
    assert text not in str(faulty.value)


def scanned(*hosts: str) -> str:
    """Return host keys in ssh-keyscan's format, with host names that look like base64."""
    keys = [paramiko.RSAKey.generate(1024), paramiko.ECDSAKey.generate()]
    return "".join(
        f"{host} {key.get_name()} {key.get_base64()}\n" for host in hosts for key in keys
    )


@pytest.mark.parametrize("hosts", [["git"], ["git.example.com", "[10.0.0.1]:2222"]])
def test_known_hosts_may_be_encoded_or_joined_by_blanks(hosts: list[str]) -> None:
    text = scanned(*hosts)

    for arrival, arrive in ARRIVALS.items():
        if arrival != "with no line breaks":
            lines = read_known_hosts(arrive(text)).splitlines()
            assert lines == text.splitlines(), arrival


@pytest.mark.parametrize("hosts", [["git"], ["git.example.com", "[10.0.0.1]:2222"]])
def test_known_hosts_without_blanks_between_the_lines_are_reported(hosts: list[str]) -> None:
    with pytest.raises(ValueError, match="line breaks are lost; paste its base64"):
        read_known_hosts(scanned(*hosts).replace("\n", ""))


def test_comments_and_empty_lines_of_known_hosts_are_kept() -> None:
    text = f"# git.example.com:22 SSH-2.0-OpenSSH\n\n{scanned('git.example.com')}"

    assert read_known_hosts(text) == text.strip()
