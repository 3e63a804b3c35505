"""The values of an offboarding: what a revocation and a removal do, and what they leave.

They are inert: they can be shown, counted and compared, and contain no secret.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from tenantry.declared import Team
from tenantry.explain import plan_hash
from tenantry.kinds import RemovalStep
from tenantry.plan import Change
from tenantry.resources import Id
from tenantry.systems.harbor.kinds import REPOSITORY

_BOUNDS = "r", "a"
"""The prefixes of the highest numbers of repositories and artifacts in an approval."""


@dataclass(frozen=True)
class Kept:
    """A resource that an offboarding leaves as it is."""

    id: Id
    reason: str
    """Why it is kept. It can contain text that a tenant has written."""
    grants_access: bool = False
    """Whether it still gives somebody access to the team's images or namespaces."""
    number: int | None = None
    """The number of a project of Tenantry that is kept because of its images, only."""


@dataclass(frozen=True)
class Revoked:
    """The outcome of a revocation.

    Attributes:
        team: the team's name.
        done: the changes that were made; none if the access was revoked before.
        kept: the resources that were not changed, since they are not Tenantry's, or were adopted.
    """

    team: str
    done: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True)
class Deletion:
    """A resource that is removed."""

    id: Id
    identity: str
    """The number or UID of the resource: another resource of the same name has another one."""
    step: RemovalStep
    """The step that removes it."""
    note: str = ""
    """Why it is removed, or what remains of it; empty if it is deleted with its team."""
    change: Change | None = field(default=None, compare=False, repr=False)
    """The change that removes it; None if it is being deleted already, and the removal waits for it."""

    @property
    def is_image(self) -> bool:
        """Whether it is a repository. Its approval is a bound (`RemovalPlan.approval`)."""
        return self.id.kind == REPOSITORY

    @property
    def fingerprint(self) -> str:
        """A hash of the identity of the resource."""
        return hashlib.sha256(f"{self.id} {self.identity}".encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.id} ({self.identity})"


@dataclass(frozen=True)
class Repository:
    """A repository in the team's project, with its images."""

    name: str
    number: int
    tags: tuple[str, ...]
    """The tags, sorted. They are chosen by those who pushed the images."""
    artifacts: int
    last_artifact: int
    """The highest number of an artifact; 0 if it has none."""
    size: int
    """The sum of the sizes of its artifacts in bytes. Layers that artifacts share count each time."""
    last_push: str = field(default="", compare=False)
    last_pull: str = field(default="", compare=False)
    """The time of the last pull; empty if no image was ever pulled."""


@dataclass(frozen=True)
class RemovalPlan:
    """What the removal of a team deletes and keeps.

    Attributes:
        team: the team.
        removed: the resources that are removed, in this order.
        kept: the resources that are kept, with the reasons.
        repositories: the repositories in the team's project.
        delete_images: whether the repositories are deleted. Otherwise a project with repositories is
            kept.
        adopted: whether resources that Tenantry has adopted are removed, too.
    """

    team: Team
    removed: tuple[Deletion, ...] = ()
    kept: tuple[Kept, ...] = ()
    repositories: tuple[Repository, ...] = ()
    delete_images: bool = False
    adopted: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to remove."""
        return not self.removed

    @property
    def digest(self) -> str:
        """A short hash of the identities and decisions, which a person approves.

        Facts that change by themselves, such as the last pull of an image, do not count.
        """
        return plan_hash(self._lines())

    @property
    def approval(self) -> str:
        """The text that records the approval of this plan.

        A removal can be interrupted. The plan of the next run is smaller, and has another digest.
        This text still approves it, since it has a fingerprint of each removed resource
        (`is_approved`).
        """
        parts = sorted(each.fingerprint for each in self.removed if not each.is_image)
        if self.deletes_images:
            bounds = zip(_BOUNDS, self._highest, strict=True)
            parts += [f"{prefix}{number}" for prefix, number in bounds]
        return "-".join(parts)

    def is_approved(self, approved: str | None) -> bool:
        """Return whether an approval covers this plan.

        Args:
            approved: the `approval` or the `digest` of the approved plan; None if none was approved.

        Returns:
            True if the plan is the approved one, or what is left of it. Images that were pushed since
            are not approved.
        """
        if approved is None:
            return False
        if approved == self.digest:
            return True
        parts = set(approved.split("-"))
        if any(each.fingerprint not in parts for each in self.removed if not each.is_image):
            return False
        return not self.deletes_images or all(
            any(_is_within(part, prefix, number) for part in parts)
            for prefix, number in zip(_BOUNDS, self._highest, strict=True)
        )

    @property
    def deletes_images(self) -> bool:
        """Whether it deletes repositories with their images."""
        return any(each.is_image for each in self.removed)

    @property
    def _highest(self) -> tuple[int, int]:
        """The highest numbers of a repository and an artifact. Harbor never uses a number again."""
        repositories = [each.number for each in self.repositories]
        artifacts = [each.last_artifact for each in self.repositories]
        return max(repositories, default=0), max(artifacts, default=0)

    def _lines(self) -> Iterator[str]:
        yield f"remove team {self.team.name}"
        yield from (f"remove {each}" for each in self.removed)
        yield from (f"keep {each.id}" for each in self.kept)
        if self.deletes_images:
            for images in self.repositories:
                yield f"delete {images.name} up to {images.last_artifact}: {' '.join(images.tags)}"


def _is_within(part: str, prefix: str, number: int) -> bool:
    """Return whether a part of an approval is a bound that a number does not exceed."""
    bound = part.removeprefix(prefix)
    return bound != part and bound.isascii() and bound.isdigit() and number <= int(bound)


@dataclass(frozen=True)
class Blocked:
    """A namespace that could not be deleted in time, and what blocks its deletion."""

    namespace: str
    reasons: tuple[str, ...]
    """The conditions and finalizers of the namespace. They can contain text of a tenant."""

    def __str__(self) -> str:
        return f"namespace '{self.namespace}': {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Removed:
    """The outcome of a removal.

    Attributes:
        team: the team's name.
        removed: the resources that this run removed.
        kept: the resources that are kept, with the reasons.
        blocked: the namespaces whose deletion has begun and is blocked. Another run waits for them.
    """

    team: str
    removed: tuple[Deletion, ...] = ()
    kept: tuple[Kept, ...] = ()
    blocked: tuple[Blocked, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to remove."""
        return not self.blocked
