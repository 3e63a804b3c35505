"""The door of Harbor 2.15.2's registry, ``/v2/``: who is let in, to do what.

Whoever shows a token may do what it says, whoever shows basic auth what Harbor grants; a robot
needs no token. Refused is with 401, never 403, and with the way to a token only where no
credentials were shown. Behind the door are blobs.py and manifests.py.

Not simulated: content trust, the policies of vulnerabilities, proxy caches, referrers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response

from tenantry.sandbox.harbor import access, tokens
from tenantry.sandbox.harbor.model import Project
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, compact

_JSON = {"content-type": "application/json; charset=utf-8"}
VERSION = {"docker-distribution-api-version": "registry/2.0"}
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME = re.compile(f"{_PART}(?:/{_PART})+")
_ACTIONS = {
    "GET": "pull",
    "HEAD": "pull",
    "POST": "push",
    "PATCH": "push",
    "PUT": "push",
    # So a robot that may push and not delete can't cancel its upload.
    "DELETE": "delete",
}
_SCOPES = {"pull": "pull", "push": "pull,push", "delete": "delete"}


class Unauthorized(Refusal):
    """A refusal that says how to get in."""

    def __init__(self, fault: str, challenge: str) -> None:
        super().__init__(401, f"{fault}: {fault}")  # Harbor says it twice
        self.challenge = challenge

    def response(self) -> Response:
        """As Harbor writes it."""
        response = super().response()
        response.headers.update({**VERSION, "www-authenticate": self.challenge})
        return response


class RegistryRefusal(Refusal):
    """A refusal of the registry behind Harbor, with one of its own codes."""

    def __init__(self, status: int, code: str, message: str, *details: object) -> None:
        super().__init__(status, message, code)
        self.message = message
        self.details = details

    def response(self) -> Response:
        """Return the answer as the registry writes it: an error for each detail, or one without."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        errors = [{**error, "detail": detail} for detail in self.details] or [error]
        return Response(
            compact({"errors": errors}) + "\n",
            self.status,
            headers={**VERSION, "content-type": "application/json; charset=utf-8"},
        )


@dataclass
class Visit:
    """A request that was let in.

    Attributes:
        repository: The name without the project.
    """

    call: Call
    project: Project
    repository: str

    @property
    def name(self) -> str:
        """The repository's name with the project."""
        return f"{self.project.name}/{self.repository}"

    def url(self, rest: str) -> str:
        """An address below the repository's, at the host that the client calls."""
        return f"{self.call.request.base_url}v2/{self.name}/{rest}"


Inside = Callable[[Visit], Response]


def serves(method: str, template: str) -> Callable[[Inside], Inside]:
    """Register a handler below a repository's name: whoever may not is refused before."""

    def register(handler: Inside) -> Inside:
        def admitted(call: Call) -> Response:
            name = call.path["repository"]
            wanted = [(name, _ACTIONS[method])]
            if method == "POST" and (source := call.query.get("from")):
                wanted.append((source, "pull"))
            for named, _ in wanted:
                if "/" not in named:
                    raise Refusal(400, f"invalid repository name: {named}")
            project, *_ = [_admit(call, *each, wanted) for each in wanted]
            if not _NAME.fullmatch(name):
                raise RegistryRefusal(400, "NAME_INVALID", "invalid repository name")
            return handler(Visit(call, project, name.partition("/")[2]))

        routes.add(method, f"/v2/{{repository*}}{template}")(admitted)
        return handler

    return register


def _admit(call: Call, name: str, action: str, wanted: list[tuple[str, str]]) -> Project:
    """The repository's project, if the caller may do this to it."""
    # The message names HEAD for a GET, too.
    if call.request.method in ("GET", "HEAD") and "authorization" not in call.request.headers:
        raise Unauthorized(
            "authorize header needed to send HEAD to repository", _challenge(call, wanted)
        )
    called = name.partition("/")[0]
    project = call.harbor.projects.get(called)
    if project is None:
        raise Unauthorized(f"project {called} not found", "")
    if not _may(call, action, project):
        fault = f"unauthorized to access repository: {name}, action: {action}"
        raise Unauthorized(fault, _challenge(call, wanted))
    return project


def _may(call: Call, action: str, project: Project) -> bool:
    token = tokens.shown(call)
    # A token of before belongs to an earlier project of that name.
    if token and token.issued >= int(project.created.timestamp()):
        return action in token.actions.get(project.name, ())
    return access.may(call.harbor, call.caller, action, project, "repository")


def _challenge(call: Call, wanted: list[tuple[str, str]]) -> str:
    if call.request.headers.get("authorization"):
        return 'Basic realm="harbor"'
    challenge = (
        f'Bearer realm="{call.harbor.ext_endpoint}/service/token",service="{tokens.SERVICE}"'
    )
    if scopes := [f"repository:{name}:{_SCOPES[action]}" for name, action in wanted]:
        challenge += f',scope="{" ".join(scopes)}"'
    return challenge


@routes.add("GET", "/v2")
def version_check(call: Call) -> Response:
    """Whether the caller is let in, and how to get in: Basic says that credentials were refused."""
    token = tokens.shown(call)
    if not call.caller.known and not (token and token.name):
        raise Unauthorized("unauthorized", _challenge(call, []))
    return Response("{}", headers={**VERSION, **_JSON})


@routes.add("GET", "/v2/_catalog")
def catalog(call: Call) -> Response:
    """All repositories, for whoever may see them: no token opens it."""
    if not access.may_system(call.caller, "read", "catalog"):
        raise Unauthorized("unauthorized to list catalog", 'Basic realm="harbor"')
    names = [f"{p.name}/{name}" for p in call.harbor.projects.values() for name in p.repositories]
    return page(call, names, lambda shown: {"repositories": shown})


def page(call: Call, names: list[str], body: Callable[[list[str]], object]) -> Response:
    """Names in their order, from behind ``last`` and at most ``n``, and the way to the next."""
    text, last = call.query.get("n"), call.query.get("last", "")
    if text is not None and not text.isdecimal():
        raise Refusal(400, "the N must be a positive int type")
    names = sorted(name for name in names if name > last)
    found = names if text is None else names[: int(text)]
    headers = dict(_JSON)  # Harbor's core lists, not the registry behind it
    if found and len(found) < len(names):
        path = call.request.scope["path"]
        headers["link"] = f'<{path}?last={found[-1]}&n={text}>; rel="next"'
    return Response(compact(body(found)) + "\n", headers=headers)
