"""Reads SSH keys that were pasted into a form or a secret store."""

import re
import textwrap
from io import StringIO

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko.hostkeys import HostKeyEntry

from tenantry.pasted import decode_base64

ADVICE = (
    "Paste a private key without a passphrase, as created by ssh-keygen -t ed25519 -N '', or its "
    "base64: base64 -w0 FILE"
)

_Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_KINDS: tuple[tuple[type[_Key], type[paramiko.PKey]], ...] = (
    (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
    (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
    (rsa.RSAPrivateKey, paramiko.RSAKey),
)
_KEY = re.compile(r"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----(.*?)-----END \1-----", re.DOTALL)
_HOST = re.compile(r"((?:@[\w-]+\s+)?\S+)\s+((?:ssh|ecdsa|sk)-\S+)\s+([A-Za-z0-9+/]+=*)(?=\s|$)")


def read_private_key(text: str) -> paramiko.PKey:
    """Return the private key in `text`, which may be base64 or have lost its line breaks.

    Raises:
        ValueError: `text` contains no usable key. The message gives the reason, and never quotes
            the text.
    """
    given = decode_base64(text)
    found = _KEY.search(given)
    if found is None:
        raise ValueError(_what_is_wrong(given))
    kind, body = found.groups()
    if "ENCRYPTED" in kind or "Proc-Type" in body:
        raise ValueError("is protected by a passphrase")
    # A one-line form field turns line breaks into blanks or drops them: neither is base64.
    lines = "\n".join(textwrap.wrap("".join(body.split()), 64))
    pem = f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n".encode()
    load = (
        serialization.load_ssh_private_key
        if kind.startswith("OPENSSH")
        else serialization.load_pem_private_key
    )
    try:
        key = load(pem, password=None)
        for loaded, accepted in _KINDS:
            if isinstance(key, loaded):
                found_key: paramiko.PKey = accepted.from_private_key(
                    StringIO(_in_openssh_format(key))
                )
                return found_key
    except TypeError:  # "Password was not given but private key is encrypted"
        raise ValueError("is protected by a passphrase") from None
    except (ValueError, UnsupportedAlgorithm, paramiko.SSHException):
        raise ValueError("is damaged, or not an Ed25519, ECDSA or RSA key") from None
    raise ValueError("is not an Ed25519, ECDSA or RSA key")


def _in_openssh_format(key: _Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()


def _what_is_wrong(given: str) -> str:
    if re.match(r"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----", given):
        return "is cut off: its last line, -----END … PRIVATE KEY-----, is missing"
    if given.startswith("PuTTY-User-Key-File"):
        return "is in PuTTY's format; puttygen FILE -O private-openssh converts it"
    if given.startswith(("ssh-", "ecdsa-", "sk-")):
        return "is a public key; the private key is in the file without .pub"
    return "is not a private key"


def read_known_hosts(text: str) -> str:
    """Return the lines of `known_hosts` in `text`, which may be base64 or joined by blanks.

    Raises:
        ValueError: a line is not a host's public key.
    """
    given = decode_base64(text)
    if "\n" not in given and not given.startswith("#"):
        entries = list(_HOST.finditer(given))
        if len(entries) > 1 and all(_is_host_key(entry[0]) for entry in entries):
            return "\n".join(entry[0] for entry in entries) + "\n"
    lines = [line.strip() for line in given.splitlines()]
    for number, line in enumerate(lines, start=1):
        if line and not line.startswith("#") and not _is_host_key(line):
            more = ""
            if len(lines) == 1 and len(re.findall(r"\b(?:ssh|ecdsa)-", line)) > 1:
                more = ". The line breaks are lost; paste its base64: base64 -w0 FILE"
            raise ValueError(
                f"line {number} is not a host's public key in the format of ssh-keyscan{more}"
            )
    return "\n".join(lines)


def _is_host_key(line: str) -> bool:
    try:
        entry = HostKeyEntry.from_line(line)
    except Exception:  # noqa: BLE001 paramiko reports a broken key in many ways
        return False
    # paramiko ignores text after the key, such as the next line's host if the line break is lost.
    return entry is not None and entry.key is not None and entry.key.get_base64() in line.split()
