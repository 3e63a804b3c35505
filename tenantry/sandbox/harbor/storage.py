"""What a simulated Harbor 2.15.2 stores: blobs in files, and the storage that projects use.

A project uses the bytes of its blobs and manifests, each counted once. A push that would go over the
quota is refused blob by blob. Not simulated: garbage collection; what no artifact needs any more is
gone at once.
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
    """Whether it is a digest of a kind that is known here."""
    return _DIGEST.fullmatch(text) is not None


def digest(content: bytes, like: str = "sha256") -> str:
    """The digest of a content, by the algorithm of another digest."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


class Files:
    """The contents of blobs, of all projects, by digest.

    Attributes:
        folder: Where they are; a temporary one, unless another is set before the first is kept.
    """

    folder: Path | None = None

    @cached_property
    def _scratch(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(prefix="tenantry-blobs-")

    def path(self, digest: str) -> Path:
        """The file of a blob, which need not be there."""
        folder = self.folder or Path(self._scratch.name)
        return folder / digest.replace(":", "-")

    def keep(self, digest: str, content: bytes) -> None:
        """Write a blob, whole or not at all."""
        path = self.path(digest)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_bytes(content)
        beside.replace(path)


def held(project: Project) -> dict[str, int]:
    """The sizes of all blobs and manifests of a project, by digest."""
    sizes = {digest: n for blobs in project.blobs.values() for digest, n in blobs.items()}
    for repository in project.repositories.values():
        for digest, artifact in repository.artifacts.items():
            sizes[digest] = len(artifact.content.encode())
    return sizes


def require_room(harbor: "SimulatedHarbor", project: Project, added: dict[str, int]) -> None:
    """Refuse what would take the project over its quota; what it has already takes no room."""
    quota = project.quota
    if quota is None or not harbor.configuration["quota_per_project_enable"] or quota.hard == -1:
        return
    present = held(project)
    size = sum(n for digest, n in added.items() if digest not in present)
    if size and quota.used + size > quota.hard:
        raise Refusal(
            403,
            f"adding {_readable(size)} of storage resource, which when updated to current usage of "
            f"{_readable(quota.used)} will exceed the configured upper limit of "
            f"{_readable(quota.hard)}.",
            code="DENIED",
        )


def recount(harbor: "SimulatedHarbor", project: Project) -> None:
    """Bring the use that the quota shows up to date."""
    if project.quota and harbor.configuration["quota_per_project_enable"]:
        project.quota.used = sum(held(project).values())
        project.quota.updated = harbor.clock.now()


def _readable(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    power = min((size.bit_length() - 1) // 10, len(_UNITS))
    return f"{size / 1024**power:.1f} {_UNITS[power - 1]}iB"
