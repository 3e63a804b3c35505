"""Access to the registry of Harbor 2.15.2, ``/v2/``.

A request with a token may do what the token allows, and one with basic auth what Harbor grants, so a
robot needs no token. Rejections have status 401, never 403. They name the token service only if the
request had no credentials. The requests themselves are in blobs.py and manifests.py.

Not simulated: content trust, vulnerability policies, proxy caches, referrers.
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
    # So a robot that may push but not delete cannot cancel its upload.
    "DELETE": "delete",
}
_SCOPES = {"pull": "pull", "push": "pull,push", "delete": "delete"}


class Unauthorized(Refusal):
    """A rejection with an authentication challenge."""

    def __init__(self, fault: str, challenge: str) -> None:
        super().__init__(401, f"{fault}: {fault}")  # Harbor repeats the fault
        self.challenge = challenge

    def response(self) -> Response:
        """Return the answer as Harbor formats it."""
        response = super().response()
        response.headers.update({**VERSION, "www-authenticate": self.challenge})
        return response


class RegistryRefusal(Refusal):
    """A rejection by the registry behind Harbor, with a code of the registry."""

    def __init__(self, status: int, code: str, message: str, *details: object) -> None:
        super().__init__(status, message, code)
        self.message = message
        self.details = details

    def response(self) -> Response:
        """Return the answer as the registry formats it: an error for each detail, or one without."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        errors = [{**error, "detail": detail} for detail in self.details] or [error]
        return Response(
            compact({"errors": errors}) + "\n",
            self.status,
            headers={**VERSION, "content-type": "application/json; charset=utf-8"},
        )


@dataclass
class Visit:
    """An authorized request to a repository.

    Attributes:
        repository: The name of the repository without the project.
    """

    call: Call
    project: Project
    repository: str

    @property
    def name(self) -> str:
        """The name of the repository with the project."""
        return f"{self.project.name}/{self.repository}"

    def url(self, rest: str) -> str:
        """Return a URL below the repository, at the host that the client uses."""
        return f"{self.call.request.base_url}v2/{self.name}/{rest}"


RepositoryHandler = Callable[[Visit], Response]


def serves(method: str, template: str) -> Callable[[RepositoryHandler], RepositoryHandler]:
    """Return a decorator that registers a handler below a repository's name.

    Requests that are not authorized do not reach the handler.
    """

    def register(handler: RepositoryHandler) -> RepositoryHandler:
        def authorize(call: Call) -> Response:
            name = call.path["repository"]
            wanted = [(name, _ACTIONS[method])]
            if method == "POST" and (source := call.query.get("from")):
                wanted.append((source, "pull"))
            for named, _ in wanted:
                if "/" not in named:
                    raise Refusal(400, f"invalid repository name: {named}")
            project, *_ = [_authorize(call, *scope, wanted) for scope in wanted]
            if not _NAME.fullmatch(name):
                raise RegistryRefusal(400, "NAME_INVALID", "invalid repository name")
            return handler(Visit(call, project, name.partition("/")[2]))

        routes.add(method, f"/v2/{{repository*}}{template}")(authorize)
        return handler

    return register


def _authorize(call: Call, name: str, action: str, wanted: list[tuple[str, str]]) -> Project:
    """Return the repository's project; raise Unauthorized if the caller may not do this."""
    # The message has HEAD for a GET, too.
    if call.request.method in ("GET", "HEAD") and "authorization" not in call.request.headers:
        raise Unauthorized(
            "authorize header needed to send HEAD to repository", _challenge(call, wanted)
        )
    project_name = name.partition("/")[0]
    project = call.harbor.projects.get(project_name)
    if project is None:
        raise Unauthorized(f"project {project_name} not found", "")
    if not _may(call, action, project):
        fault = f"unauthorized to access repository: {name}, action: {action}"
        raise Unauthorized(fault, _challenge(call, wanted))
    return project


def _may(call: Call, action: str, project: Project) -> bool:
    token = tokens.read_token(call)
    # An older token belongs to an earlier project of that name.
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
    """Check the credentials. The challenge is Basic if some were sent and rejected."""
    token = tokens.read_token(call)
    if not call.caller.known and not (token and token.name):
        raise Unauthorized("unauthorized", _challenge(call, []))
    return Response("{}", headers={**VERSION, **_JSON})


@routes.add("GET", "/v2/_catalog")
def catalog(call: Call) -> Response:
    """Return all repositories. Tokens are not accepted."""
    if not access.may_system(call.caller, "read", "catalog"):
        raise Unauthorized("unauthorized to list catalog", 'Basic realm="harbor"')
    names = [f"{p.name}/{name}" for p in call.harbor.projects.values() for name in p.repositories]
    return page(call, names, lambda shown: {"repositories": shown})


def page(call: Call, names: list[str], body: Callable[[list[str]], object]) -> Response:
    """Return the sorted names after ``last``, at most ``n``, with a link to the next page."""
    text, last = call.query.get("n"), call.query.get("last", "")
    if text is not None and not text.isdecimal():
        raise Refusal(400, "the N must be a positive int type")
    names = sorted(name for name in names if name > last)
    found = names if text is None else names[: int(text)]
    headers = dict(_JSON)  # Harbor's core answers lists itself, without the registry
    if found and len(found) < len(names):
        path = call.request.scope["path"]
        headers["link"] = f'<{path}?last={found[-1]}&n={text}>; rel="next"'
    return Response(compact(body(found)) + "\n", headers=headers)
