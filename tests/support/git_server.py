"""Real bare repositories, served as by a Git host: over HTTP with a login, and over SSH."""

import base64
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paramiko

from tenantry.declared import Declaration, Team
from tenantry.declared.git import propose_commit, push_proposal
from tenantry.declared.repository import Repository

USERNAME = "tenantry-bot"
TOKEN = "glpat-Zx9/Gq+7=tok"
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.com"))
}


def git(folder: Path, *words: str) -> str:
    """Run git as Ann, without the machine's own configuration, and return its output."""
    env = os.environ | AUTHOR | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def push_team(repository: Repository, team: Team, dry_run: bool = False) -> Declaration:
    """Declare a team as a run does: propose a commit, then push it."""
    proposal = propose_commit(repository, team)
    return proposal.declaration if dry_run else push_proposal(repository, proposal)


class BareRepository:
    """A bare repository, and a person's clone of it."""

    def __init__(self, folder: Path, files: Mapping[str, str | None] | None = None) -> None:
        self.path = folder / "tenants.git"
        self.clone = folder / "clone"
        self.path.mkdir(parents=True)
        git(self.path, "init", "--quiet", "--bare", "--initial-branch=main")
        git(folder, "clone", "--quiet", str(self.path), str(self.clone))
        if files is None:
            files = {"platform.yaml": "name: test\n"}
        if files:
            self.first = self.commit(files)

    @property
    def url(self) -> str:
        return self.path.as_uri()

    def commit(self, files: Mapping[str, str | None], message: str = "By hand") -> str:
        """Push a commit with these contents of files (None deletes a file), and return its hash."""
        for name, text in files.items():
            path = self.clone / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "--message", message)
        git(self.clone, "push", "--quiet", "--force", "origin", "HEAD")
        return git(self.clone, "rev-parse", "HEAD")

    def pull(self) -> None:
        """Update the clone to the head of the branch."""
        git(self.clone, "fetch", "--quiet")
        git(self.clone, "reset", "--quiet", "--hard", "origin/main")

    def hook(self, name: str, script: str) -> None:
        """Install a hook on the server."""
        path = self.path / "hooks" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    @property
    def head(self) -> str:
        return git(self.path, "rev-parse", "main")

    @property
    def log(self) -> list[str]:
        """The author and the subject of each commit, the newest first."""
        return git(self.path, "log", "--format=%an <%ae>: %s", "main").splitlines()

    def show(self, file: str) -> str:
        return git(self.path, "show", f"main:{file}") + "\n"


class HttpServer:
    """A folder of bare repositories over HTTP, or HTTPS, by git's own http-backend.

    Attributes:
        requests: The method and the path of each request.
        before: Called before each request with method and path. It may return an answer: a status,
            or a status, headers and a body.
        may_push: Whether the token has the right to push; 403 if not.
    """

    def __init__(self, root: Path, certificate: Path | None = None) -> None:
        self.root = root
        self.requests: list[str] = []
        self.before: Callable[[str], Any] = lambda request: None
        self.may_push = True
        handler = type("Handler", (_Handler,), {"of": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    of: HttpServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.of.requests.append(f"{self.command} {self.path}")
        if answer := self.of.before(f"{self.command} {self.path}"):
            status, headers, text = answer if isinstance(answer, tuple) else (answer, {}, "")
            return self._answer(status, headers, text.encode())
        wanted = base64.b64encode(f"{USERNAME}:{TOKEN}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {wanted}":
            return self._answer(401, {"WWW-Authenticate": 'Basic realm="Git"'}, b"")
        if "git-receive-pack" in self.path and not self.of.may_push:
            text = b"You are not allowed to push code to this project."
            return self._answer(403, {"Content-Type": "text/plain"}, text)
        return self._backend(path, query, body)

    def _backend(self, path: str, query: str, body: bytes) -> None:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.of.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": USERNAME,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=env, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        status = int(headers.pop("Status", "200").split()[0])
        self._answer(status, headers, content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(body)


class SshServer:
    """A folder of bare repositories over SSH, for one user and one key."""

    def __init__(self, root: Path, user_key: paramiko.PKey) -> None:
        self.root = root
        self.user_key = user_key
        self.host_key = paramiko.RSAKey.generate(2048)
        self.commands: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        port = self._socket.getsockname()[1]
        self.address = f"ssh://git@127.0.0.1:{port}"
        self.known_hosts = f"[127.0.0.1]:{port} ssh-rsa {self.host_key.get_base64()}\n"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(Exception), paramiko.Transport(connection) as transport:
            transport.add_server_key(self.host_key)
            transport.start_server(server=_SshSession(self))
            transport.join()


class _SshSession(paramiko.ServerInterface):
    def __init__(self, server: SshServer) -> None:
        self.server = server

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username == "git" and key == self.server.user_key
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.server.commands.append(command.decode())
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        service, _, path = command.replace("'", "").partition(" ")
        folder = self.server.root / path.lstrip("/")
        if not folder.exists():
            channel.sendall_stderr(b"ERROR: Repository not found.\n")
            channel.send_exit_status(128)
            channel.close()
            return
        process: Any = subprocess.Popen(
            [service, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        threading.Thread(target=self._feed, args=(channel, process), daemon=True).start()
        while data := process.stdout.read1(65536):
            channel.sendall(data)
        channel.send_exit_status(process.wait())
        channel.close()

    @staticmethod
    def _feed(channel: paramiko.Channel, process: Any) -> None:
        with suppress(OSError), process.stdin:
            while data := channel.recv(65536):
                process.stdin.write(data)
                process.stdin.flush()


def files_with(secret: str, *folders: Path) -> Iterator[Path]:
    """Return the files under these folders that contain a secret, plain or in base64."""
    wanted = [secret.encode(), base64.b64encode(secret.encode())]
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(OSError):
                if path.is_file() and any(each in path.read_bytes() for each in wanted):
                    yield path
