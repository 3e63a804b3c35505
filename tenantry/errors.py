"""The errors that Tenantry raises, by who must act.

    TenantryError
    ├── DeclarationError        the author: the declared state is wrong, no system was called
    ├── SystemRefused           the operator: a system refused a call, and would refuse it again
    │   └── NotOurs             ... or Tenantry did, because the resource is not ours
    ├── SystemUnavailable       nobody: the call may succeed later
    │   ├── ChangedMeanwhile    ... once the state is read again
    │   ├── TimedOut            ... or it accepts connections and does not answer
    │   ├── InvalidResponse     ... or it answers in a form that Tenantry does not know
    │   └── DependencyUnread    ... or it depends on something that could not be read
    ├── NotEffective            a write was accepted but not persisted
    └── Unexpected              the developers: an error that no rule covers, in one team's work

No message contains a secret or the body of a request: the UI shows the messages, and Prefect's
database keeps them.
"""

import traceback
from pathlib import Path

from tenantry.text import logger, one_line, visible

_LOG = logger("tenantry")
_ROOT = Path(__file__).parent.parent
_OURS = ("tenantry", "tasks", "flows", "blocks")


class TenantryError(Exception):
    """The base class of all errors that Tenantry raises.

    Messages quote names and values of tenants, so invisible characters in them are escaped.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(visible(text))


class DeclarationError(TenantryError):
    """The declared state is faulty. `faults` has a line for each fault, ready to print."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = [visible(fault) for fault in faults]
        super().__init__("\n".join(self.faults))


class CallFailed(TenantryError):
    """A call to a system failed.

    Attributes:
        system: `harbor`, `keycloak`, `kubernetes` or `istio`.
        call: method and path, such as `POST /api/v2.0/projects`, without query and body.
        status: the HTTP status; None without an answer.
        reason: the message of the system on one line, or what happened to the connection.
        advice: what the reader can do.
        retry_after: the seconds that the system asked to wait; None if it did not.
    """

    def __init__(
        self,
        system: str,
        call: str,
        reason: str,
        *,
        status: int | None = None,
        advice: str = "",
        retry_after: float | None = None,
    ) -> None:
        reason = one_line(reason)
        answer = f" answered {status}" if status else ""
        text = f"{system.capitalize()}: {call}{answer}: {reason}".rstrip(".")
        super().__init__(f"{text}. {advice}" if advice else text)
        self.system = system
        self.call = call
        self.status = status
        self.reason = reason
        self.advice = advice
        self.retry_after = retry_after


class SystemRefused(CallFailed):
    """The system refused the call, and would refuse it again until someone changes something."""


class NotOurs(SystemRefused):
    """A resource of this name exists, which Tenantry did not create and must not adopt."""


class SystemUnavailable(CallFailed):
    """The call may succeed later: a time-out, a reset connection, or a status such as 429 or
    503."""


class TimedOut(SystemUnavailable):
    """The system accepted the connection and did not answer in time."""


class ChangedMeanwhile(SystemUnavailable):
    """The state has changed since it was observed: it must be observed again."""


class InvalidResponse(SystemUnavailable):
    """A response lacks a member, or has a member of another type than the API documents."""

    def __init__(self, system: str, call: str, reason: str) -> None:
        advice = (
            f"See whether this version of {system.capitalize()} is supported, and whether a proxy "
            "changes its answers."
        )
        super().__init__(system, call, reason, advice=advice)


class DependencyUnread(SystemUnavailable):
    """The state of a resource is unknown, because another one that it depends on could not be
    read."""


class NotEffective(CallFailed):
    """A write was accepted, but reading the result back, or trying it, shows that it has no
    effect."""


class Unexpected(TenantryError):
    """An error that no rule covers. It fails only the work in which it was raised."""


def as_tenantry_error(error: Exception, work: str) -> TenantryError:
    """Return an error for users: unchanged if it is Tenantry's, otherwise with its type and place
    only.

    The text of the error is omitted, since it may quote a secret. The frames are logged as a
    warning, since the bug could not be found without them.

    Args:
        error: the error.
        work: what was being done, such as `planning team 'shop'`.
    """
    if isinstance(error, TenantryError):
        return error
    kind = type(error).__name__
    found = {"unexpected": True}
    _LOG.warning("%s while %s\n%s", kind, work, format_frames(error), extra=found)
    return Unexpected(
        f"{kind} while {work} (at {source_location(error)}). A value that Tenantry does not "
        "expect is declared, or stored in a system; nothing else is affected. Please report it."
    )


def format_frames(error: BaseException) -> str:
    """Return the frames of an error as lines for a log, without its text."""
    return "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)[-30:]))


def source_location(error: BaseException) -> str:
    """Return the innermost line of Tenantry that an error passed through."""
    place, trace = "an unknown place", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if any(path.is_relative_to(_ROOT / room) for room in _OURS):
            place = f"{path.relative_to(_ROOT).as_posix()}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
