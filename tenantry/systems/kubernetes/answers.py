"""The responses of the API server: objects in their documented form, and errors with advice."""

import json
from typing import Any

from tenantry.answers import Answer, Members, is_page, not_documented, one, parse
from tenantry.calls import RETRYABLE_STATUSES
from tenantry.confidential import without_secrets
from tenantry.errors import InvalidResponse
from tenantry.transport import redirected, refusal

MEMBERS: Members = {"gitVersion": str}
"""The types of members by name. A label or a key of a Secret can have any other name."""


def result(method: str, call: str, answer: Any, request: tuple[Any, ...]) -> Answer:
    """Return the object in a response.

    Args:
        method: the method.
        call: method and path.
        answer: the response of the official client, which has been read.
        request: the request of the official client.

    Raises:
        SystemRefused: the API server refuses the call.
        SystemUnavailable: it cannot answer now.
        InvalidResponse: the response does not come from an API server.
    """
    data = answer.read()
    if 200 <= answer.status < 300:
        return one(parse(data, "kubernetes", call, MEMBERS), "kubernetes", call)
    if answer.status == 404 and is_page(answer.headers.get("Content-Type"), data):
        raise not_documented("kubernetes", call, 404, "a Status in JSON")
    if 300 <= answer.status < 400:
        advice = "Correct the address of the server in the kubeconfig."
        location = answer.headers.get("Location")
        raise redirected("kubernetes", call, answer.status, location, advice)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    raise _failure(method, call, answer, content, request)


def written(answer: Answer, call: str, kind: str, name: str) -> Answer:
    """Return the object in the response to a write.

    Raises:
        InvalidResponse: it is another object, so the write may have had no effect.
    """
    found = checked(answer, call)
    if (found.get("kind"), found["metadata"]["name"]) != (kind, name):
        raise InvalidResponse("kubernetes", call, "the answer is not the object that was written")
    return found


def checked(found: Answer, call: str) -> Answer:
    """Return an object if it has the form that all kinds have in common.

    Raises:
        InvalidResponse: it has another form.
    """
    metadata = one(found["metadata"], "kubernetes", call)
    texts = [metadata["name"], metadata.get("namespace", ""), metadata.get("uid", "")]
    marks = [metadata.get(name) or {} for name in ("labels", "annotations")]
    values = [value for mark in marks if isinstance(mark, dict) for value in mark.values()]
    parts = [*marks, *(found.get(name) or {} for name in ("spec", "status", "data"))]
    if not all(isinstance(text, str) for text in (*texts, *values)):
        raise InvalidResponse(
            "kubernetes", call, "its metadata has something else where text belongs"
        )
    if not all(isinstance(part, dict) for part in parts):
        raise InvalidResponse(
            "kubernetes", call, "an object has something else where a mapping belongs"
        )
    return found


def _failure(
    method: str, call: str, answer: Any, content: Any, request: tuple[Any, ...]
) -> Exception:
    status: int = answer.status
    said = content if isinstance(content, dict) else {}
    reason = str(said.get("message") or answer.reason or "no reason given")
    _, _, headers, body, *_ = request
    reason = without_secrets(reason, headers, body)
    causes = [cause.get("reason") for cause in (said.get("details") or {}).get("causes") or []]
    # A server-side apply of a custom resource with a wrong field is a 500: only reads are repeated.
    temporary = status in RETRYABLE_STATUSES or (status == 500 and method == "GET")
    terminating = status == 403 and "NamespaceTerminating" in causes
    advice = {
        401: "The credentials of the cluster connection are not accepted.",
        403: "The account of the cluster connection lacks this right.",
    }.get(status, "")
    return refusal(
        "kubernetes",
        call,
        status,
        reason,
        advice=advice,
        retry_after_header=answer.getheader("Retry-After"),
        temporary=temporary or terminating,
    )
