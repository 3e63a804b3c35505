"""The answers of Harbor 2.15.2 while its database is down, as measured with PostgreSQL stopped.

All callers are anonymous, even with valid credentials and sessions. So the token service and most of
the API answer 401 to a robot whose credentials are valid. Only requests that write or read projects
report a failure. Requests that need no database (`/ping`, `/health`, the public part of
`/systeminfo`) are answered as usual.
"""

import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from tenantry.sandbox.counting import WRITES
from tenantry.sandbox.harbor.registry import Unauthorized
from tenantry.sandbox.harbor.wire import Refusal

_NEEDS_NO_DATABASE = re.compile(r"/api/v2\.0/(ping|health|systeminfo)/?|/c/oidc/login")
_NEEDS_DATABASE = re.compile(r"/api/v2\.0/projects(/.*)?|/c/.*")
_REPOSITORY = re.compile(r"/v2/.+")
_REASON = "failed to connect to `user=harbor database=registry`: connection refused"


async def answer(request: Request, call: Callable[[], Awaitable[Response]]) -> Response:
    """Return the answer to a request while the database is down.

    Args:
        request: the request.
        call: returns the usual answer to an anonymous caller.
    """
    path: str = request.scope["path"]
    if path == "/service/token":
        return await call()
    if _REPOSITORY.fullmatch(path):
        return Unauthorized(_REASON, "").response()
    writes = request.method in WRITES
    if writes or (_NEEDS_DATABASE.fullmatch(path) and not _NEEDS_NO_DATABASE.fullmatch(path)):
        return Refusal(500, "").response()
    response = await call()
    unaffected = response.status_code in (401, 404) or _NEEDS_NO_DATABASE.fullmatch(path)
    return response if unaffected else Refusal(500, "").response()
