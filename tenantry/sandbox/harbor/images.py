"""Harbor 2.15.2's images: pushing them by docker's protocol, and what the API tells of them.

What is pushed makes a repository, uses up the project's quota and keeps the project from being
deleted. Not simulated: layers (their sizes are kept, nothing of what is in them), proxying, scans,
repositories whose names have slashes.
"""

import hashlib
import json
import secrets
from typing import Any
from urllib.parse import unquote

from starlette.responses import Response

from tenantry.sandbox.harbor import access
from tenantry.sandbox.harbor.model import Image, Project
from tenantry.sandbox.harbor.registry import challenge, token_claims
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, answer, compact, done, stamp

_HERE = "/v2/{project}/{repository}"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_FIELDS = {"name": lambda row: row["name"], "creation_time": lambda row: row["creation_time"]}


# --- docker's protocol ---------------------------------------------------------------------------


@routes.add("POST", f"{_HERE}/blobs/uploads")
def begin_upload(call: Call) -> Response:
    """Begin to push a layer. This is where a push without rights ends."""
    _granted(call, "push")
    if digest := call.query.get("digest"):
        return _finish(call, digest, call.raw)
    upload = secrets.token_hex(16)
    call.harbor.uploads[upload] = b""
    return _accepted(call, upload)


@routes.add("PATCH", f"{_HERE}/blobs/uploads/{{upload}}")
def go_on_with_upload(call: Call) -> Response:
    """Push a part of a layer."""
    _granted(call, "push")
    call.harbor.uploads[_upload(call)] += call.raw
    return _accepted(call, call.path["upload"])


@routes.add("PUT", f"{_HERE}/blobs/uploads/{{upload}}")
def end_upload(call: Call) -> Response:
    """Push the rest of a layer."""
    _granted(call, "push")
    content = call.harbor.uploads.pop(_upload(call)) + call.raw
    return _finish(call, call.query.get("digest", ""), content)


@routes.add("HEAD", f"{_HERE}/blobs/{{digest}}")
def has_blob(call: Call) -> Response:
    """Whether a layer is there."""
    _granted(call, "pull")
    digest = call.path["digest"]
    if digest not in call.harbor.state.blobs:
        raise Refusal(404, f"blob unknown to registry: {digest}", code="BLOB_UNKNOWN")
    size = str(call.harbor.state.blobs[digest])
    return Response(headers={"docker-content-digest": digest, "content-length": size})


@routes.add("PUT", f"{_HERE}/manifests/{{reference}}")
def push_manifest(call: Call) -> Response:
    """End a push: the repository has an image more, or a tag that points elsewhere."""
    project = _granted(call, "push")
    name, reference = call.path["repository"], call.path["reference"]
    digest = f"sha256:{hashlib.sha256(call.raw).hexdigest()}"
    try:
        layers = _layers(json.loads(call.raw))
    except (ValueError, AttributeError, KeyError, TypeError):
        raise Refusal(400, "manifest invalid", code="MANIFEST_INVALID") from None
    image = next((i for i in _images(project, name) if i.digest == digest), None)
    if image is None:
        kind = call.request.headers.get("content-type", _MANIFEST)
        size = len(call.raw) + sum(layers)
        image = Image(
            call.harbor.state.next_id("image"),
            name,
            digest,
            kind,
            call.raw.decode(),
            size,
            call.harbor.clock.now(),
        )
        project.images.append(image)
        if project.quota:
            project.quota.used += size
    if name not in project.repositories:
        project.repositories.append(name)
    if not reference.startswith("sha256:"):
        for other in _images(project, name):
            other.tags = [tag for tag in other.tags if tag != reference]
        image.tags.append(reference)
    place = f"/v2/{project.name}/{name}/manifests/{digest}"
    return Response(status_code=201, headers={"location": place, "docker-content-digest": digest})


@routes.add("GET", f"{_HERE}/manifests/{{reference}}")
@routes.add("HEAD", f"{_HERE}/manifests/{{reference}}")
def pull_manifest(call: Call) -> Response:
    """What an image consists of."""
    project = _granted(call, "pull")
    name, reference = call.path["repository"], call.path["reference"]
    for image in _images(project, name):
        if reference == image.digest or reference in image.tags:
            headers = {"docker-content-digest": image.digest, "content-type": image.media_type}
            return Response(image.manifest, headers=headers)
    raise Refusal(404, f"artifact {project.name}/{name}:{reference} not found")


def _granted(call: Call, action: str) -> Project:
    """The project, for who shows a token or credentials for this, or docker's refusal."""
    name, repository = call.path["project"], call.path["repository"]
    project = call.harbor.projects.get(name)
    claims = token_claims(call)
    if claims is None:
        allowed = project and access.may(call.harbor, call.caller, action, project, "repository")
    else:
        held = [each for each in claims["access"] or () if each["name"] == f"{name}/{repository}"]
        allowed = project and any(action in each["actions"] for each in held)
    if project is None or not allowed:
        said = f"unauthorized to access repository: {name}/{repository}, action: {action}"
        scope = f"repository:{name}/{repository}:{'pull,push' if action == 'push' else action}"
        body = {"errors": [{"code": "UNAUTHORIZED", "message": f"{said}: {said}"}]}
        raise Refused(
            Response(
                compact(body) + "\n",
                401,
                headers={
                    "content-type": "application/json; charset=utf-8",
                    "www-authenticate": f'{challenge(call)},scope="{scope}"',
                },
            )
        )
    return project


class Refused(Refusal):
    """An answer of the registry's door, with the header that says where to get a token."""

    def __init__(self, response: Response) -> None:
        super().__init__(401, "unauthorized")
        self._response = response

    def response(self) -> Response:
        """As it was made."""
        return self._response


def _upload(call: Call) -> str:
    upload = call.path["upload"]
    if upload not in call.harbor.uploads:
        raise Refusal(404, "blob upload unknown to registry", code="BLOB_UPLOAD_UNKNOWN")
    return upload


def _accepted(call: Call, upload: str) -> Response:
    place = f"/v2/{call.path['project']}/{call.path['repository']}/blobs/uploads/{upload}"
    last = max(len(call.harbor.uploads[upload]) - 1, 0)
    headers = {"location": place, "docker-upload-uuid": upload, "range": f"0-{last}"}
    return Response(status_code=202, headers=headers)


def _finish(call: Call, digest: str, content: bytes) -> Response:
    digest = unquote(digest)
    if digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
        raise Refusal(400, "provided digest did not match uploaded content", code="DIGEST_INVALID")
    call.harbor.state.blobs[digest] = len(content)
    place = f"/v2/{call.path['project']}/{call.path['repository']}/blobs/{digest}"
    return Response(status_code=201, headers={"location": place, "docker-content-digest": digest})


def _layers(manifest: dict[str, Any]) -> list[int]:
    described = [*manifest.get("layers", ()), *filter(None, [manifest.get("config")])]
    return [int(each["size"]) for each in described]


def _images(project: Project, repository: str) -> list[Image]:
    return [image for image in project.images if image.repository == repository]


# --- The API -------------------------------------------------------------------------------------


@routes.api("GET", "/repositories")
def list_all_repositories(call: Call) -> Response:
    """Those of all projects that the caller may see: for nobody of the public ones."""
    listing, harbor = call.listing, call.harbor
    rows = [
        row
        for project in harbor.projects.values()
        if access.may(harbor, call.caller, "list", project, "repository")
        for row in _rows(project)
    ]
    return listing.answer(listing.select(rows, _FIELDS), lambda row: row)


@routes.api("GET", "/projects/{project}/repositories")
def list_repositories(call: Call) -> Response:
    """A project's."""
    listing, project = call.listing, call.project("list", "repository")
    return listing.answer(listing.select(_rows(project), _FIELDS), lambda row: row)


@routes.api("GET", "/projects/{project}/repositories/{repository}")
def get_repository(call: Call) -> Response:
    """One of them."""
    return answer(_row(call, call.project("read", "repository")))


@routes.api("DELETE", "/projects/{project}/repositories/{repository}")
def delete_repository(call: Call) -> Response:
    """Remove a repository and its images, which frees their storage."""
    project = call.project("delete", "repository")
    _row(call, project)
    name = call.path["repository"]
    for image in _images(project, name):
        _remove(project, image)
    project.repositories.remove(name)
    return done()


@routes.api("GET", "/projects/{project}/repositories/{repository}/artifacts")
def list_artifacts(call: Call) -> Response:
    """A repository's images, with their tags."""
    listing, project = call.listing, call.project("list", "artifact")
    _row(call, project)
    return listing.answer(_images(project, call.path["repository"]), _shown)


@routes.api("DELETE", "/projects/{project}/repositories/{repository}/artifacts/{reference}")
def delete_artifact(call: Call) -> Response:
    """Remove an image."""
    project = call.project("delete", "artifact")
    _remove(project, _image(call, project))
    return done()


@routes.api(
    "DELETE", "/projects/{project}/repositories/{repository}/artifacts/{reference}/tags/{tag}"
)
def delete_tag(call: Call) -> Response:
    """Remove a tag; the image stays."""
    image, tag = _image(call, call.project("delete", "tag")), call.path["tag"]
    if tag not in image.tags:
        raise Refusal(404, f"tag {tag} attached to artifact {image.id} not found")
    image.tags.remove(tag)
    return done()


def _remove(project: Project, image: Image) -> None:
    project.images.remove(image)
    if project.quota:
        project.quota.used -= image.size


def _image(call: Call, project: Project) -> Image:
    name, reference = call.path["repository"], call.path["reference"]
    for image in _images(project, name):
        if reference == image.digest or reference in image.tags:
            return image
    mark = "@" if reference.startswith("sha256:") else ":"
    raise Refusal(404, f"artifact {project.name}/{name}{mark}{reference} not found")


def _row(call: Call, project: Project) -> dict[str, Any]:
    name = f"{project.name}/{call.path['repository']}"
    for row in _rows(project):
        if row["name"] == name:
            return row
    raise Refusal(404, f"repository {name} not found")


def _rows(project: Project) -> list[dict[str, Any]]:
    """The latest first, which is the order that Harbor lists them in."""
    rows = []
    for number, name in enumerate(project.repositories, 1):
        images = _images(project, name)
        times = sorted(image.pushed for image in images) or [project.created]
        rows.append(
            {
                "artifact_count": len(images),
                "creation_time": stamp(times[0]),
                "id": project.id * 1000 + number,
                "name": f"{project.name}/{name}",
                "project_id": project.id,
                "pull_count": 0,
                "update_time": stamp(times[-1]),
            }
        )
    return rows[::-1]


def _shown(image: Image) -> dict[str, Any]:
    tags = [{"artifact_id": image.id, "immutable": False, "name": tag} for tag in image.tags]
    return {
        "digest": image.digest,
        "id": image.id,
        "manifest_media_type": image.media_type,
        "media_type": image.media_type,
        "push_time": stamp(image.pushed),
        "size": image.size,
        "tags": tags or None,
        "type": "IMAGE",
    }
