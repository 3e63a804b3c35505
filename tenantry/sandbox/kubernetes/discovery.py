"""Discovery documents: groups, versions and resources, and the parameters that they accept.

kubectl reads them before it sends other requests. It learns the path of a resource from the groups,
and from the OpenAPI documents whether the server validates fields.
"""

from .kinds import JSON, KINDS, Kind

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update"]
_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


def core_versions(url: str) -> JSON:
    """Return the answer of /api."""
    address = {"clientCIDR": "0.0.0.0/0", "serverAddress": url.partition("//")[2]}
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [address],
    }


def group_list() -> JSON:
    """Return the answer of /apis."""
    groups = []
    for name in dict.fromkeys(kind.group for kind in KINDS if kind.group):
        version = {"groupVersion": f"{name}/v1", "version": "v1"}
        groups.append({"name": name, "versions": [version], "preferredVersion": version})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def resource_list(group: str, version: str) -> JSON | None:
    """Return the answer of /api/v1 and /apis/<group>/<version>, or None if they do not exist."""
    kinds = [kind for kind in KINDS if (kind.group, kind.version) == (group, version)]
    if not kinds:
        return None
    resources = [
        {
            "name": kind.plural,
            "singularName": kind.name.lower(),
            "namespaced": kind.namespaced,
            "kind": kind.name,
            "verbs": _VERBS,
            "shortNames": list(kind.short),
        }
        for kind in kinds
    ]
    version_name = kinds[0].api_version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version_name,
        "resources": resources,
    }


def openapi_index() -> JSON:
    """Return the answer of /openapi/v3: the URL of the document for each group and version."""
    paths = dict.fromkeys(_root(kind) for kind in KINDS)
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in paths}}


def openapi(path: str) -> JSON | None:
    """Return the document of a group and version, such as `apis/rbac.authorization.k8s.io/v1`.

    It has the parameters of a patch and no schemas. None means that the path has no such document.
    """
    kinds = [kind for kind in KINDS if _root(kind) == path]
    if not kinds:
        return None
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": {_object_path(kind): {"patch": _patch(kind)} for kind in kinds},
    }


def _root(kind: Kind) -> str:
    return f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}"


def _object_path(kind: Kind) -> str:
    inside = "namespaces/{namespace}/" if kind.namespaced else ""
    return f"/{_root(kind)}/{inside}{kind.plural}/{{name}}"


def _patch(kind: Kind) -> JSON:
    return {
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string"}} for name in _PARAMETERS
        ],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-group-version-kind": {
            "group": kind.group,
            "kind": kind.name,
            "version": kind.version,
        },
    }
