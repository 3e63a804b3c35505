"""Files and logs: no keys in them, readable by their owner only, never partly written."""

import base64
import json
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import paramiko
import pytest
from prefect.filesystems import LocalFileSystem

from demo.processes import ROOT
from tasks.store import BlockStore
from tenantry.commands.reports import write as write_report
from tenantry.confidential import hide_wire_logs
from tenantry.declared import writing
from tenantry.drift.history import History
from tenantry.errors import TenantryError
from tenantry.files import FolderStore
from tenantry.migration import journal, snapshot
from tenantry.migration.journal import Journal
from tenantry.migration.snapshot import Snapshot
from tenantry.rotation import RotationRequest
from tenantry.rotation.audit import Trail
from tenantry.sandbox.certificates import Authority
from tests.declared.test_git_remote import private
from tests.drift.watch import Watched
from tests.support.harness import SHOP, Bench, connections

pytestmark = pytest.mark.demand("isolation", "all of tests/isolation/test_files.py")

NOW = datetime(2026, 5, 1, tzinfo=UTC)

# Keys in the temporary directory

CALLS = """
import json, sys, time
from pydantic import SecretStr
from tenantry.connections import Cluster
from tenantry.declared import git
from tenantry.declared.repository import Repository
from tenantry.errors import TenantryError
from tenantry.systems.kubernetes.client import KubernetesClient

given = json.load(sys.stdin)
client = KubernetesClient(Cluster(**given["cluster"]))
print(client.version(), flush=True)
repository = Repository(
    url="ssh://git@127.0.0.1:9/tenants.git",
    ssh_key=SecretStr(given["ssh_key"]),
    known_hosts=given["known_hosts"],
)
try:
    git.load_commit(repository)
except TenantryError as error:
    print(str(error).splitlines()[0], flush=True)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def with_certificate(bench: Bench, tmp_path: Path) -> dict[str, Any]:
    """A kubeconfig of the sandbox with a client certificate and its key."""
    path = Path(bench.sandbox.addresses()["kubernetes"]["kubeconfig"])
    content: dict[str, Any] = json.loads(path.read_text())
    folder = tmp_path / "certificates"
    folder.mkdir()
    pair = Authority(folder).client("tenantry", group="platform")
    content["users"][0]["user"] |= {
        "client-certificate-data": base64.b64encode(pair.certificate.read_bytes()).decode(),
        "client-key-data": base64.b64encode(pair.key.read_bytes()).decode(),
    }
    return content


@pytest.mark.demand("isolation", "SIGKILL leaves no key in a temporary directory")
@pytest.mark.parametrize("way", ["content", "file", "plugin"])
def test_no_key_is_left_in_a_temporary_directory_after_sigkill(
    with_certificate: dict[str, Any], tmp_path: Path, way: str
) -> None:
    temporary, home = tmp_path / "temporary", tmp_path / "home"
    temporary.mkdir()
    home.mkdir()
    cluster: dict[str, Any] = {"kubeconfig_content": with_certificate}
    if way == "file":
        file = home / "kubeconfig"
        file.write_text(json.dumps(with_certificate))
        cluster = {"kubeconfig": str(file)}
    if way == "plugin":
        cluster = {"kubeconfig_content": by_plugin(with_certificate, tmp_path)}
    key = private(paramiko.ECDSAKey.generate())
    host = paramiko.ECDSAKey.generate()
    known_hosts = f"[127.0.0.1]:9 {host.get_name()} {host.get_base64()}"
    given = {"cluster": cluster, "ssh_key": key, "known_hosts": known_hosts}
    environment = {**os.environ, "TMPDIR": str(temporary), "HOME": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-c", CALLS],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(given))
    process.stdin.close()
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.strip() == "ready":
            break
    process.kill()
    process.wait()
    process.stdout.close()

    assert lines[-1:] == ["ready"], lines
    assert lines[0].startswith("v1."), "the certificate was used"
    assert list(temporary.rglob("*")) == []
    left = [path for path in home.rglob("*") if path.is_file() and path.name != "kubeconfig"]
    assert left == []


def by_plugin(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a kubeconfig whose plugin returns the certificate, as in clouds."""
    user = content["users"][0]["user"]
    credential = {
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "status": {
            name: base64.b64decode(user[f"client-{kind}-data"]).decode()
            for name, kind in (("clientCertificateData", "certificate"), ("clientKeyData", "key"))
        },
    }
    answer = folder / "credential.json"
    answer.write_text(json.dumps(credential))
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "cat",
        "args": [str(answer)],
        "interactiveMode": "Never",
    }
    # The sandbox also needs its token. A certificate does not replace it.
    server = content["clusters"][0]["cluster"]["server"]
    users = [{"name": content["users"][0]["name"], "user": {"exec": plugin}}]
    assert server.startswith("https://")
    return {**content, "users": users}


# Files


class StoredFile(NamedTuple):
    """A file that Tenantry writes.

    Attributes:
        name: a glob for the name of the file in the folder.
        write: writes it to a folder, with a larger content if `large`.
    """

    name: str
    write: Callable[[Path, bool], None]


def block_store(folder: Path) -> BlockStore:
    """Return a store as in a flow, with a block that is in no database."""
    store = BlockStore.__new__(BlockStore)
    store.name = "local-file-system/test"
    store._block = LocalFileSystem(basepath=str(folder))
    return store


def write_block(folder: Path, large: bool) -> None:
    block_store(folder).write("drift/report.json", b"x" * (200_000 if large else 10))


def write_history(folder: Path, large: bool) -> None:
    FolderStore(folder).write("episodes.csv", b"x" * (200_000 if large else 10))


def write_trail(folder: Path, large: bool) -> None:
    order = RotationRequest(NOW, reason="x" * (200_000 if large else 10))
    Trail(block_store(folder), "run", "ann", order, NOW)


def a_snapshot(large: bool) -> Snapshot:
    return Snapshot(
        id="one",
        made=NOW,
        situation="provider",
        realm="platform",
        issuer="https://sso.example.com/realms/platform",
        old="old",
        new="new",
        match="email",
        people=[],
        waves=["x" * (200_000 if large else 10)],
    )


def write_snapshot(folder: Path, large: bool) -> None:
    snapshot.save(block_store(folder), a_snapshot(large))


def write_journal(folder: Path, large: bool) -> None:
    entry = Journal(
        id="one",
        situation="provider",
        realm="platform",
        old="old",
        new="new",
        plan="x" * (200_000 if large else 10),
        phase="exported",
        began=NOW,
        waves=1,
        soak_hours=1,
        keep_days=1,
        number=1,
    )
    journal.write(block_store(folder), entry)


STORED_FILES = {
    "a report in a store": StoredFile("drift/report.json", write_block),
    "the history of drift": StoredFile("episodes.csv", write_history),
    "an audit trail": StoredFile("rotation-audit/*.jsonl", write_trail),
    "a snapshot": StoredFile("migration/one/snapshot.json", write_snapshot),
    "a journal": StoredFile("migration/journal-0.json", write_journal),
}


@pytest.fixture(params=STORED_FILES)
def kept(request: pytest.FixtureRequest) -> StoredFile:
    return STORED_FILES[request.param]


def the_file(folder: Path, kept: StoredFile) -> Path:
    (file,) = folder.glob(kept.name)
    return file


@pytest.mark.demand("isolation", "reports, audit and snapshots: mode 0600")
def test_a_file_is_for_its_owner_only(kept: StoredFile, tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        kept.write(tmp_path, False)
        file = the_file(tmp_path, kept)
        assert file.stat().st_mode & 0o777 == 0o600
        file.chmod(0o644)  # as an earlier version wrote it
        kept.write(tmp_path, False)
    finally:
        os.umask(previous)
    assert the_file(tmp_path, kept).stat().st_mode & 0o777 == 0o600


@contextmanager
def no_room(limit: int = 4096) -> Iterator[None]:
    """Limit the files of this process to so many bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.demand("isolation", "a full disk loses nothing")
def test_a_full_disk_loses_nothing_that_was_there(kept: StoredFile, tmp_path: Path) -> None:
    kept.write(tmp_path, False)
    file = the_file(tmp_path, kept)
    before = file.read_bytes()

    with no_room(), pytest.raises(TenantryError) as failed:
        kept.write(tmp_path, True)

    assert file.read_bytes() == before
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file], (
        "no partly written file remains"
    )
    assert "Cannot write" in str(failed.value)
    assert "xxxx" not in str(failed.value)


@pytest.mark.demand("isolation", "a full disk loses nothing")
def test_a_full_disk_does_not_harm_a_team_file(tmp_path: Path) -> None:
    team = tmp_path / "shop.yaml"
    writing.write({team: "name: shop\n"})

    with no_room(), pytest.raises(TenantryError, match="Nothing was changed"):
        writing.write({team: "# " + "x" * 200_000})

    assert team.read_text() == "name: shop\n"
    assert [path.name for path in tmp_path.iterdir()] == ["shop.yaml"]


@pytest.mark.parametrize("format", ["json", "html", "csv"])
def test_a_report_of_the_command_line_too(tmp_path: Path, bench: Bench, format: Any) -> None:
    with Watched(bench.sandbox, tmp_path / "state") as watched:
        watched.onboarded(SHOP)
        report = watched.report()
    output = tmp_path / "report"
    output.write_text("of before")
    output.chmod(0o644)

    with no_room(64), pytest.raises(TenantryError, match="cannot write the report"):
        write_report(report, History.empty(), format, output)
    assert output.read_text() == "of before"

    write_report(report, History.empty(), format, output)
    assert output.stat().st_mode & 0o777 == 0o600
    assert not output.read_text().startswith("of before")


def test_a_link_is_kept_and_a_device_is_written_to(tmp_path: Path, bench: Bench) -> None:
    with Watched(bench.sandbox, tmp_path / "state") as watched:
        watched.onboarded(SHOP)
        report = watched.report()
    link, target = tmp_path / "latest", tmp_path / "report"
    link.symlink_to(target)

    write_report(report, History.empty(), "json", link)
    write_report(report, History.empty(), "json", Path("/dev/null"))

    assert link.is_symlink()
    assert json.loads(target.read_text())
    assert Path("/dev/null").is_char_device()


# Logs


class Collected(logging.Handler):
    """A handler that collects all records that Prefect's handler would send."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.name}: {record.getMessage()}")


WIRE = ("httpcore", "httpx", "urllib3", "requests", "requests_oauthlib", "oauthlib", "kubernetes")


@pytest.mark.demand("isolation", "debug logs of HTTP libraries reach no handler")
def test_debug_logs_of_http_libraries_reach_no_handler(bench: Bench) -> None:
    """They contain Harbor's session and CSRF token. The operator has enabled all debug logs."""
    collected = Collected()
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in WIRE]
    loggers = [logging.getLogger(name) for name in {*WIRE, *names, ""}]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(collected)
    try:
        bench.declare(SHOP).onboard()
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
            logger.removeHandler(collected)

    wire = [text for text in collected.texts if text.split(".")[0].split(":")[0] in WIRE]
    assert [text for text in wire if not text.startswith("httpx: HTTP Request: ")] == []
    logged = "\n".join(collected.texts)
    sessions = bench.systems.harbor_client.transport._session
    assert sessions is not None
    account = connections(bench.sandbox).harbor
    for secret in (*sessions.cookies.values(), sessions.token, account.password.get_secret_value()):
        assert secret not in logged


def test_the_filter_is_added_once() -> None:
    hide_wire_logs()
    before = len(logging.getLogger("httpcore.http11").filters)
    hide_wire_logs()
    assert len(logging.getLogger("httpcore.http11").filters) == before == 1
