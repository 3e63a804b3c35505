"""What all checks share: the systems that they look at, and how they tell of what they find."""

from tenantry.drift.findings import Finding, FindingClass, Severity
from tenantry.drift.places import locate
from tenantry.resources import PLATFORM, Id
from tenantry.systems import Systems


class View:
    """The systems, as the checks see them."""

    def __init__(self, systems: Systems) -> None:
        self.systems = systems

    def finding(
        self,
        check: str,
        severity: Severity,
        resource: Id,
        detail: str,
        advice: str,
        team: str = PLATFORM,
        *,
        class_: FindingClass = "broken",
    ) -> Finding:
        """A finding of a check's.

        Args:
            check: the check, as `docs/checks.md` calls it.
            severity: critical where people or programs are locked out, or let in whom they must
                not.
            resource: where the cause lies.
            detail: what is wrong there.
            advice: what to do.
            team: whose it is.
            class_: `unreadable` where the check could not look.
        """
        where = locate(self.systems.state, team, resource)
        return Finding(
            class_, severity, resource, team, where, detail=detail, check=check, advice=advice
        )
