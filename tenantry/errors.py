"""Every error that Tenantry raises, by who must act.

    TenantryError
    ├── DeclarationError        the author of the declared state: it is wrong, nothing was called
    ├── SystemRefused           the operator: a system said no, and would say it again
    │   └── NotOurs             ... or we did: the thing exists and Tenantry did not make it
    ├── SystemUnavailable       time: the call may succeed later
    │   ├── ChangedMeanwhile    ... after another look: someone was faster, or an answer was lost
    │   ├── TimedOut            ... or it accepts connections and does not answer
    │   ├── InvalidResponse           ... or it answers in a form that Tenantry does not know
    │   └── DependencyUnread     ... or it depends on something that could not be read
    └── NotEffective           us: a write was accepted and yet what it should do does not hold

    └── Unexpected              the developers: an error that no rule foresaw, kept to one team

No message ever holds a secret or a request's body: the messages are shown in
the UI and kept in Prefect's database.
"""

import traceback
from pathlib import Path

from tenantry.text import logger, one_line, visible

_LOG = logger("tenantry")
_ROOT = Path(__file__).parent.parent
_OURS = ("tenantry", "tasks", "flows", "blocks")


class TenantryError(Exception):
    """The root: catch this to catch whatever Tenantry itself raises.

    Messages quote names and values of tenants, so their text is made visible.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(visible(text))


class DeclarationError(TenantryError):
    """The declared state is faulty; `faults` has a line for each fault, ready to print."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = [visible(fault) for fault in faults]
        super().__init__("\n".join(self.faults))


class CallFailed(TenantryError):
    """A call to a system did not do what it was made for.

    Attributes:
        system: `harbor`, `keycloak`, `kubernetes` or `istio`.
        call: method and path, such as `POST /api/v2.0/projects`; never a query or body.
        status: the HTTP status, or None where there was no answer.
        reason: the system's own words on one line, or what became of the connection.
        advice: what the reader can do.
        retry_after: seconds that the system asked to wait, where it did.
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
    """The system refused, and would refuse again: someone must change something first."""


class NotOurs(SystemRefused):
    """Something of that name exists, Tenantry did not make it, and may not adopt it."""


class SystemUnavailable(CallFailed):
    """No answer, or one that may be better later: a time-out, a reset, 429, 502, 503, 504."""


class TimedOut(SystemUnavailable):
    """The system accepted the connection and did not answer in time."""


class ChangedMeanwhile(SystemUnavailable):
    """The system is no longer as it was when the plan was made: look again, then go on."""


class InvalidResponse(SystemUnavailable):
    """An answer lacks a member, or has one of another type than the API's documentation says."""

    def __init__(self, system: str, call: str, reason: str) -> None:
        advice = (
            f"See whether this version of {system.capitalize()} is supported, and whether a proxy "
            "changes its answers."
        )
        super().__init__(system, call, reason, advice=advice)


class DependencyUnread(SystemUnavailable):
    """Something can't be judged because something else, which it depends on, could not be read."""


class NotEffective(CallFailed):
    """A call succeeded, but reading it back (or trying it) shows that it did not take."""


class Unexpected(TenantryError):
    """An error that no rule covers. It fails only the work during which it was raised."""


def as_tenantry_error(error: Exception, work: str) -> TenantryError:
    """Return an error as a user reads it: itself if it is Tenantry's, else its type and place.

    What it says is left out, since it may quote a secret. The frames are logged as a warning:
    the fault could not be found without them.

    Args:
        error: what was raised.
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
    """Return where an error was raised, as lines for a log, without what it says."""
    return "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)[-30:]))


def source_location(error: BaseException) -> str:
    """Return the innermost line of ours that an error came through."""
    place, trace = "an unknown place", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if any(path.is_relative_to(_ROOT / room) for room in _OURS):
            place = f"{path.relative_to(_ROOT).as_posix()}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
