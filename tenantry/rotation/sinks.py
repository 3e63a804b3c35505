"""Sinks: further places of a robot's credential, and Secrets as sinks.

The first Secret of a robot is not a sink. Its annotations hold the state of the pair.
"""

from typing import Protocol

from tenantry.errors import NotOurs, SystemRefused
from tenantry.marks import MANAGED_BY, TEAM
from tenantry.resources import Live
from tenantry.systems.credentials.contents import Credential, type_of
from tenantry.systems.credentials.pairs import ROBOT
from tenantry.systems.credentials.places import Place
from tenantry.systems.credentials.robot_secrets import Secrets


class Sink(Protocol):
    """A place from which clients read a robot's credential."""

    @property
    def name(self) -> str:
        """The name of the sink, as messages show it."""

    @property
    def is_foreign(self) -> bool:
        """Whether the team cannot write it."""

    def read(self) -> Credential | None:
        """Return the credential; None if there is none, it is for another host, or it is invalid.

        Raises:
            TenantryError: the sink cannot be read.
        """

    def write(self, credential: Credential, robot: str) -> None:
        """Write the credential of a robot, such as `pull-b`, in place.

        Raises:
            TenantryError: the sink could not be written.
        """


class SecretSink:
    """A Secret as a sink, in a namespace of the team or in another one."""

    def __init__(self, secrets: Secrets, place: Place) -> None:
        self._secrets = secrets
        self._place = place
        self._live: Live | None = None

    @property
    def name(self) -> str:
        """The namespace and the name."""
        return f"{self._place.namespace}/{self._place.name}"

    @property
    def is_foreign(self) -> bool:
        """Whether its namespace does not belong to the team."""
        return self._place.is_foreign

    def read(self) -> Credential | None:
        """Return the credential in the Secret."""
        self._live = self._secrets.read(self._place)
        if self._live is None or self._live.fields["registry"] != self._secrets.registry:
            return None
        found: Credential | None = self._live.handle["credential"]
        return found

    def has_no_namespace(self) -> bool:
        """Return whether the Secret cannot be created yet, because its namespace does not exist."""
        return self._live is None and self._secrets.lacks_namespace(self._place)

    def write(self, credential: Credential, robot: str) -> None:
        """Write the Secret in place, since pods and kubelets refer to its uid.

        Raises:
            SystemRefused: the Secret cannot be written. The rotation of the pair fails with this
                error, and the old robots keep working, since the Secret's clients may use them.
        """
        try:
            check_writable(self._place, self._live)
        except SystemRefused as refusal:
            raise type(refusal)(
                refusal.system,
                refusal.call,
                f"{refusal.reason}. Until it holds the credential of {robot}, the other robots of the "
                "pair are neither disabled nor deleted",
                advice=refusal.advice,
            ) from None
        self._secrets.write(self._place, self._live, credential, {ROBOT: robot})


def check_writable(place: Place, live: Live | None) -> None:
    """Check that a Secret can be written, before a robot is created.

    A team can change everything in its own namespaces. There, a Secret that holds the credential of
    this robot belongs to Tenantry even without its mark, and a Secret of another type or an immutable
    one is replaced.

    Raises:
        NotOurs: Tenantry did not create the Secret.
        SystemRefused: the Secret is outside of the team's namespaces and cannot be changed in place.
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
            "it exists and Tenantry did not create it",
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
            f"its type is {found}, not {wanted}, and the type of a Secret cannot be changed",
            advice="Run onboard-teams with scope: all, which creates it again.",
        )
    if live.handle["immutable"]:
        raise SystemRefused(
            "kubernetes",
            call,
            "it is immutable, so it cannot get another credential",
            advice="Delete it and run onboard-teams with scope: all, which creates it again.",
        )
