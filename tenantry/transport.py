"""The translation of failed calls into Tenantry's errors, the same for all systems.

Each client uses another HTTP library. A `Library` describes what is different about it; the rules
are here, once: which failures may pass, which need an operator, and what the messages say.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from tenantry.calls import is_temporary, retry_after
from tenantry.errors import ChangedMeanwhile, SystemRefused, SystemUnavailable, TimedOut

_NOT_FOUND, _CONFLICT = 404, 409
_UNTRUSTED_ADVICE = {
    "harbor": "Name the CA bundle in 'verify' of the Harbor connection, or correct its address.",
    "keycloak": "Name the CA bundle in 'verify' of the Keycloak connection, or correct its address.",
    "kubernetes": "Correct certificate-authority-data, or the address, in the kubeconfig.",
    "provider": "Let the machine that runs Tenantry trust its CA, or correct the issuer.",
}


def _unwrapped(error: BaseException) -> BaseException:
    return error


@dataclass(frozen=True)
class Library:
    """An HTTP library, as far as it reports calls without a response.

    Attributes:
        errors: the exceptions that it raises.
        cause: returns the exception that tells what happened, given one of `errors`: some libraries
            wrap it in an exception of their own.
    """

    errors: tuple[type[Exception], ...]
    cause: Callable[[BaseException], BaseException] = _unwrapped


HTTPX = Library((httpx.RequestError,))


@contextmanager
def translate_errors(library: Library, system: str, call: str) -> Iterator[None]:
    """Turn a library's exceptions for a call without a response into Tenantry's errors.

    The original exception is not chained, since its text may quote the request.

    Args:
        library: the library that makes the call.
        system: the system that is called.
        call: method and path.

    Raises:
        SystemRefused: the certificate of the server is not trusted.
        TimedOut: the server did not answer in time.
        SystemUnavailable: the call failed for another reason.
    """
    try:
        yield
    except library.errors as error:
        raise _no_response(system, call, library.cause(error)) from None


def _no_response(system: str, call: str, error: BaseException) -> SystemRefused | SystemUnavailable:
    untrusted, name = _certificate_error(error), type(error).__name__
    if untrusted is None:  # each library has several classes for a time-out
        kind = TimedOut if "Timeout" in name else SystemUnavailable
        return kind(system, call, f"no answer ({name})")
    reason = f"the certificate of the server is not trusted: {untrusted.verify_message}"
    return SystemRefused(system, call, reason, advice=_UNTRUSTED_ADVICE.get(system, ""))


def _certificate_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """Return the error of the TLS library, which each HTTP library wraps in its own way."""
    waiting: list[object] = [error]
    visited: list[object] = []
    while waiting:
        found = waiting.pop()
        if isinstance(found, ssl.SSLCertVerificationError):
            return found
        if isinstance(found, BaseException) and not any(found is known for known in visited):
            visited.append(found)
            reason = getattr(found, "reason", None)
            waiting += [found.__cause__, found.__context__, reason, *found.args]
    return None


def refusal(
    system: str,
    call: str,
    status: int,
    reason: str,
    *,
    advice: str = "",
    retry_after_header: str | None = None,
    temporary: bool | None = None,
) -> SystemRefused | SystemUnavailable:
    """Return the error for a response with an error status.

    Args:
        system: the system that was called.
        call: method and path.
        status: the status of the response.
        reason: what the system says, without any secret.
        advice: what the reader can do if the system will refuse the call again.
        retry_after_header: the header `Retry-After` of the response.
        temporary: whether the same call may succeed later; by default the status decides.
    """
    if is_temporary(status) if temporary is None else temporary:
        wait = retry_after(retry_after_header)
        return SystemUnavailable(system, call, reason, status=status, retry_after=wait)
    return SystemRefused(system, call, reason, status=status, advice=advice)


def redirected(
    system: str, call: str, status: int, location: str | None, advice: str
) -> SystemRefused:
    """Return the error for a redirect, which is not followed: it could lead credentials elsewhere.

    Args:
        system: the system that was called.
        call: method and path.
        status: the status of the response.
        location: the target of the redirect.
        advice: where the address of the system is set.
    """
    try:
        host = urlsplit(location or "").netloc
    except ValueError:  # an address that cannot be parsed, such as `http://[`
        host = ""
    target = f"'{host}'" if host else "another path"
    reason = f"it redirects to {target}, and Tenantry sends credentials to no other address"
    return SystemRefused(system, call, reason, status=status, advice=advice)


@contextmanager
def conflict_as_change() -> Iterator[None]:
    """Turn a response with the status 409 into ChangedMeanwhile.

    Such a call was made because the resource was not there, or was in another version, when it was
    observed. So another process was faster, or an answer was lost: the state must be observed
    again.

    Raises:
        ChangedMeanwhile: the system answered 409.
    """
    try:
        yield
    except SystemRefused as error:
        if error.status != _CONFLICT:
            raise
        raise ChangedMeanwhile(error.system, error.call, error.reason, status=_CONFLICT) from error


@contextmanager
def ignore_missing() -> Iterator[None]:
    """Ignore a response with the status 404: the resource does not exist."""
    try:
        yield
    except SystemRefused as error:
        if error.status != _NOT_FOUND:
            raise
