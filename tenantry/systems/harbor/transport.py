"""Calls of one Harbor: in a session, or with basic auth where only `/api` can be reached."""

import threading
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from tenantry.calls import MAX_CONCURRENT_CALLS, TIMEOUT, CircuitBreaker, is_temporary
from tenantry.connections import HarborAccount
from tenantry.errors import SystemUnavailable
from tenantry.systems.harbor.answers import check_done, failure
from tenantry.systems.harbor.session import NoSession, Session, has_ended, log_in
from tenantry.text import logger
from tenantry.transport import HTTPX, translate_errors

API = "/api/v2.0"
_log = logger(__name__)


class HarborTransport:
    """Makes calls with the account of a connection. Safe to use from many threads.

    Every method raises SystemRefused if Harbor refuses the call, and SystemUnavailable if Harbor
    does not answer or cannot handle the call now. If the session has expired, a call logs in
    again and is repeated once. Harbor writes nothing in an expired session, so this is safe for
    writes, too.
    """

    def __init__(self, account: HarborAccount) -> None:
        self.account = account
        # With a cookie jar, httpx would turn basic auth into a session without a token, and hide
        # that a session has expired.
        no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        self._http = httpx.Client(
            base_url=account.url,
            verify=account.verify,
            timeout=TIMEOUT,
            cookies=no_cookies,
            limits=httpx.Limits(
                max_connections=MAX_CONCURRENT_CALLS, max_keepalive_connections=MAX_CONCURRENT_CALLS
            ),
        )
        self._breaker = CircuitBreaker("harbor")
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._logged_in = False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def basic(self) -> httpx.BasicAuth:
        """The credentials of the connection's account, for calls outside of the session."""
        return httpx.BasicAuth(self.account.username, self.account.password.get_secret_value())

    def send(
        self,
        method: str,
        path: str,
        *,
        by_name: bool = False,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        status: int = 200,
    ) -> httpx.Response:
        """Make a call of the API in the session, and return the response.

        Args:
            method: the method.
            path: below `/api/v2.0`.
            by_name: whether the path contains the name of a project.
            query: the parameters of the query.
            body: the body of the request.
            status: the documented status of the response.

        Raises:
            InvalidResponse: the response is not the documented one.
        """
        headers = {"X-Is-Resource-Name": "true"} if by_name else {}
        for _ in range(2):
            session = self._in_session()
            if session is None:
                answer = self.exchange(
                    method, API + path, params=query, json=body, headers=headers, auth=self.basic
                )
            else:
                own = {**headers, **session.headers}
                answer = self.exchange(method, API + path, params=query, json=body, headers=own)
                if has_ended(answer):
                    self._renew(session)
                    continue
            if answer.is_success:
                return check_done(method, API + path, answer, status)
            if answer.status_code == 401:
                self.check_database()
            raise failure(method, API + path, answer)
        raise SystemUnavailable("harbor", f"{method} {API}{path}", "the session ended twice")

    def check_database(self) -> None:
        """Check that Harbor's database answers: without it, Harbor treats all callers as anonymous.

        Raises:
            SystemUnavailable: the database does not answer.
        """
        path = f"{API}/projects"
        answer = self.exchange("GET", path, params={"page_size": 1})
        if answer.status_code >= 500:
            raise failure("GET", path, answer)

    def exchange(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Make one request, and return the response whatever its status is.

        Args:
            method: the method.
            path: from the root.
            options: the options of httpx.

        Raises:
            SystemUnavailable: Harbor does not answer.
        """
        call = f"{method} {path.partition('?')[0]}"
        with self._breaker.guard(call), translate_errors(HTTPX, "harbor", call):
            return self._http.request(method, path, **options)

    def send_without_session(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Make a call as docker does, outside of the session and of `/api`, and return the
        response.

        Args:
            method: the method.
            path: from the root, or a Location of the registry.
            options: the options of httpx, such as the credentials.

        Raises:
            SystemUnavailable: the response has a temporary status.
        """
        answer = self.exchange(method, path, **options)
        if is_temporary(answer.status_code):
            raise failure(method, path.partition("?")[0], answer)
        return answer

    def _in_session(self) -> Session | None:
        with self._lock:
            if not self._logged_in:
                self._log_in()
            return self._session

    def _renew(self, expired: Session) -> None:
        """Log in again, unless another thread has done so since."""
        with self._lock:
            if self._session is expired:
                self._log_in()

    def _log_in(self) -> None:
        call = "POST /c/login"
        with self._breaker.guard(call), translate_errors(HTTPX, "harbor", call):
            session = log_in(self._http, self.account)
        self._session = session if isinstance(session, Session) else None
        if isinstance(session, NoSession) and not self._logged_in:
            _log.warning(
                "Tenantry has no session in Harbor at %s and uses basic auth, which costs a "
                "password check on every call: %s",
                self.account.url,
                session.value,
            )
        self._logged_in = True
