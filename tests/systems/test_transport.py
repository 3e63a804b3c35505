"""Failed calls of all HTTP libraries become Tenantry's errors, by the same rules."""

import ast
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from keycloak.exceptions import KeycloakConnectionError
from kubernetes import client as kube

from tenantry.calls import RETRYABLE_STATUSES
from tenantry.errors import (
    CallFailed,
    ChangedMeanwhile,
    NotOurs,
    SystemRefused,
    SystemUnavailable,
    TimedOut,
)
from tenantry.systems.keycloak.answers import PYTHON_KEYCLOAK
from tenantry.systems.kubernetes.connection import KUBERNETES_CLIENT
from tenantry.transport import (
    HTTPX,
    Library,
    conflict_as_change,
    ignore_missing,
    redirected,
    refusal,
    translate_errors,
)

ROOT = Path(__file__).parents[2]
SECRET = "s3cret-in-the-text-of-the-library"
SYSTEMS = ["harbor", "keycloak", "kubernetes", "provider", "another"]


def wrapped(outer: Exception, inner: BaseException) -> Exception:
    """Return an exception that was raised from another one, as the libraries do it."""
    outer.__cause__ = outer.__context__ = inner
    return outer


def subclasses(base: type[Exception]) -> Iterator[type[Exception]]:
    yield base
    for below in base.__subclasses__():
        yield from subclasses(below)


def bare(kind: type[Exception]) -> Exception:
    """Return an exception of a class without calling its constructor, whose arguments differ."""
    error = kind.__new__(kind)
    error.args = (SECRET,)
    return error


def raised(library: Library, error: BaseException, system: str = "harbor") -> CallFailed:
    with pytest.raises(CallFailed) as found, translate_errors(library, system, "GET /"):
        raise error
    return found.value


CASES: list[tuple[Library, type[Exception]]] = [
    *((HTTPX, kind) for kind in subclasses(httpx.RequestError)),
    *((PYTHON_KEYCLOAK, kind) for kind in subclasses(requests.RequestException)),
    *((KUBERNETES_CLIENT, kind) for kind in subclasses(urllib3.exceptions.HTTPError)),
    *((KUBERNETES_CLIENT, kind) for kind in (ConnectionResetError, TimeoutError, OSError)),
]


@pytest.mark.parametrize(
    ("library", "kind"), CASES, ids=[f"{kind.__module__}.{kind.__name__}" for _, kind in CASES]
)
def test_every_exception_of_a_library_is_translated(
    library: Library, kind: type[Exception]
) -> None:
    error = bare(kind)
    if library is PYTHON_KEYCLOAK:
        error = wrapped(KeycloakConnectionError("Can't connect to server"), error)
    found = raised(library, error)
    assert type(found) is (TimedOut if "Timeout" in kind.__name__ else SystemUnavailable)
    assert kind.__name__ in str(found), "the message names what happened"
    assert SECRET not in str(found)
    assert found.__cause__ is None
    assert found.__suppress_context__, "no traceback shows the library's text"


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    ("library", "outer"),
    [
        (HTTPX, httpx.ConnectError("connect")),
        (PYTHON_KEYCLOAK, KeycloakConnectionError("connect")),
        (KUBERNETES_CLIENT, kube.ApiException(status=0, reason=SECRET)),
        (KUBERNETES_CLIENT, urllib3.exceptions.SSLError("connect")),
    ],
    ids=["httpx", "python-keycloak", "kubernetes", "urllib3"],
)
@pytest.mark.parametrize("depth", [1, 4])
def test_an_untrusted_certificate_is_found_at_any_depth(
    library: Library, outer: Exception, system: str, depth: int
) -> None:
    untrusted = ssl.SSLCertVerificationError()
    untrusted.verify_message = "self-signed certificate"
    error: Exception = untrusted
    for _ in range(depth):
        error = wrapped(requests.exceptions.SSLError("below"), error)
    untrusted.__context__ = error  # a cycle must end
    found = raised(library, wrapped(outer, error), system)
    assert type(found) is SystemRefused
    assert "the certificate of the server is not trusted: self-signed certificate" in str(found)


def test_errors_of_our_own_code_are_not_translated() -> None:
    for library in (HTTPX, PYTHON_KEYCLOAK):
        with pytest.raises(KeyError), translate_errors(library, "harbor", "GET /"):
            raise KeyError("ours")
    ours = SystemRefused("harbor", "GET /", "no")
    with pytest.raises(SystemRefused) as found, translate_errors(HTTPX, "harbor", "GET /"):
        raise ours
    assert found.value is ours


@given(status=st.integers(300, 599), header=st.none() | st.text(max_size=12) | st.just("7"))
def test_the_status_decides_whether_a_call_may_succeed_later(
    status: int, header: str | None
) -> None:
    found = refusal("harbor", "GET /", status, "no", advice="Do it.", retry_after_header=header)
    later = status in RETRYABLE_STATUSES or status >= 500
    assert isinstance(found, SystemUnavailable) is later
    assert found.status == status
    assert found.advice == ("" if later else "Do it.")
    assert found.retry_after == (7 if later and header == "7" else found.retry_after)


@given(location=st.none() | st.text(max_size=40) | st.just("http://[") | st.just("//evil.example"))
def test_a_redirect_is_refused_whatever_its_target(location: str | None) -> None:
    found = redirected("harbor", "GET /", 302, location, "Correct the address.")
    assert "Tenantry sends credentials to no other address" in str(found)
    assert ("'evil.example'" in str(found)) is (location == "//evil.example")


@pytest.mark.parametrize("status", [403, 404, 409, 412])
@pytest.mark.parametrize("kind", [SystemRefused, NotOurs])
def test_only_a_conflict_is_a_change_and_only_404_is_missing(
    status: int, kind: type[SystemRefused]
) -> None:
    error = kind("harbor", "POST /robots", "no", status=status)
    with pytest.raises(CallFailed) as found, conflict_as_change():
        raise error
    assert type(found.value) is (ChangedMeanwhile if status == 409 else kind)
    assert (found.value.call, found.value.reason, found.value.status) == (
        "POST /robots",
        "no",
        status,
    )
    ignored = False
    try:
        with ignore_missing():
            raise error
        ignored = True
    except SystemRefused:
        pass
    assert ignored is (status == 404)


# The rules are in one place


def test_no_other_module_translates_failed_calls() -> None:
    """A handler of a library's exceptions, or of 409, outside of `tenantry/transport.py` is a copy."""
    copies = []
    for path in sorted((ROOT / "tenantry" / "systems").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.ExceptHandler) and node.type is not None:
                caught = ast.unparse(node.type)
                if any(name in caught for name in ("httpx", "requests", "urllib3", "ApiException")):
                    copies.append(f"{where}: catches {caught}")
            if isinstance(node, ast.Constant) and node.value == 409:
                copies.append(f"{where}: decides about 409")
    assert not copies
