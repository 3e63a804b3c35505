"""Blobs and their uploads in the registry of Harbor 2.15.2 (distribution 2.8 behind it).

An upload goes on at the address that the last answer gave: those from before a piece came are void.
"""

import secrets
import uuid
from dataclasses import dataclass, field

from starlette.responses import FileResponse, Response

from tenantry.sandbox.harbor import storage
from tenantry.sandbox.harbor.model import Project
from tenantry.sandbox.harbor.registry import VERSION, RegistryRefusal, Visit, serves

_UPLOADS = "/blobs/uploads"


@dataclass
class Upload:
    """An upload under way, and what its next address must show."""

    name: str
    content: bytearray = field(default_factory=bytearray)
    state: str = field(default_factory=secrets.token_urlsafe)


def link(project: Project, repository: str, digest: str, size: int) -> None:
    """Let a repository have a blob."""
    project.blobs.setdefault(repository, {})[digest] = size


@serves("POST", _UPLOADS)
def start(visit: Visit) -> Response:
    """Begin an upload, or take the blob from another repository if that has it.

    A blob in the body is not looked at: as in distribution, the upload begins all the same.
    """
    query, harbor = visit.call.query, visit.call.harbor
    mount, (source, _, repository) = query.get("mount", ""), query.get("from", "").partition("/")
    if source:
        size = harbor.projects[source].blobs.get(repository, {}).get(mount)
        if size is not None:
            storage.require_room(harbor, visit.project, {mount: size})
            return _stored(visit, mount, size)
    number = str(uuid.uuid4())
    harbor.uploads[number] = Upload(visit.name)
    return _under_way(visit, number, 202)


@serves("PATCH", f"{_UPLOADS}/{{upload}}")
def go_on(visit: Visit) -> Response:
    """Add to the content."""
    number, upload = _found(visit)
    upload.content += visit.call.raw
    upload.state = secrets.token_urlsafe()
    return _under_way(visit, number, 202)


@serves("GET", f"{_UPLOADS}/{{upload}}")
def progress(visit: Visit) -> Response:
    """How far it got."""
    number, _ = _found(visit)
    return _under_way(visit, number, 204)


@serves("PUT", f"{_UPLOADS}/{{upload}}")
def finish(visit: Visit) -> Response:
    """Add the rest, which may be all of it, and keep the blob."""
    number, upload = _found(visit)
    called = visit.call.query.get("digest", "")
    if not storage.is_digest(called):
        raise RegistryRefusal(
            400,
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
            "digest missing",
        )
    content = bytes(upload.content + visit.call.raw)
    harbor = visit.call.harbor
    storage.require_room(harbor, visit.project, {called: len(content)})
    del harbor.uploads[number]
    if storage.digest(content, called) != called:
        raise RegistryRefusal(
            400,
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
            {"Digest": called, "Reason": {}},
        )
    harbor.blobs.keep(called, content)
    return _stored(visit, called, len(content))


@serves("DELETE", f"{_UPLOADS}/{{upload}}")
def cancel(visit: Visit) -> Response:
    """Give the upload up; nothing of it stays."""
    number, _ = _found(visit)
    del visit.call.harbor.uploads[number]
    return Response(status_code=204, headers={**VERSION, "docker-upload-uuid": number})


@serves("HEAD", "/blobs/{digest}")
@serves("GET", "/blobs/{digest}")
def get(visit: Visit) -> Response:
    """A blob that this repository has; another's, of the same project too, is unknown."""
    called = visit.call.path["digest"]
    if not storage.is_digest(called):
        raise RegistryRefusal(
            400, "DIGEST_INVALID", "provided digest did not match uploaded content"
        )
    path = visit.call.harbor.blobs.path(called)
    if called not in visit.project.blobs.get(visit.repository, {}) or not path.exists():
        raise RegistryRefusal(404, "BLOB_UNKNOWN", "blob unknown to registry", called)
    headers = {
        **VERSION,
        "docker-content-digest": called,
        "etag": f'"{called}"',
        "cache-control": "max-age=31536000",
    }
    return FileResponse(path, headers=headers, media_type="application/octet-stream")


def _found(visit: Visit) -> tuple[str, Upload]:
    number = visit.call.path["upload"]
    upload = visit.call.harbor.uploads.get(number)
    if upload is None or upload.name != visit.name:
        raise RegistryRefusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", {})
    if visit.call.query.get("_state") != upload.state:
        raise RegistryRefusal(404, "BLOB_UPLOAD_INVALID", "blob upload invalid")
    return number, upload


def _under_way(visit: Visit, number: str, status: int) -> Response:
    upload = visit.call.harbor.uploads[number]
    headers = {
        **VERSION,
        "location": visit.url(f"blobs/uploads/{number}?_state={upload.state}"),
        "docker-upload-uuid": number,
        "range": f"0-{max(len(upload.content) - 1, 0)}",
    }
    return Response(status_code=status, headers=headers)


def _stored(visit: Visit, digest: str, size: int) -> Response:
    link(visit.project, visit.repository, digest, size)
    storage.recount(visit.call.harbor, visit.project)
    headers = {
        **VERSION,
        "location": visit.url(f"blobs/{digest}"),
        "docker-content-digest": digest,
    }
    return Response(status_code=201, headers=headers)
