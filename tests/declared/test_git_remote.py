"""Connections to Git servers: errors become clear messages, and credentials are never exposed."""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import paramiko
import pytest
from pydantic import SecretStr, ValidationError

from tenantry.declared import Team, remote
from tenantry.declared.git import load_commit
from tenantry.declared.repository import Repository
from tenantry.declared.saving import save_team
from tenantry.errors import SystemRefused, SystemUnavailable, TenantryError
from tests.support.git_server import (
    TOKEN,
    USERNAME,
    BareRepository,
    HttpServer,
    SshServer,
    files_with,
    push_team,
)

pytestmark = pytest.mark.demand(
    "robust", "a real bare Git repository: load at a commit, push, lost races, conflicts"
)

SHOP = Team(name="shop")


def private(key: paramiko.PKey) -> str:
    text = StringIO()
    key.write_private_key(text)
    return text.getvalue()


KEY = private(paramiko.ECDSAKey.generate())


@pytest.fixture
def bare(tmp_path: Path) -> BareRepository:
    return BareRepository(tmp_path / "git")


@pytest.fixture
def server(bare: BareRepository, no_waiting: None) -> Iterator[HttpServer]:
    with HttpServer(bare.path.parent) as server:
        yield server


def by_http(server: HttpServer, **more: Any) -> Repository:
    given = {"url": f"{server.url}/tenants.git", "username": USERNAME, "token": SecretStr(TOKEN)}
    return Repository.model_validate(given | more)


# HTTP: what will not pass


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"token": SecretStr("wrong")},
            "answered 401: the user name or the token is wrong. Correct both in the Declared State block",
        ),
        (
            {"token": None},
            "answered 401: it requires credentials. Add a token to the Declared State block",
        ),
    ],
)
def test_refused_credentials_are_told(given: Any, said: str, server: HttpServer) -> None:
    with pytest.raises(SystemRefused) as refused:
        load_commit(by_http(server, **given))

    assert str(refused.value).startswith(f"Git: fetch from {server.url}/tenants.git {said}")
    assert len(server.requests) == 1, "a refusal is not asked for again"


def test_a_token_without_push_rights_shows_the_message_of_the_server(
    bare: BareRepository, server: HttpServer
) -> None:
    server.may_push = False

    with pytest.raises(SystemRefused) as refused:
        push_team(by_http(server), SHOP)

    assert str(refused.value) == (
        f"Git: push to {server.url}/tenants.git answered 403: the token does not permit it (You are "
        "not allowed to push code to this project.). Grant the token read and write access to "
        "the repository's contents."
    )
    assert bare.head == bare.first


def test_a_missing_repository_is_reported(server: HttpServer, tmp_path: Path) -> None:
    with pytest.raises(SystemRefused, match=r"answered 404: no Git repository exists"):
        load_commit(by_http(server, url=f"{server.url}/nowhere.git"))
    with pytest.raises(
        SystemRefused, match=r"no Git repository exists there\. Correct the address"
    ):
        load_commit(Repository(url=f"file://{tmp_path}/nowhere.git"))


def test_a_page_that_is_not_a_git_server_is_reported(server: HttpServer) -> None:
    server.before = lambda request: (200, {"Content-Type": "text/html; charset=utf-8"}, "<html>")

    with pytest.raises(SystemRefused, match="it answered with text/html, which is not Git's"):
        load_commit(by_http(server))


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_a_push_that_a_hook_rejects_shows_the_message_of_the_hook(
    hook: str, bare: BareRepository, server: HttpServer
) -> None:
    bare.hook(hook, "echo 'GitLab: main is a protected branch.' >&2; exit 1")

    with pytest.raises(SystemRefused) as refused:
        push_team(by_http(server), SHOP)

    said = str(refused.value)
    assert "branch 'main' was not updated: " in said
    assert "hook declined: GitLab: main is a protected branch." in said
    assert "Nothing was pushed. Allow the block's account to push to this branch" in said
    assert bare.head == bare.first


def test_hooks_are_not_passed_by_over_file(bare: BareRepository) -> None:
    bare.hook("pre-receive", "exit 0")

    with pytest.raises(SystemRefused, match=r"it has hooks \(pre-receive\), which do not run over"):
        push_team(Repository(url=bare.url), SHOP)
    assert bare.head == bare.first


def test_a_working_tree_is_not_pushed_to(bare: BareRepository) -> None:
    with pytest.raises(SystemRefused, match="it has a working tree, which a push would not"):
        push_team(Repository(url=bare.clone.as_uri()), SHOP)


# HTTP: what may pass


def test_what_may_pass_is_asked_for_again(bare: BareRepository, server: HttpServer) -> None:
    answers = iter([503, (429, {"Retry-After": "0"}, ""), 500])
    server.before = lambda request: next(answers, None)

    push_team(by_http(server), SHOP)

    assert "shop" in load_commit(by_http(server)).teams


def test_a_server_that_stays_down_is_reported_after_four_attempts(server: HttpServer) -> None:
    server.before = lambda request: (502, {"Content-Type": "text/plain"}, "upstream is away")

    with pytest.raises(SystemUnavailable, match=r"answered 502: upstream is away$"):
        load_commit(by_http(server))
    assert len(server.requests) == 4


def test_a_push_is_not_repeated_by_itself(bare: BareRepository, server: HttpServer) -> None:
    """The task retries and observes first, because only the answer may have been lost."""
    server.before = lambda request: 502 if request.startswith("POST /tenants.git/git-rec") else None

    with pytest.raises(SystemUnavailable):
        push_team(by_http(server), SHOP)
    assert sum("POST /tenants.git/git-receive-pack" in each for each in server.requests) == 1


def test_a_lost_answer_to_a_push_is_settled_by_the_next_try(
    bare: BareRepository, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = remote.Remote.push

    def lose_the_answer(self: Any, *args: Any) -> None:
        ours(self, *args)
        raise SystemUnavailable("git", "push", "no answer")

    with monkeypatch.context() as patch:
        patch.setattr(remote.Remote, "push", lose_the_answer)
        with pytest.raises(SystemUnavailable):
            push_team(by_http(server), SHOP)
    push_team(by_http(server), SHOP)

    assert len(bare.log) == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x.git", "ssh://127.0.0.1:9/x.git"])
def test_an_unreachable_address_is_reported(url: str, no_waiting: None, ssh_key: str) -> None:
    more: Any = {}
    if url.startswith("ssh"):
        key = paramiko.RSAKey.generate(2048).get_base64()
        more = {"ssh_key": SecretStr(ssh_key), "known_hosts": f"127.0.0.1 ssh-rsa {key}"}
    with pytest.raises(SystemUnavailable, match=rf"^Git: fetch from {url}: no answer \(\w+\)$"):
        load_commit(Repository(url=url, **more))


@pytest.mark.parametrize("scheme", ["http", "ssh"])
def test_a_server_that_never_answers_times_out(
    scheme: str, no_waiting: None, ssh_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenantry.declared.remote.TIMEOUT", 0.2)
    monkeypatch.setattr("tenantry.declared.ssh.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        key = paramiko.RSAKey.generate(2048).get_base64()
        more: Any = {"ssh_key": SecretStr(ssh_key), "known_hosts": f"x ssh-rsa {key}"}
        url = f"{scheme}://127.0.0.1:{port}/x.git"
        with pytest.raises(SystemUnavailable, match="no answer"):
            load_commit(Repository(url=url, **(more if scheme == "ssh" else {})))


@pytest.mark.parametrize("body", [b"", b"0000", b"zzzz", b"001e# service=git-upload-pack\n0000"])
def test_a_malformed_answer_is_reported(body: bytes, server: HttpServer) -> None:
    kind = {"Content-Type": "application/x-git-upload-pack-advertisement"}
    server.before = lambda request: (200, kind, body.decode())

    with pytest.raises(TenantryError, match=f"^Git: fetch from {server.url}/tenants.git: "):
        load_commit(by_http(server))


def test_a_redirect_elsewhere_does_not_get_the_token(
    bare: BareRepository, server: HttpServer, tmp_path: Path
) -> None:
    seen: list[str] = []
    with HttpServer(bare.path.parent) as elsewhere:
        elsewhere.before = lambda request: seen.append(request)
        server.before = lambda request: (
            301,
            {"Location": elsewhere.url + request.split(" ")[1]},
            "",
        )
        with pytest.raises(SystemRefused, match="answered 401"):
            load_commit(by_http(server))
    assert seen, "it asked there, and was refused without the token"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a self-signed certificate with its key in one file."""
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name]
    subprocess.run([*make, "-keyout", file, "-out", f"{file}.crt"], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_private_ca_is_trusted_by_its_file(
    bare: BareRepository, certificate: Path, no_waiting: None
) -> None:
    with HttpServer(bare.path.parent, certificate) as server:
        push_team(by_http(server, verify=f"{certificate}.crt"), SHOP)
        assert "shop" in load_commit(by_http(server, verify=False)).teams
        with pytest.raises(SystemRefused, match=r"its certificate is not trusted .* 'verify'"):
            load_commit(by_http(server))


# SSH


@pytest.fixture(scope="module")
def user_key() -> paramiko.RSAKey:
    return paramiko.RSAKey.generate(2048)


@pytest.fixture(scope="module")
def ssh_key(user_key: paramiko.RSAKey) -> str:
    return private(user_key)


@pytest.fixture
def ssh(bare: BareRepository, user_key: paramiko.RSAKey, no_waiting: None) -> Iterator[SshServer]:
    with SshServer(bare.path.parent, user_key) as server:
        yield server


def by_ssh(server: SshServer, key: str, **more: Any) -> Repository:
    url = f"{server.address}/tenants.git"
    given = {"url": url, "ssh_key": SecretStr(key), "known_hosts": server.known_hosts}
    return Repository.model_validate(given | more)


def test_a_team_is_read_and_pushed_over_ssh(
    bare: BareRepository, ssh: SshServer, ssh_key: str
) -> None:
    push_team(by_ssh(ssh, ssh_key), SHOP)

    assert bare.log[0].endswith("Declare team shop")
    assert "shop" not in load_commit(by_ssh(ssh, ssh_key), bare.first).teams
    assert set(ssh.commands) == {
        "git-upload-pack '/tenants.git'",
        "git-receive-pack '/tenants.git'",
    }


def test_a_key_as_ssh_keygen_makes_it_is_taken(bare: BareRepository, tmp_path: Path) -> None:
    file = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", str(file)], check=True)

    with SshServer(bare.path.parent, paramiko.Ed25519Key.from_private_key_file(str(file))) as ssh:
        assert load_commit(by_ssh(ssh, file.read_text())).teams == {}


def test_a_rejected_key_is_reported(ssh: SshServer) -> None:
    with pytest.raises(SystemRefused, match="rejects this SSH key for user 'git'"):
        load_commit(by_ssh(ssh, private(paramiko.RSAKey.generate(2048))))


def test_a_server_with_another_key_is_not_talked_to(ssh: SshServer, ssh_key: str) -> None:
    other = paramiko.RSAKey.generate(2048).get_base64()
    host = ssh.known_hosts.split()[0]

    for known_hosts in (f"{host} ssh-rsa {other}", f"example.com ssh-rsa {other}"):
        with pytest.raises(SystemRefused, match="the server's host key is not in known_hosts"):
            load_commit(by_ssh(ssh, ssh_key, known_hosts=known_hosts))
    assert ssh.commands == []


def test_the_message_of_the_ssh_server_is_shown(ssh: SshServer, ssh_key: str) -> None:
    with pytest.raises(SystemRefused, match="Repository not found"):
        load_commit(by_ssh(ssh, ssh_key, url=f"{ssh.address}/nowhere.git"))


# Secrets


def test_the_token_is_in_no_message_log_file_argument_or_address(
    bare: BareRepository,
    server: HttpServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if a hook prints it. No program is started that could receive it."""
    caplog.set_level(logging.DEBUG)
    room = tmp_path / "home"
    room.mkdir()
    monkeypatch.setenv("HOME", str(room))
    monkeypatch.setenv("TMPDIR", str(room))
    seen: list[Path] = []

    def save_and_look(folder: Path, content: dict[str, Any], current: Any) -> Path:
        seen.extend(files_with(TOKEN, folder))
        return save_team(folder, content, current)

    monkeypatch.setattr("tenantry.declared.git.save_team", save_and_look)
    push_team(by_http(server), SHOP)
    caplog.set_level(logging.INFO)  # on DEBUG the libraries show what the server says next
    bare.hook("pre-receive", f"echo '{TOKEN}' >&2; exit 1")
    with pytest.raises(SystemRefused) as refused:
        push_team(by_http(server), Team(name="other"))
    server.before = lambda request: (502, {"Content-Type": "text/plain"}, f"no {TOKEN}")
    with pytest.raises(SystemUnavailable) as unavailable:
        load_commit(by_http(server))

    (bare.path / "hooks" / "pre-receive").unlink()
    assert list(files_with(TOKEN, room, bare.path)) == seen == []
    for error in (refused.value, unavailable.value):
        assert TOKEN not in f"{error!r}{error.__cause__!r}"
        assert "(hidden)" in str(error)
        assert error.__suppress_context__ or error.__context__ is None
    assert TOKEN not in caplog.text
    assert TOKEN not in " ".join(server.requests)
    assert TOKEN not in repr(by_http(server)) + by_http(server).model_dump_json()


def test_no_program_is_started(
    bare: BareRepository, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git need not be installed, as in containers; the test server uses its own path."""
    script = (
        "import sys; from tests.declared.test_git_remote import *\n"
        "sys.addaudithook(lambda event, _: event in ('subprocess.Popen', 'os.exec', 'os.system')"
        " and sys.exit(f'started: {event}'))\n"
        f"from types import SimpleNamespace as S; server = S(url={server.url!r})\n"
        "push_team(by_http(server), SHOP); print(list(load_commit(by_http(server)).teams))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PATH": ""},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "['shop']\n", done


def test_the_machines_own_git_configuration_is_not_read(
    bare: BareRepository, server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text(
        f'[url "http://127.0.0.1:9/"]\n insteadOf = {server.url}/\n'
        "[user]\n name = Somebody\n email = some@body\n[http]\n sslVerify = false\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))

    push_team(by_http(server), SHOP)

    assert bare.log[0].startswith("Tenantry <tenantry@localhost>")


def test_no_thread_is_left(bare: BareRepository, ssh: SshServer, ssh_key: str) -> None:
    load_commit(by_ssh(ssh, ssh_key))
    for thread in threading.enumerate():
        if isinstance(thread, paramiko.Transport) and not thread.server_mode:
            thread.join(10)
            assert not thread.is_alive()


# What the block's fields may be


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "git.example.com/x.git"}, "begins with https://, ssh:// or file://"),
        ({"url": "/srv/tenants.git"}, "begins with https://, ssh:// or file://"),
        ({"url": "ext::sh -c id"}, "begins with https://, ssh:// or file://"),
        ({"url": "git://example.com/x.git"}, "begins with https://, ssh:// or file://"),
        ({"url": "https://bot:hush@example.com/x.git"}, "must not contain a password"),
        ({"url": "https://hush@example.com/x"}, "must not contain a user name or password"),
        ({"url": "https://example.com"}, "names no repository"),
        ({"url": "https://[example.com/x"}, "begins with https://"),
        ({"branch": "refs/heads/main"}, "is not the name of a branch"),
        ({"branch": "a..b"}, "is not the name of a branch"),
        ({"branch": ""}, "is not the name of a branch"),
        ({"path": "/tenants"}, "must be a folder inside the repository"),
        ({"path": "a/../../b"}, "must be a folder inside the repository"),
        ({"verify": "/nowhere.crt"}, "no CA bundle exists at '/nowhere.crt'"),
        ({"author": "Bot"}, "must be a name and an address"),
        ({"author": "Bot <a@b>\nx"}, "must be a name and an address"),
        ({"ssh_key": KEY}, "an SSH key is for ssh://"),
        ({"url": "file:///x", "token": "x"}, "file:// uses no credentials"),
        ({"url": "git@example.com:x.git"}, "SSH needs both an SSH key and the server's known_host"),
        ({"known_hosts": "example.com ssh-rsa"}, "line 1 is not a host's public key"),
        ({"known_hosts": "# x\n\nexample.com ssh-rsa A@"}, "line 3 is not a host's public key"),
    ],
)
def test_a_faulty_field_is_reported(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as faulty:
        Repository.model_validate({"url": "https://example.com/x.git", **given})

    (error,) = faulty.value.errors(include_input=False)
    assert said in error["msg"]
    assert "hush" not in error["msg"]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://example.com:8443/a/b.git", ("https", "example.com", 8443, None, "/a/b.git")),
        ("ssh://me@example.com:2222/a.git", ("ssh", "example.com", 2222, "me", "/a.git")),
        ("ssh://example.com/a.git", ("ssh", "example.com", None, "git", "/a.git")),
        ("git@example.com:team/a.git", ("ssh", "example.com", None, "git", "team/a.git")),
        ("example.com:team/a.git", ("ssh", "example.com", None, "git", "team/a.git")),
        ("file:///srv/a%20b.git", ("file", "", None, None, "/srv/a b.git")),
    ],
)
def test_an_address_is_parsed(url: str, place: tuple[Any, ...]) -> None:
    found = Repository.model_construct(url=url).address

    assert (found.scheme, found.host, found.port, found.username, found.path) == place
