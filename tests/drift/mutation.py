"""A manual change in a system, and the drift findings that it must cause."""

from collections.abc import Callable
from dataclasses import dataclass

from tenantry.resources import Id
from tenantry.systems.systems import Systems

Act = Callable[[Systems], None]


@dataclass(frozen=True, repr=False)
class Mutation:
    """A manual change in a system.

    Attributes:
        name: a description of the change.
        id: the changed resource.
        expected: the expected findings, each in the form `class id`.
        act: makes the change.
        is_remediated: whether `remediate=all` reverts it. If not, the finding stays until the
            resource is removed by name or adopted.
        alone: whether the change also affects other resources.
    """

    name: str
    id: Id
    expected: frozenset[str]
    act: Act
    is_remediated: bool = True
    alone: bool = False

    def __repr__(self) -> str:
        return self.name
