"""The images in a Harbor project, and their deletion when a team is removed."""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from tenantry.calls import map_concurrently
from tenantry.errors import ChangedMeanwhile
from tenantry.systems.harbor.client import HarborClient, Row


class Images(NamedTuple):
    """A repository, and its artifacts, as Harbor lists them."""

    repository: Row
    artifacts: list[Row]

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags, sorted."""
        return tuple(
            sorted(tag["name"] for each in self.artifacts for tag in each.get("tags") or ())
        )

    @property
    def size(self) -> int:
        """The sum of the sizes of the artifacts. Layers that they share count each time."""
        return sum(each.get("size") or 0 for each in self.artifacts)

    def latest(self, field: str) -> str:
        """Return the latest time in a field of the artifacts; empty if there is none."""
        times = (str(each.get(field) or "") for each in self.artifacts)
        return max((time for time in times if not time.startswith(_UNSET)), default="")


_UNSET = "0001-01-01"
"""Harbor's date for a time that is not set."""


def images(client: HarborClient, project: str, number: int) -> list[Images]:
    """Return the repositories of a project with their artifacts, sorted by name.

    Args:
        client: Harbor.
        project: the name of the project. Harbor does not accept its number here.
        number: the number of the project.

    Raises:
        ChangedMeanwhile: the name belongs to another project now.
    """
    path = f"/projects/{project}/repositories"
    rows = sorted(client.pages(path, by_name=True), key=lambda row: str(row["name"]))
    if any(row["project_id"] != number for row in rows):
        raise ChangedMeanwhile("harbor", f"GET /api/v2.0{path}", "the project was replaced")

    def read(row: Row) -> Images:
        listed = client.pages(f"{repository_path(project, row['name'])}/artifacts", by_name=True)
        return Images(row, list(listed))

    return map_concurrently(read, rows)


def blocking_rules(client: HarborClient, number: int) -> Iterator[Row]:
    """Yield the immutable-tag rules of a project that are enabled.

    Harbor deletes neither a tag that matches one of them nor its artifact or repository: the answer is
    412.

    Args:
        client: Harbor.
        number: the number of the project.
    """
    for row in client.pages(f"/projects/{number}/immutabletagrules"):
        if not row.get("disabled"):
            yield row


def repository_path(project: str, repository: str) -> str:
    """Return the path of a repository. Harbor decodes its name twice.

    Args:
        project: the name of the project.
        repository: the full name of the repository, which begins with the project.
    """
    inside = quote(quote(repository.removeprefix(f"{project}/"), safe=""), safe="")
    return f"/projects/{project}/repositories/{inside}"
