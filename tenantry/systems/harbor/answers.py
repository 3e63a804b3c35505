"""Harbor's responses: the check that a call was done, and errors with advice."""

import httpx

from tenantry.answers import Members, is_page, not_documented
from tenantry.confidential import without_secrets
from tenantry.errors import SystemRefused, SystemUnavailable
from tenantry.transport import redirected, refusal

MEMBERS: Members = {
    **dict.fromkeys(("id", "project_id", "role_id", "group_type", "user_id", "repo_count"), int),
    **dict.fromkeys(("duration", "expires_at", "storage"), int),
    **dict.fromkeys(("name", "level", "description", "namespace", "resource", "action"), str),
    **dict.fromkeys(("entity_type", "entity_name", "group_name", "owner_name", "username"), str),
    **dict.fromkeys(("creation_time", "update_time", "retention_id", "subiss", "digest"), str),
    **dict.fromkeys(("template", "kind", "decoration", "pattern", "extras", "cron"), str),
    **dict.fromkeys(("harbor_version", "external_url", "registry_url"), str),
    **dict.fromkeys(("disable", "disabled", "editable", "sysadmin_flag"), bool),
    **dict.fromkeys(("metadata", "quota", "hard", "oidc_user_meta", "scope_selectors"), dict),
    **dict.fromkeys(("trigger", "settings", "params"), dict),
    **{name: [dict] for name in ("permissions", "access", "rules", "tag_selectors", "repository")},
}
"""The types of the members that are read, as Harbor's API specifies them."""
_READ_ONLY = "read only mode"
_ADVICE = {
    401: "The credentials of the Harbor connection are not accepted.",
    403: "The account of the Harbor connection must be a system administrator.",
}


def failure(method: str, path: str, answer: httpx.Response) -> SystemRefused | SystemUnavailable:
    """Return the error for a response with an error status."""
    call, status = f"{method} {path}", answer.status_code
    sent = answer.request
    # A page for a browser comes from a proxy: it does not show that the resource is missing.
    if status == 404 and is_page(answer.headers.get("Content-Type"), answer.content):
        return not_documented("harbor", call, status, "an error in JSON")
    if answer.is_redirect:
        advice = "Correct the address in the Harbor connection, or the proxy in front of Harbor."
        return redirected("harbor", call, status, answer.headers.get("Location"), advice)
    reason = without_secrets(_reason(answer), sent.headers, sent.content)
    if _READ_ONLY in reason:
        advice = "Harbor is in read-only mode: turn it off in its configuration, then run again."
    else:
        advice = _ADVICE.get(status, "")
    # A 500 of Harbor has no reason: it may be a race between two writes, which does not happen
    # again.
    wait = answer.headers.get("Retry-After")
    return refusal("harbor", call, status, reason, advice=advice, retry_after_header=wait)


def check_done(method: str, path: str, answer: httpx.Response, status: int) -> httpx.Response:
    """Return a response if it has the status, the headers and the form that Harbor's API documents.

    Raises:
        InvalidResponse: it is another response, such as the login page of a proxy. The call may
            have had no effect.
        SystemUnavailable: it is not JSON.
    """
    call = f"{method} {path}"
    is_created = status == httpx.codes.CREATED
    if answer.status_code != status or (is_created and "Location" not in answer.headers):
        wanted = f"{status} with a Location" if is_created else str(status)
        raise not_documented("harbor", call, answer.status_code, wanted)
    if method in ("GET", "PATCH") or answer.content:
        try:
            answer.json()
        except ValueError:
            text = "the answer is not JSON"
            raise SystemUnavailable("harbor", call, text, status=answer.status_code) from None
    if method in ("PUT", "DELETE") and answer.content:
        raise not_documented("harbor", call, answer.status_code, f"{status} without content")
    # The responses to most writes are empty. But all responses of Harbor's API have this header.
    if method != "GET" and "X-Request-Id" not in answer.headers:
        raise not_documented("harbor", call, answer.status_code, "an X-Request-Id")
    return answer


def error_message(answer: httpx.Response) -> str:
    """Return the error message of Harbor's core; empty for a page of the portal or of a proxy."""
    try:
        is_harbors = bool(answer.json()["errors"])
    except (ValueError, LookupError, TypeError):
        return ""
    return without_secrets(_reason(answer), answer.request.headers) if is_harbors else ""


def _reason(answer: httpx.Response) -> str:
    """Return Harbor's error message. Harbor's error code is unreliable, so only the status is
    used."""
    try:
        return str(answer.json()["errors"][0]["message"]).strip()
    except (ValueError, LookupError, TypeError):
        return answer.reason_phrase or "no reason given"
