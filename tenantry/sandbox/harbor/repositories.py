"""The repositories and artifacts of Harbor 2.15.2, as the API shows pushed content.

Not simulated: descriptions, additions, accessories, labels, scans, and the creation of tags.
"""

import json
from operator import itemgetter
from typing import Any
from urllib.parse import quote, unquote

from starlette.responses import Response

from tenantry.sandbox.harbor import access, immutable, manifests, storage
from tenantry.sandbox.harbor.model import Artifact, Project, Repository
from tenantry.sandbox.harbor.routing import Call, routes
from tenantry.sandbox.harbor.wire import Refusal, answer, done, stamp

_ICON = f"sha256:{'0' * 64}"  # Harbor has an icon for each type of artifact
_ALL = "/projects/{project}/repositories"
_ONE = f"{_ALL}/{{repository}}"
_ARTIFACT = f"{_ONE}/artifacts/{{reference}}"


@routes.api("GET", "/repositories")
def list_all_repositories(call: Call) -> Response:
    """Return the repositories of all projects that the caller may see."""
    harbor = call.harbor
    return _list(
        call,
        *(
            project
            for project in harbor.projects.values()
            if access.may(harbor, call.caller, "list", project, "repository")
        ),
    )


@routes.api("GET", _ALL)
def list_repositories(call: Call) -> Response:
    """Return the repositories of a project."""
    return _list(call, call.project("list", "repository", by_name=True))


def _list(call: Call, *projects: Project) -> Response:
    """Return the repositories of these projects, latest first."""
    listing = call.listing
    rows = [
        _repository_json(project, name, repository)
        for project in projects
        for name, repository in project.repositories.items()
    ]
    rows.sort(key=lambda row: row["id"], reverse=True)
    fields = {field: itemgetter(field) for field in ("name", "creation_time", "update_time")}
    return listing.answer(listing.select(rows, fields), lambda row: row)


@routes.api("GET", _ONE)
def get_repository(call: Call) -> Response:
    """Return one repository. A slash in its name is encoded twice."""
    project = call.project("read", "repository", by_name=True)
    return answer(_repository_json(project, *_find_repository(call, project)))


@routes.api("DELETE", _ONE)
def delete_repository(call: Call) -> Response:
    """Delete a repository with its content."""
    project = call.project("delete", "repository", by_name=True)
    name, repository = _find_repository(call, project)
    immutable.refuse_deletion(project, name, repository.tags)
    for digest in list(repository.artifacts):
        manifests.remove(project, name, digest)
    del project.repositories[name]
    project.blobs.pop(name, None)
    storage.update_usage(call.harbor, project)
    return done()


@routes.api("GET", f"{_ONE}/artifacts")
def list_artifacts(call: Call) -> Response:
    """Return the artifacts of a repository, latest push first."""
    listing, project = call.listing, call.project("list", "artifact", by_name=True)
    name, repository = _find_repository(call, project)
    found = sorted(repository.artifacts.items(), key=lambda pair: pair[1].pushed, reverse=True)
    fields = {"digest": lambda pair: pair[0], "push_time": lambda pair: pair[1].pushed}
    found = listing.select(found, fields)
    return listing.answer(found, lambda pair: _artifact_json(call, project, name, *pair))


@routes.api("GET", _ARTIFACT)
def get_artifact(call: Call) -> Response:
    """Return one artifact, by tag or digest."""
    project = call.project("read", "artifact", by_name=True)
    name, repository = _find_repository(call, project)
    found = manifests.find(f"{project.name}/{name}", repository, call.path["reference"])
    return answer(_artifact_json(call, project, name, *found))


@routes.api("DELETE", _ARTIFACT)
def delete_artifact(call: Call) -> Response:
    """Delete an artifact with all its tags, by tag or digest."""
    project = call.project("delete", "artifact", by_name=True)
    name, repository = _find_repository(call, project)
    digest, _ = manifests.find(f"{project.name}/{name}", repository, call.path["reference"])
    immutable.refuse_deletion(project, name, immutable.tags_of(project, name, digest))
    manifests.remove(project, name, digest)
    storage.update_usage(call.harbor, project)
    return done()


@routes.api("DELETE", f"{_ARTIFACT}/tags/{{tag}}")
def delete_tag(call: Call) -> Response:
    """Delete a tag. Its artifact remains."""
    project, tag = call.project("delete", "tag", by_name=True), call.path["tag"]
    name, repository = _find_repository(call, project)
    digest, artifact = manifests.find(f"{project.name}/{name}", repository, call.path["reference"])
    if tag not in repository.tags or repository.tags[tag].digest != digest:
        raise Refusal(404, f"tag {tag} attached to artifact {artifact.id} not found")
    immutable.refuse_deletion(project, name, [tag])
    del repository.tags[tag]
    return done()


def _find_repository(call: Call, project: Project) -> tuple[str, Repository]:
    name = unquote(call.path["repository"])
    if name not in project.repositories:
        raise Refusal(404, f"repository {project.name}/{name} not found")
    return name, project.repositories[name]


def _repository_json(project: Project, name: str, repository: Repository) -> dict[str, Any]:
    return {
        "artifact_count": len(repository.artifacts),
        "creation_time": stamp(repository.created),
        "id": repository.id,
        "name": f"{project.name}/{name}",
        "project_id": project.id,
        "pull_count": repository.pull_count,
        "update_time": stamp(repository.updated),
    }


def _attributes(call: Call, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an artifact that come from the configuration of its image."""
    try:
        image = json.loads(call.harbor.blobs.path(manifest["config"]["digest"]).read_bytes())
    except (LookupError, OSError, ValueError):
        image = {}
    attributes = {key: str(image.get(key, "")) for key in ("architecture", "author", "os")}
    return {**attributes, "config": image.get("config") or {}, "created": image.get("created")}


def _artifact_json(
    call: Call, project: Project, name: str, digest: str, artifact: Artifact
) -> dict[str, Any]:
    repository = project.repositories[name]
    manifest = json.loads(artifact.content)
    shows = call.query.get("with_immutable_status", "false").lower() == "true"
    tags = [
        {
            "artifact_id": artifact.id,
            "id": tag.id,
            "immutable": shows and immutable.is_immutable(project, name, tag_name),
            "name": tag_name,
            "pull_time": stamp(tag.pulled),
            "push_time": stamp(tag.pushed),
            "repository_id": repository.id,
        }
        for tag_name, tag in sorted(repository.tags.items())
        if tag.digest == digest
    ]
    with_tag = call.query.get("with_tag", "true").lower() != "false"
    path = f"/api/v2.0/projects/{project.name}/repositories/{quote(quote(name, safe=''), safe='')}"
    history = f"{path}/artifacts/{digest}/additions/build_history"
    return {
        "accessories": None,
        "addition_links": {"build_history": {"absolute": False, "href": history}},
        "artifact_type": manifest.get("config", {}).get("mediaType", artifact.media_type),
        "digest": digest,
        "extra_attrs": _attributes(call, manifest),
        "icon": _ICON,
        "id": artifact.id,
        "labels": None,
        "manifest_media_type": artifact.media_type,
        "media_type": manifest.get("config", {}).get("mediaType", artifact.media_type),
        "project_id": project.id,
        "pull_time": stamp(artifact.pulled),
        "push_time": stamp(artifact.pushed),
        "references": None,
        "repository_id": repository.id,
        "repository_name": f"{project.name}/{name}",
        "size": artifact.size,
        "tags": (tags or None) if with_tag else None,
        "type": "IMAGE",
    }
