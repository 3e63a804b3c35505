"""Checks the prerequisites of the tests on real servers, and prepares those servers.

    python -m tests.real.servers.prerequisites            # only check
    python -m tests.real.servers.prerequisites prepare    # check, then fetch and build everything

If a prerequisite is missing, both print what to do and exit with code 1.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.real.servers.cache import Progress, cache_directory, quiet
from tests.real.servers.processes import ServerError

JAVA = 17
GO = (1, 26)
# The space for the binary, the modules, the compiler cache and Keycloak. The error of a build
# that runs out of disk space does not mention the disk.
GIB_FREE = 6


def missing(*, kubernetes: bool = True, keycloak: bool = True, skopeo: bool = True) -> list[str]:
    """Return one sentence for each missing prerequisite of the requested servers."""
    found: list[str | None] = []
    if os.name != "posix":
        return ["The test servers need Linux or macOS."]
    if kubernetes:
        found += [_go(), _kubectl()]
    if keycloak:
        java = _java()
        # Maven needs Java, so it can only be tried if Java is installed.
        found += [java, _maven(run=java is None)]
    if skopeo:
        found.append(_skopeo())
    return [each for each in found if each]


def check(*, kubernetes: bool = True, keycloak: bool = True, skopeo: bool = True) -> None:
    """Raise ServerError with all missing prerequisites, if there are any."""
    lacks = missing(kubernetes=kubernetes, keycloak=keycloak, skopeo=skopeo)
    if lacks:
        lines = "".join(f"  - {each}\n" for each in lacks)
        raise ServerError(f"The tests against real servers cannot run here:\n{lines}")


def prepare(
    *,
    kubernetes: bool = True,
    keycloak: bool = True,
    rotation: bool = True,
    mesh: bool = True,
    progress: Progress = quiet,
) -> None:
    """Fetch and build the servers that are not in the cache yet.

    `rotation` is the Keycloak in which two secrets of a client can overlap, and `mesh` is istioctl.
    """
    # Imported here, because the check must work in a Python without any packages.
    from tests.real.servers import apiserver, istioctl, keycloak_server

    check(kubernetes=kubernetes or mesh, keycloak=keycloak or rotation, skopeo=False)
    if keycloak:
        for path in keycloak_server.RELATIVE_PATHS:
            keycloak_server.prepare(path, progress)
    if rotation:
        keycloak_server.prepare(progress=progress, features=keycloak_server.ROTATION)
    if kubernetes:
        apiserver.prepare(progress)
    if mesh:
        istioctl.prepare(progress)


def main(arguments: Sequence[str]) -> int:
    """Run the command line, and return the exit code."""
    if list(arguments) not in ([], ["check"], ["prepare"]):
        print("usage: python -m tests.real.servers.prerequisites [check|prepare]", file=sys.stderr)
        return 2
    started = time.monotonic()
    try:
        check()
        if list(arguments) != ["prepare"]:
            print("Java, Maven, Go, kubectl and skopeo are there.")
            return 0
        _warn_of_full_disk()
        prepare(progress=lambda message: print(message, flush=True))
    except ServerError as error:
        print(str(error).rstrip(), file=sys.stderr)
        return 1
    except ImportError as error:
        print(
            f"The Python package {error.name} is missing: install the project with its group"
            " 'test' (make setup, or pip install --group test -e '.[sandbox]').",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("Interrupted; what is complete stays in the cache.", file=sys.stderr)
        return 130
    seconds = time.monotonic() - started
    print(f"The test servers are ready in {cache_directory()} ({seconds:.0f} seconds).")
    return 0


def _go() -> str | None:
    want = ".".join(map(str, GO))
    text = _output("go", "env", "GOVERSION")
    install = f"install Go {want} or later (the go.dev/dl page, or your system's package)"
    if text is None:
        return f"Go is missing: {install}."
    match = re.match(r"go(\d+)\.(\d+)", text.strip())
    if match is None or (int(match[1]), int(match[2])) < GO:
        return f"Go is too old ({text.strip() or 'it does not tell its version'}): {install}."
    return None


def _kubectl() -> str | None:
    if shutil.which("kubectl") is None:
        return (
            "kubectl is missing: it runs the commands of the documentation; install it"
            " (Debian and Ubuntu: apt-get install kubernetes-client; macOS: brew install kubectl)."
        )
    return None


def _java() -> str | None:
    # Keycloak's own script prefers JAVA_HOME, so this does too.
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else "java"
    text = _output(java, "-version")
    install = (
        f"install a Java runtime, version {JAVA} or later"
        " (Debian and Ubuntu: apt-get install openjdk-17-jdk-headless; macOS: brew install openjdk)"
    )
    if text is None:
        where = " (JAVA_HOME points to none)" if home else ""
        return f"Java is missing{where}: {install}."
    match = re.search(r'version "(\d+)', text)
    if match is None or int(match[1]) < JAVA:
        found = text.splitlines()[0] if text else "it does not tell its version"
        return f"Java is too old ({found}): {install}."
    return None


def _maven(*, run: bool) -> str | None:
    if shutil.which("mvn") is None:
        return (
            "Maven is missing: it fetches Keycloak; install it (Debian and Ubuntu:"
            " apt-get install maven; macOS: brew install maven)."
        )
    if run and _output("mvn", "--version") is None:
        return "Maven does not run: see what mvn --version says."
    return None


def _skopeo() -> str | None:
    if _output("skopeo", "--version") is None:
        return (
            "skopeo is missing: it pushes to and pulls from the sandbox's registry; install it"
            " (Debian and Ubuntu: apt-get install skopeo; macOS: brew install skopeo)."
        )
    return None


def _output(*command: str) -> str | None:
    """Return the output of a version command, or None if it cannot be run."""
    if shutil.which(command[0]) is None:
        return None
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr if done.returncode == 0 else None


def _warn_of_full_disk() -> None:
    free = shutil.disk_usage(cache_directory()).free / 2**30
    if free < GIB_FREE:
        print(
            f"Only {free:.1f} GiB are free on the disk of the cache; a first build needs about"
            f" {GIB_FREE}.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
