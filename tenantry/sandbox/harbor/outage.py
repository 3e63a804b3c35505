"""What Harbor 2.15.2 answers while its database is down, as it was measured with PostgreSQL stopped.

It treats every caller as anonymous, also with valid credentials and sessions: so the token service
and most of the API answer 401 to a working robot. Only requests that read projects, or write, show
that something failed. Requests that need no database (`/ping`, `/health`, the public part of
`/systeminfo`) are answered as always.
"""

import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from tenantry.sandbox.counting import WRITES
from tenantry.sandbox.harbor.registry import Unauthorized
from tenantry.sandbox.harbor.wire import Refusal

_UNTOUCHED = re.compile(r"/api/v2\.0/(ping|health|systeminfo)/?|/c/oidc/login")
_NEEDS_ROWS = re.compile(r"/api/v2\.0/projects(/.*)?|/c/.*")
_REPOSITORY = re.compile(r"/v2/.+")
_REASON = "failed to connect to `user=harbor database=registry`: connection refused"


async def answer(request: Request, call: Callable[[], Awaitable[Response]]) -> Response:
    """Return the answer to a request while the database is down.

    Args:
        request: the request.
        call: what answers it otherwise, with an anonymous caller.
    """
    path: str = request.scope["path"]
    if path == "/service/token":
        return await call()
    if _REPOSITORY.fullmatch(path):
        return Unauthorized(_REASON, "").response()
    writes = request.method in WRITES
    if writes or (_NEEDS_ROWS.fullmatch(path) and not _UNTOUCHED.fullmatch(path)):
        return Refusal(500, "").response()
    response = await call()
    is_well = response.status_code in (401, 404) or _UNTOUCHED.fullmatch(path)
    return response if is_well else Refusal(500, "").response()
