"""What each part of each system answers, in the same form: what is desired, observed, and applied."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from tenantry.declared import Platform, Team
from tenantry.kinds import Kind
from tenantry.plan import Change
from tenantry.resources import Observed, Resource

Owner = TypeVar("Owner", Team, Platform)
_Owner_contra = TypeVar("_Owner_contra", Team, Platform, contravariant=True)


class Adapter(Protocol[_Owner_contra]):
    """The resources of teams, or of the platform, in one system."""

    @property
    def name(self) -> str:
        """The name of the part, as tasks show it, such as `Harbor`."""

    @property
    def system(self) -> str:
        """The system, as ids of resources have it."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of resources whose changes it applies."""

    def observe(self, owners: Sequence[_Owner_contra], observed: Observed, /) -> Observed:
        """Return what the system holds of these owners.

        Args:
            owners: the teams, or the platform alone.
            observed: what the adapters before this one have observed.

        Raises:
            TenantryError: the system cannot be read at all. What concerns a single resource is
                recorded as unreadable instead.
        """

    def desired(self, owner: _Owner_contra, observed: Observed, /) -> list[Resource]:
        """Return the resources that an owner declares, in the order in which they are created.

        No system is changed, and nothing is kept for `apply`: that gets the resource itself.

        Raises:
            TenantryError: a system cannot be read.
        """

    def apply(self, change: Change, observed: Observed, /) -> None:
        """Make one change.

        Args:
            change: a change of one of the adapter's kinds.
            observed: what the plan was made from.

        Raises:
            TenantryError: the system refused it, did not answer, or was changed meanwhile.
        """
