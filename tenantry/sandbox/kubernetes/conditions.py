"""The conditions of a namespace that is being deleted, as the namespace controller writes them.

Not simulated: times of transitions, and failures of discovery.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from .kinds import JSON, Kind

_FINE = (
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    (
        "NamespaceFinalizersRemaining",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
)


def remaining(left: Mapping[Kind, Sequence[JSON]]) -> list[JSON]:
    """Return the conditions of a namespace in which objects are left, by their kinds."""
    texts = dict(_problems(left))
    return [
        {
            "type": type,
            "status": "True" if type in texts else "False",
            "reason": texts[type][0] if type in texts else reason,
            "message": texts[type][1] if type in texts else message,
        }
        for type, reason, message in _FINE
    ]


def _problems(left: Mapping[Kind, Sequence[JSON]]) -> Iterator[tuple[str, tuple[str, str]]]:
    if not left:
        return
    kinds = sorted(
        f"{kind.plural}.{_group(kind)} has {len(objects)} resource instances"
        for kind, objects in left.items()
    )
    text = f"Some resources are remaining: {', '.join(kinds)}"
    yield "NamespaceContentRemaining", ("SomeResourcesRemain", text)
    finalizers = Counter(
        name
        for objects in left.values()
        for obj in objects
        for name in obj["metadata"].get("finalizers") or ()
    )
    if finalizers:
        found = sorted(
            f"{name} in {number} resource instances" for name, number in finalizers.items()
        )
        text = f"Some content in the namespace has finalizers remaining: {', '.join(found)}"
        yield "NamespaceFinalizersRemaining", ("SomeFinalizersRemain", text)


def _group(kind: Kind) -> str:
    return kind.api_version.rpartition("/")[0]
