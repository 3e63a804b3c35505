"""Where else a robot's credential is kept: one small interface, and Secrets as the first of its kind.

The first Secret of a robot is none of these: it says how the pair stands.
"""

from typing import Protocol

from tenantry.errors import NotOurs, SystemRefused
from tenantry.marks import MANAGED_BY, TEAM
from tenantry.resources import Live
from tenantry.systems.credentials.contents import Credential, type_of
from tenantry.systems.credentials.pairs import ROBOT
from tenantry.systems.credentials.places import Place, Secrets


class Sink(Protocol):
    """A place that a robot's consumers read its credential from."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def is_foreign(self) -> bool:
        """Whether the team can't write it."""

    def read(self) -> Credential | None:
        """What it holds; None if that is nothing, for another host, or cannot be understood.

        Raises:
            TenantryError: it can't be read.
        """

    def write(self, credential: Credential, robot: str) -> None:
        """Makes it hold a credential of a robot, such as `pull-b`, in place.

        Raises:
            TenantryError: it could not be written.
        """


class SecretSink:
    """A Secret, in a namespace of the team's or in another one."""

    def __init__(self, secrets: Secrets, place: Place) -> None:
        self._secrets = secrets
        self._place = place
        self._live: Live | None = None

    @property
    def name(self) -> str:
        """Namespace and name."""
        return f"{self._place.namespace}/{self._place.name}"

    @property
    def is_foreign(self) -> bool:
        """Whether its namespace is none of the team's."""
        return self._place.is_foreign

    def read(self) -> Credential | None:
        """What it holds."""
        self._live = self._secrets.read(self._place)
        if self._live is None or self._live.fields["registry"] != self._secrets.registry:
            return None
        found: Credential | None = self._live.handle["credential"]
        return found

    def waits(self) -> bool:
        """Whether nothing was read since there is no namespace to hold it yet."""
        return self._live is None and self._secrets.lacks_namespace(self._place)

    def write(self, credential: Credential, robot: str) -> None:
        """Writes it in place: pods and kubelets know it by its uid.

        Raises:
            SystemRefused: it can't be written. The pair fails with that: while its consumers may use
                the old robot, that one is neither disabled nor deleted.
        """
        try:
            refuse_unwritable(self._place, self._live)
        except SystemRefused as refusal:
            raise type(refusal)(
                refusal.system,
                refusal.call,
                f"{refusal.reason}. So the credential of {robot} is not in it, and the other robots "
                "of the pair are neither disabled nor deleted before it is",
                advice=refusal.advice,
            ) from None
        self._secrets.write(self._place, self._live, credential, {ROBOT: robot})


def refuse_unwritable(place: Place, live: Live | None) -> None:
    """Check that a Secret can be written, before anything is created.

    A team can change everything in its own namespaces. There a Secret that holds the credential of
    this robot is ours, also without its mark; and one of another type, or an immutable one, is
    replaced.

    Raises:
        NotOurs: Tenantry did not create it.
        SystemRefused: it is outside of the team's namespaces and can't be changed in place.
    """
    if live is None:
        return
    call = f"Secret {place.namespace}/{place.name}"
    if live.foreign:
        raise NotOurs("kubernetes", call, live.foreign)
    held: Credential | None = live.handle["credential"]
    if not (live.ours or (not place.is_foreign and held and place.is_own(held.username))):
        raise NotOurs(
            "kubernetes",
            call,
            "it exists and Tenantry did not make it",
            advice="Remove it, let onboarding adopt it (adopt: yes, granted by policy.grants of "
            f"platform.yaml), or set its labels {MANAGED_BY} and {TEAM} again if it has lost them.",
        )
    if not place.is_foreign:
        return
    wanted, found = type_of(place.format), live.fields["type"]
    if found != wanted:
        raise SystemRefused(
            "kubernetes",
            call,
            f"its type is {found}, not {wanted}, and a Secret's type can't be changed",
            advice="Run onboard-teams with scope: all, which creates it again.",
        )
    if live.handle["immutable"]:
        raise SystemRefused(
            "kubernetes",
            call,
            "it is immutable, so no other credential can be put into it",
            advice="Delete it and run onboard-teams with scope: all, which creates it again.",
        )
