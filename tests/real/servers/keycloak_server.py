"""A real Keycloak, started from a copy of a database that already contains the realm `master`."""

import hashlib
import json
import os
import re
import shutil
import time
import zipfile
from pathlib import Path
from typing import Self

import httpx

from tests.real.servers.cache import (
    Progress,
    cache_directory,
    only_one,
    quiet,
    temporary_sibling,
)
from tests.real.servers.processes import (
    ServerError,
    Servers,
    free_ports,
    retry_on_taken_port,
    run,
)

KEYCLOAK_VERSION = "26.7.3"
USERNAME = "admin"
PASSWORD = "admin"

# The variants that the tests use; they are prepared before the first test.
RELATIVE_PATHS = ("/", "/auth")
ROTATION = "client-secret-rotation"
"""The feature that allows two secrets of a client to overlap: a preview, disabled by default."""

_CHECKSUM = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{KEYCLOAK_VERSION}:zip"
_FETCH = [
    "mvn",
    "-B",
    "-q",
    "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy",
    f"-Dartifact={_ARTIFACT}",
    "-Dmdep.useBaseVersion=true",
]
_START = [
    "start",
    "--optimized",
    "--http-enabled=true",
    "--hostname-strict=false",
    # Without this, Keycloak searches the network for other servers.
    "--cache=local",
    "--http-host=127.0.0.1",
]
# Only the first compiler tier, because a test server is too short-lived for the second to pay off.
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1"
# Increase this when the contents of a prepared directory change but none of the values above does.
_LAYOUT = 1


def prepare(relative_path: str = "/", progress: Progress = quiet, features: str = "") -> Path:
    """Fetch, build and start Keycloak once, unless cached; return the prepared directory.

    `features` are features that are disabled by default.
    """
    path = _normal(relative_path)
    prepared = _prepared_directory(path, features)
    if prepared.exists():
        return prepared
    distribution = _distribution(progress)
    with only_one("keycloak"), temporary_sibling(prepared) as temporary:
        if prepared.exists():  # another process created it while this one waited
            return prepared
        started = time.monotonic()
        where = "" if path == "/" else f" under {path}"
        progress(f"Preparing Keycloak {KEYCLOAK_VERSION}{where} (once; about a minute) ...")
        home = temporary / "home"
        # Links use no disk space. Files that the build rewrites must be copies, because the links
        # share the originals.
        shutil.copytree(distribution, home, copy_function=_link_or_copy)
        shutil.rmtree(home / "lib" / "quarkus")
        shutil.copytree(distribution / "lib" / "quarkus", home / "lib" / "quarkus")
        build = ["build", "--db=dev-file", f"--http-relative-path={path}"]
        run(
            "Building Keycloak",
            [str(home / "bin" / "kc.sh"), *build, *([f"--features={features}"] * bool(features))],
            directory=home,
            environment=_environment(),
            timeout=900,
            progress=progress,
        )
        retry_on_taken_port(lambda: _first_start(home, path))
        home.rename(prepared)
        progress(f"Prepared Keycloak in {time.monotonic() - started:.0f} seconds.")
    return prepared


class RealKeycloak:
    """A Keycloak that runs from its construction until `stop`, with an administrator in `master`.

    `url` ends with the relative path, if any, and never with a slash. Use it unchanged, because
    Keycloak derives the issuer of a token from the host name of the request.
    """

    username = USERNAME
    password = PASSWORD

    def __init__(
        self, relative_path: str = "/", progress: Progress = quiet, features: str = ""
    ) -> None:
        self._path = _normal(relative_path)
        prepared = prepare(self._path, progress, features)
        self._servers = retry_on_taken_port(lambda: self._start(prepared))

    def stop(self) -> None:
        """Stop the server and remove its data; a second call does nothing."""
        self._servers.stop()

    def check(self) -> None:
        """Raise ServerError with the last lines of the log if the server has exited."""
        self._servers.check()

    def memory(self) -> dict[str, int]:
        """Return the resident memory in MiB."""
        return self._servers.memory()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, prepared: Path) -> Servers:
        servers = Servers("keycloak")
        try:
            home = servers.directory / "home"
            home.mkdir()
            for entry in prepared.iterdir():
                # `lib` is large and read-only. Everything else is copied: the start script uses
                # its own directory as the home, and the data belongs to this server alone.
                if entry.name == "lib":
                    (home / entry.name).symlink_to(entry)
                elif entry.is_dir():
                    shutil.copytree(entry, home / entry.name)
                else:
                    shutil.copy2(entry, home / entry.name)
            self.url = _start(servers, home, self._path, {})
        except BaseException:
            servers.stop()
            raise
        return servers


def _start(servers: Servers, home: Path, path: str, variables: dict[str, str]) -> str:
    [port] = free_ports(1)
    servers.start(
        "keycloak",
        [str(home / "bin" / "kc.sh"), *_START, f"--http-port={port}"],
        _environment() | variables,
    )
    url = f"http://127.0.0.1:{port}{path.rstrip('/')}"
    # The user's proxy must not be used for a server on the same machine.
    with httpx.Client(trust_env=False, timeout=10) as client:

        def ready() -> bool:
            try:
                answer = client.get(f"{url}/realms/master/.well-known/openid-configuration")
            except httpx.TransportError:
                return False
            return answer.status_code == 200

        servers.wait_until("Keycloak answers", ready, timeout=180, interval=0.2)
    return url


def _first_start(home: Path, path: str) -> None:
    """Start and stop Keycloak once, which creates the database with the realm `master`."""
    shutil.rmtree(home / "data", ignore_errors=True)
    with Servers("keycloak-first") as servers:
        administrator = {
            "KC_BOOTSTRAP_ADMIN_USERNAME": USERNAME,
            "KC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD,
        }
        _start(servers, home, path, administrator)
        servers.terminate("keycloak", timeout=60)
    if not (home / "data" / "h2").is_dir():
        raise ServerError("Keycloak's first start left no database.")


def _normal(relative_path: str) -> str:
    """Return the path with a leading slash and, except for the root, without a trailing slash."""
    return "/" + relative_path.strip("/")


def _prepared_directory(path: str, features: str) -> Path:
    parts = [
        _LAYOUT,
        _CHECKSUM,
        _ARTIFACT,
        _START,
        _JAVA_OPTIONS,
        path,
        *([features] * bool(features)),
    ]
    key = json.dumps(parts)
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return cache_directory() / f"keycloak-{KEYCLOAK_VERSION}-{digest}"


def _distribution(progress: Progress) -> Path:
    """Return the directory of the distribution, fetched through Maven unless cached."""
    target = cache_directory() / f"keycloak-{KEYCLOAK_VERSION}-{_CHECKSUM[:16]}-unpacked"
    if target.exists():
        return target
    with only_one("keycloak-distribution"), temporary_sibling(target) as temporary:
        if target.exists():
            return target
        started = time.monotonic()
        progress(f"Fetching Keycloak {KEYCLOAK_VERSION} (once; 177 MB) ...")
        run(
            "Fetching Keycloak",
            [*_FETCH, f"-DoutputDirectory={temporary}"],
            directory=temporary,
            timeout=1800,
            progress=progress,
        )
        [archive] = temporary.glob("*.zip")
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != _CHECKSUM:
            raise ServerError(f"{_ARTIFACT} is not what it was: its SHA-256 is {found}")
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(temporary)
        [unpacked] = (each for each in temporary.iterdir() if each.is_dir())
        for script in (unpacked / "bin").glob("*.sh"):
            script.chmod(0o755)  # zipfile does not restore permissions
        unpacked.rename(target)
        progress(f"Fetched Keycloak in {time.monotonic() - started:.0f} seconds.")
    return target


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _environment() -> dict[str, str]:
    """Return an environment without the user's variables that configure Keycloak."""
    # Keycloak also reads every option from a variable KC_..., and Quarkus from QUARKUS_....
    theirs = re.compile("KC_|QUARKUS_|JAVA_OPTS|JAVA_ADD_OPENS|JAVA_TOOL_OPTIONS|JDK_JAVA|DEBUG")
    inherited = {name: value for name, value in os.environ.items() if not theirs.match(name)}
    return inherited | {"JAVA_OPTS_APPEND": _JAVA_OPTIONS}
