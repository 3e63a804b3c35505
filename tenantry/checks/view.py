"""The base class of the checks: access to the systems, and the creation of findings."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tenantry.drift.findings import Finding, FindingClass, Severity
from tenantry.drift.places import locate
from tenantry.errors import InvalidResponse, TenantryError, as_tenantry_error
from tenantry.resources import PLATFORM, Id
from tenantry.systems.systems import Systems

T = TypeVar("T")


class View:
    """The systems, with helpers to create findings."""

    def __init__(self, systems: Systems) -> None:
        self.systems = systems

    def check_items(
        self,
        check: str,
        items: Iterable[T],
        work: Callable[[T], Iterable[Finding]],
        describe: Callable[[T], tuple[Id, str]],
    ) -> Iterator[Finding]:
        """Return the findings of a check for each item. An unexpected error affects one item only.

        Args:
            check: the check's name.
            items: the items.
            work: returns the findings of one item.
            describe: returns the resource and the team of one item, for the finding of an error.

        Raises:
            TenantryError: a system cannot be read.
        """
        for item in items:
            try:
                yield from list(work(item))
            except Exception as error:
                if isinstance(error, TenantryError) and not isinstance(error, InvalidResponse):
                    raise
                id, team = describe(item)
                text = str(as_tenantry_error(error, f"reading {id}"))
                advice = "Correct the stored object, and run the checks again."
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
        """Return a finding of a check.

        Args:
            check: the check's name in `docs/checks.md`.
            severity: critical if users or programs lose access, or have too much.
            resource: the resource that causes the problem.
            detail: the problem.
            advice: the remedy.
            team: the resource's team.
            class_: `unreadable` if the check could not read the resource.
        """
        where = locate(self.systems.state, team, resource)
        return Finding(
            class_, severity, resource, team, where, detail=detail, check=check, advice=advice
        )
