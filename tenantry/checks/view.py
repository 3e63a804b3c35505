"""What all checks share: the systems that they look at, and how they tell of what they find."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tenantry.drift.findings import Finding, FindingClass, Severity
from tenantry.drift.places import locate
from tenantry.errors import InvalidResponse, TenantryError, as_tenantry_error
from tenantry.resources import PLATFORM, Id
from tenantry.systems.systems import Systems

T = TypeVar("T")


class View:
    """The systems, as the checks see them."""

    def __init__(self, systems: Systems) -> None:
        self.systems = systems

    def each(
        self,
        check: str,
        things: Iterable[T],
        work: Callable[[T], Iterable[Finding]],
        about: Callable[[T], tuple[Id, str]],
    ) -> Iterator[Finding]:
        """Return what a check finds in each of several things; what fails costs one of them.

        Args:
            check: the check.
            things: the things.
            work: looks at one of them.
            about: gives the resource and the team of one of them, to say what failed.

        Raises:
            TenantryError: a system can't be read.
        """
        for thing in things:
            try:
                yield from list(work(thing))
            except Exception as error:
                if isinstance(error, TenantryError) and not isinstance(error, InvalidResponse):
                    raise
                id, team = about(thing)
                text = str(as_tenantry_error(error, f"reading {id}"))
                advice = "Correct what is stored there, and check again."
                yield self.finding(check, "warning", id, text, advice, team, class_="unreadable")

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
