"""The storage of a simulated Harbor 2.15.2: blobs in files, and the usage of projects.

A project uses the bytes of its blobs and manifests, each counted once. A push over the quota is
rejected blob by blob. Not simulated: garbage collection. A blob without an artifact is deleted
immediately.
"""

import hashlib
import re
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tenantry.sandbox.harbor.model import Project
from tenantry.sandbox.harbor.wire import Refusal

if TYPE_CHECKING:
    from tenantry.sandbox.harbor.app import SimulatedHarbor

_UNITS = "KMGTPE"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def is_digest(text: str) -> bool:
    """Return whether a text is a digest with a supported algorithm."""
    return _DIGEST.fullmatch(text) is not None


def digest(content: bytes, like: str = "sha256") -> str:
    """Return the digest of a content, with the algorithm of another digest."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


class Files:
    """The contents of the blobs of all projects, by digest.

    Attributes:
        folder: The folder of the files. It must be set before the first blob is stored; otherwise a
            temporary folder is used.
    """

    folder: Path | None = None

    @cached_property
    def _temporary(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(prefix="tenantry-blobs-")

    def path(self, digest: str) -> Path:
        """Return the path of a blob, which need not exist."""
        folder = self.folder or Path(self._temporary.name)
        return folder / digest.replace(":", "-")

    def store(self, digest: str, content: bytes) -> None:
        """Write a blob atomically."""
        path = self.path(digest)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(content)
        new.replace(path)


def content_sizes(project: Project) -> dict[str, int]:
    """Return the sizes of all blobs and manifests of a project, by digest."""
    sizes = {digest: n for blobs in project.blobs.values() for digest, n in blobs.items()}
    for repository in project.repositories.values():
        for digest, artifact in repository.artifacts.items():
            sizes[digest] = len(artifact.content.encode())
    return sizes


def check_quota(harbor: "SimulatedHarbor", project: Project, added: dict[str, int]) -> None:
    """Raise Refusal if the added content exceeds the project's quota.

    Content that the project already has is not counted again.
    """
    quota = project.quota
    if quota is None or not harbor.configuration["quota_per_project_enable"] or quota.hard == -1:
        return
    present = content_sizes(project)
    size = sum(n for digest, n in added.items() if digest not in present)
    if size and quota.used + size > quota.hard:
        raise Refusal(
            403,
            f"adding {_format_size(size)} of storage resource, which when updated to current usage of "
            f"{_format_size(quota.used)} will exceed the configured upper limit of "
            f"{_format_size(quota.hard)}.",
            code="DENIED",
        )


def update_usage(harbor: "SimulatedHarbor", project: Project) -> None:
    """Update the usage of the project's quota."""
    if project.quota and harbor.configuration["quota_per_project_enable"]:
        project.quota.used = sum(content_sizes(project).values())
        project.quota.updated = harbor.clock.now()


def _format_size(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    power = min((size.bit_length() - 1) // 10, len(_UNITS))
    return f"{size / 1024**power:.1f} {_UNITS[power - 1]}iB"
