"""What a check has found: what is broken, why, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

from tenantry.drift.findings import Severity
from tenantry.resources import PLATFORM, Id


@dataclass(frozen=True)
class Finding:
    """Something that is in place and does not work, or soon will not."""

    check: str
    """Which check has found it, as `docs/checks.md` calls it."""
    severity: Severity
    """Critical: people or programs are locked out, or will let in whom they must not."""
    resource: Id
    """Where the cause lies."""
    cause: str
    """What is wrong there."""
    remedy: str
    """What to do."""
    team: str = PLATFORM
    """The team whose it is; PLATFORM if it is no single team's."""
    class_: Literal["broken", "unreadable"] = "broken"
    """`unreadable` where the check could not look."""
