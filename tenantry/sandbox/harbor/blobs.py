"""Blobs and their uploads in the registry of Harbor 2.15.2 (distribution 2.8 behind it).

An upload continues at the address in the last answer. Earlier addresses become invalid.
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
    """An unfinished upload, with the state that the next request must have in its address."""

    name: str
    content: bytearray = field(default_factory=bytearray)
    state: str = field(default_factory=secrets.token_urlsafe)


def link(project: Project, repository: str, digest: str, size: int) -> None:
    """Add a blob to a repository."""
    project.blobs.setdefault(repository, {})[digest] = size


@serves("POST", _UPLOADS)
def start(visit: Visit) -> Response:
    """Start an upload, or mount the blob from another repository if that has it.

    A blob in the body is ignored, as in distribution: the upload starts without it.
    """
    query, harbor = visit.call.query, visit.call.harbor
    mount, (source, _, repository) = query.get("mount", ""), query.get("from", "").partition("/")
    if source:
        size = harbor.projects[source].blobs.get(repository, {}).get(mount)
        if size is not None:
            storage.check_quota(harbor, visit.project, {mount: size})
            return _stored_response(visit, mount, size)
    number = str(uuid.uuid4())
    harbor.uploads[number] = Upload(visit.name)
    return _progress_response(visit, number, 202)


@serves("PATCH", f"{_UPLOADS}/{{upload}}")
def append(visit: Visit) -> Response:
    """Append to the content."""
    number, upload = _find_upload(visit)
    upload.content += visit.call.raw
    upload.state = secrets.token_urlsafe()
    return _progress_response(visit, number, 202)


@serves("GET", f"{_UPLOADS}/{{upload}}")
def progress(visit: Visit) -> Response:
    """Return the progress of an upload."""
    number, _ = _find_upload(visit)
    return _progress_response(visit, number, 204)


@serves("PUT", f"{_UPLOADS}/{{upload}}")
def finish(visit: Visit) -> Response:
    """Append the remaining content, and store the blob."""
    number, upload = _find_upload(visit)
    given = visit.call.query.get("digest", "")
    if not storage.is_digest(given):
        raise RegistryRefusal(
            400,
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
            "digest missing",
        )
    content = bytes(upload.content + visit.call.raw)
    harbor = visit.call.harbor
    storage.check_quota(harbor, visit.project, {given: len(content)})
    del harbor.uploads[number]
    if storage.digest(content, given) != given:
        raise RegistryRefusal(
            400,
            "DIGEST_INVALID",
            "provided digest did not match uploaded content",
            {"Digest": given, "Reason": {}},
        )
    harbor.blobs.store(given, content)
    return _stored_response(visit, given, len(content))


@serves("DELETE", f"{_UPLOADS}/{{upload}}")
def cancel(visit: Visit) -> Response:
    """Cancel an upload and delete its content."""
    number, _ = _find_upload(visit)
    del visit.call.harbor.uploads[number]
    return Response(status_code=204, headers={**VERSION, "docker-upload-uuid": number})


@serves("HEAD", "/blobs/{digest}")
@serves("GET", "/blobs/{digest}")
def get(visit: Visit) -> Response:
    """Return a blob of this repository. Blobs of other repositories are unknown to it."""
    given = visit.call.path["digest"]
    if not storage.is_digest(given):
        raise RegistryRefusal(
            400, "DIGEST_INVALID", "provided digest did not match uploaded content"
        )
    path = visit.call.harbor.blobs.path(given)
    if given not in visit.project.blobs.get(visit.repository, {}) or not path.exists():
        raise RegistryRefusal(404, "BLOB_UNKNOWN", "blob unknown to registry", given)
    headers = {
        **VERSION,
        "docker-content-digest": given,
        "etag": f'"{given}"',
        "cache-control": "max-age=31536000",
    }
    return FileResponse(path, headers=headers, media_type="application/octet-stream")


def _find_upload(visit: Visit) -> tuple[str, Upload]:
    number = visit.call.path["upload"]
    upload = visit.call.harbor.uploads.get(number)
    if upload is None or upload.name != visit.name:
        raise RegistryRefusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", {})
    if visit.call.query.get("_state") != upload.state:
        raise RegistryRefusal(404, "BLOB_UPLOAD_INVALID", "blob upload invalid")
    return number, upload


def _progress_response(visit: Visit, number: str, status: int) -> Response:
    upload = visit.call.harbor.uploads[number]
    headers = {
        **VERSION,
        "location": visit.url(f"blobs/uploads/{number}?_state={upload.state}"),
        "docker-upload-uuid": number,
        "range": f"0-{max(len(upload.content) - 1, 0)}",
    }
    return Response(status_code=status, headers=headers)


def _stored_response(visit: Visit, digest: str, size: int) -> Response:
    link(visit.project, visit.repository, digest, size)
    storage.update_usage(visit.call.harbor, visit.project)
    headers = {
        **VERSION,
        "location": visit.url(f"blobs/{digest}"),
        "docker-content-digest": digest,
    }
    return Response(status_code=201, headers=headers)
