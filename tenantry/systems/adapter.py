"""The interface of all adapters: the desired resources, the observed ones, and changes."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from tenantry.declared import Platform, Team
from tenantry.kinds import Kind
from tenantry.plan import Change
from tenantry.resources import Observed, Resource

Owner = TypeVar("Owner", Team, Platform)
_Owner_contra = TypeVar("_Owner_contra", Team, Platform, contravariant=True)


class Adapter(Protocol[_Owner_contra]):
    """The resources of teams, or of the platform, in one system.

    An adapter keeps no state between these calls, except caches: another process can apply a plan.
    """

    @property
    def name(self) -> str:
        """The name of the adapter in the names of tasks, such as `Harbor`."""

    @property
    def system(self) -> str:
        """The system, as in the ids of resources."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of resources that it applies."""

    def observe(self, owners: Sequence[_Owner_contra], observed: Observed, /) -> Observed:
        """Return the observed resources of these owners.

        Args:
            owners: the teams, or the platform alone.
            observed: what the adapters before this one have observed.

        Raises:
            TenantryError: the system cannot be read at all. Errors of single resources are recorded
                in the result instead.
        """

    def desired(self, owner: _Owner_contra, observed: Observed, /) -> list[Resource]:
        """Return the desired resources of an owner, in the order of their creation.

        Neither a system nor the adapter is changed. `apply` gets the resource itself.

        Raises:
            TenantryError: a system cannot be read.
        """

    def apply(self, change: Change, observed: Observed, /) -> None:
        """Make one change.

        Args:
            change: a change of one of the adapter's kinds.
            observed: the state that the plan was made from.

        Raises:
            TenantryError: the system refused the change, did not answer, or was changed
                concurrently.
        """
