"""Manifests and tags in the registry of Harbor 2.15.2, which create repositories and artifacts.

Not simulated: referrers, the conversion of manifest lists for old clients.
"""

import json
import re
from typing import Any

from starlette.responses import Response

from tenantry.sandbox.harbor import immutable, storage
from tenantry.sandbox.harbor.model import Artifact, Project, Repository, Tag
from tenantry.sandbox.harbor.registry import VERSION, RegistryRefusal, Visit, page, serves
from tenantry.sandbox.harbor.wire import Refusal

_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_MEDIA_TYPES = (_OCI_MANIFEST, _OCI_INDEX, _DOCKER_MANIFEST, _DOCKER_LIST)
_LISTS = (_OCI_INDEX, _DOCKER_LIST)
# OCI types are served only if the Accept header names them. */* is not enough.
_NEED_ACCEPT = {
    _OCI_MANIFEST: "OCI manifest found, but accept header does not support OCI manifests",
    _OCI_INDEX: "OCI index found, but accept header does not support OCI indexes",
}


@serves("HEAD", "/manifests/{reference}")
@serves("GET", "/manifests/{reference}")
def get(visit: Visit) -> Response:
    """Return a manifest by tag or digest, and count this as a pull."""
    call, reference = visit.call, visit.call.path["reference"]
    repository = _repository(visit)
    digest, artifact = find(visit.name, repository, reference)
    if digest in call.request.headers.get("if-none-match", ""):
        return Response(status_code=304)
    accepted = ",".join(call.request.headers.getlist("accept"))
    if (fault := _NEED_ACCEPT.get(artifact.media_type)) and artifact.media_type not in accepted:
        raise RegistryRefusal(404, "MANIFEST_UNKNOWN", fault)
    if call.request.method == "GET":
        artifact.pulled = call.harbor.clock.now()
        repository.pull_count += 1
        if reference in repository.tags:
            repository.tags[reference].pulled = artifact.pulled
    headers = {**VERSION, "docker-content-digest": digest, "etag": f'"{digest}"'}
    return Response(artifact.content, headers={**headers, "content-type": artifact.media_type})


@serves("PUT", "/manifests/{reference}")
def put(visit: Visit) -> Response:
    """Store a manifest whose blobs exist, and create its repository if needed."""
    call, reference = visit.call, visit.call.path["reference"]
    media_type = call.request.headers.get("content-type", "").partition(";")[0].strip()
    manifest = _parse(call.raw, media_type)
    digest = storage.digest(call.raw, reference if storage.is_digest(reference) else "sha256")
    if ":" in reference and digest != reference:
        message = "provided digest did not match uploaded content"
        raise RegistryRefusal(400, "DIGEST_INVALID", message)
    if ":" not in reference and not _TAG.fullmatch(reference):
        message = "manifest tag did not match URI"
        raise RegistryRefusal(400, "TAG_INVALID", message)
    parts = _parts(visit, manifest, media_type)
    harbor, project, now = call.harbor, visit.project, call.harbor.clock.now()
    if visit.repository in project.repositories:
        immutable.refuse_replacement(project, visit.repository, reference)
    # Harbor checks the quota before it calls the registry. A push has stored all blobs by then.
    storage.check_quota(harbor, project, {digest: len(call.raw)} | parts)
    repository = project.repositories.get(visit.repository)
    if repository is None:
        repository = Repository(harbor.state.next_id("repository"), now, now)
        project.repositories[visit.repository] = repository
    if digest not in repository.artifacts:
        artifact_id = harbor.state.next_id("artifact")
        size = len(call.raw) + sum(parts.values())
        repository.artifacts[digest] = Artifact(
            artifact_id, media_type, call.raw.decode(), size, now
        )
    if reference != digest:
        old = repository.tags.get(reference)
        tag_id = old.id if old else harbor.state.next_id("tag")
        repository.tags[reference] = Tag(tag_id, digest, now, old.pulled if old else None)
    repository.updated = now
    storage.update_usage(harbor, project)
    headers = {
        **VERSION,
        "location": visit.url(f"manifests/{digest}"),
        "docker-content-digest": digest,
    }
    return Response(status_code=201, headers=headers)


@serves("DELETE", "/manifests/{reference}")
def delete(visit: Visit) -> Response:
    """Delete an artifact with its tags, by digest only. Its repository remains."""
    reference = visit.call.path["reference"]
    if not storage.is_digest(reference):
        raise Refusal(405, f"unsupported digest {reference}", code="UNSUPPORTED")
    repository = _repository(visit)
    digest, _ = find(visit.name, repository, reference)
    tags = immutable.tags_of(visit.project, visit.repository, digest)
    immutable.refuse_deletion(visit.project, visit.repository, tags)
    remove(visit.project, visit.repository, digest)
    storage.update_usage(visit.call.harbor, visit.project)
    return Response(status_code=202)


@serves("GET", "/tags/list")
def list_tags(visit: Visit) -> Response:
    """Return the sorted tags."""
    tags = list(_repository(visit).tags)
    return page(visit.call, tags, lambda shown: {"name": visit.name, "tags": shown})


def find(name: str, repository: Repository, reference: str) -> tuple[str, Artifact]:
    """Return an artifact and its digest, by tag or digest.

    Raises:
        Refusal: it does not exist. The message has ``name``, the name of the repository.
    """
    tag = repository.tags.get(reference)
    digest = tag.digest if tag else reference
    if digest not in repository.artifacts:
        sign = "@" if storage.is_digest(reference) else ":"
        raise Refusal(404, f"artifact {name}{sign}{reference} not found")
    return digest, repository.artifacts[digest]


def remove(project: Project, name: str, digest: str) -> None:
    """Remove an artifact, its tags, and the blobs that no other artifact of the project uses."""
    repository = project.repositories[name]
    unused = set(references(json.loads(repository.artifacts.pop(digest).content)))
    repository.tags = {t: tag for t, tag in repository.tags.items() if tag.digest != digest}
    for other in project.repositories.values():
        for artifact in other.artifacts.values():
            unused -= set(references(json.loads(artifact.content)))
    for blobs in project.blobs.values():
        for blob in unused & blobs.keys():
            del blobs[blob]


def references(manifest: dict[str, Any]) -> list[str]:
    """Return the digests of all parts of a manifest."""
    parts = [*manifest.get("layers", []), *manifest.get("manifests", [])]
    if "config" in manifest:
        parts.append(manifest["config"])
    return [part["digest"] for part in parts]


def _repository(visit: Visit) -> Repository:
    repository = visit.project.repositories.get(visit.repository)
    if repository is None:
        raise Refusal(404, f"repository {visit.name} not found")
    return repository


def _parse(raw: bytes, media_type: str) -> dict[str, Any]:
    """Return the parsed manifest; raise Refusal if it does not match its media type."""
    try:
        manifest = json.loads(raw.decode())  # no other encoding is accepted
        if media_type in (_OCI_MANIFEST, _OCI_INDEX) and manifest.get("schemaVersion") != 2:
            raise RegistryRefusal(500, "UNKNOWN", "unknown error", {})
        parts = references(manifest)
        valid = (
            media_type in _MEDIA_TYPES
            and manifest["schemaVersion"] == 2
            and all(map(storage.is_digest, parts))
        )
        valid = valid and manifest.get("mediaType", media_type) == media_type
        valid = valid and (media_type in _LISTS) == ("manifests" in manifest)
        valid = valid and (media_type in _LISTS or "config" in manifest)
    except (ValueError, TypeError, KeyError, AttributeError):
        valid = False
    if not valid:
        # Harbor's core checks this before the registry does.
        raise Refusal(400, "unmarshal manifest failed: the manifest is invalid", "MANIFEST_INVALID")
    found: dict[str, Any] = manifest
    return found


def _parts(visit: Visit, manifest: dict[str, Any], media_type: str) -> dict[str, int]:
    """Return the sizes of the parts of a manifest; raise Refusal if one is not in its repository."""
    present = dict(visit.project.blobs.get(visit.repository, {}))
    if media_type in _LISTS:
        repository = visit.project.repositories.get(visit.repository)
        artifacts = repository.artifacts if repository else {}
        present = {digest: len(artifact.content.encode()) for digest, artifact in artifacts.items()}
    parts = references(manifest)
    if unknown := [part for part in parts if part not in present]:
        message = "blob unknown to registry"
        raise RegistryRefusal(400, "MANIFEST_BLOB_UNKNOWN", message, *unknown)
    return {part: present[part] for part in parts}
