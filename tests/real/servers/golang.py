"""Programs that are built once from Go modules, and cached with the test servers."""

import hashlib
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from tests.real.servers.cache import Progress, cache_directory, only_one, temporary_sibling
from tests.real.servers.processes import ServerError, run

# These override the user's settings, because another value would recompile everything.
_SETTINGS = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-buildvcs=false",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
_TIMEOUT = 3600.0


def program(
    source: Path, version: str, linker: str, package: str, label: str, progress: Progress
) -> Path:
    """Return the path of a program, built first unless a build of the same source is cached.

    Args:
        source: The folder with `go.mod` and `go.sum`, and optionally `main.go`.
        version: The version, for the name in the cache.
        linker: The flags for the linker.
        package: The package to build.
        label: The description for progress messages, with the expected duration.
        progress: The callback that receives progress messages.
    """
    build = ["go", "build", "-mod=readonly", "-trimpath", "-ldflags", linker]
    digest = hashlib.sha256()
    for name in ("main.go", "go.mod", "go.sum"):
        if (source / name).exists():
            digest.update((source / name).read_bytes())
    digest.update(json.dumps([_go_version(), build, _SETTINGS], sort_keys=True).encode())
    binary = cache_directory() / f"{source.name}-{version}-{digest.hexdigest()[:16]}"
    if binary.exists():
        return binary
    with only_one(source.name), temporary_sibling(binary) as temporary:
        if binary.exists():  # another process built it while this one waited
            return binary
        started = time.monotonic()
        progress(f"Building {label} ...")
        made = temporary / source.name
        run(
            f"Building {source.name}",
            [*build, "-o", str(made), package],
            directory=source,
            environment=_environment(),
            timeout=_TIMEOUT,
            progress=progress,
        )
        made.rename(binary)
        progress(f"Built {source.name} in {time.monotonic() - started:.0f} seconds.")
    return binary


def module(name: str, version: str, checksum: str, progress: Progress) -> Path:
    """Return the path of the archive of a Go module, fetched if necessary.

    Raises:
        ServerError: the module cannot be fetched, or its checksum differs.
    """
    with tempfile.TemporaryDirectory(prefix="tenantry-module-") as outside_any_module:
        output = run(
            f"Fetching {name}",
            ["go", "mod", "download", "-json", f"{name}@{version}"],
            directory=Path(outside_any_module),
            environment=_environment(),
            timeout=600,
            progress=progress,
            may_fail=True,
        )
    answer = json.loads(output)
    # An `Error` alone is not a failure: Go also reports one, besides the archive, if the module
    # requires a newer Go, and only YAML files of these modules are read.
    if "Zip" not in answer:
        raise ServerError(f"Fetching {name} {version}: {answer.get('Error', output)}")
    if answer.get("Sum") != checksum:
        raise ServerError(f"{name} {version} has an unexpected checksum: {answer.get('Sum')}")
    return Path(answer["Zip"])


def _environment() -> dict[str, str]:
    return os.environ | _SETTINGS


def _go_version() -> str:
    done = subprocess.run(
        ["go", "env", "GOVERSION", "GOOS", "GOARCH"],
        capture_output=True,
        text=True,
        env=_environment(),
        check=True,
    )
    return done.stdout
