"""The plan of a removal: what is deleted with a team, and what is kept."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from tenantry.answers import understood
from tenantry.declared import Team
from tenantry.errors import TenantryError
from tenantry.kinds import REMOVAL_STEPS
from tenantry.offboarding.holdings import Holding, holdings, observe
from tenantry.offboarding.plan import Deletion, Kept, RemovalPlan, Repository
from tenantry.plan import Change
from tenantry.resources import Id, Live, Observed, Resource, get_path
from tenantry.systems.credentials.accounts import ACCOUNT
from tenantry.systems.credentials.places import holds_more
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.images import Images, blocking_rules, images
from tenantry.systems.harbor.kinds import IMMUTABLE_TAG_RULE, PROJECT, REPOSITORY
from tenantry.systems.harbor.project import project_id
from tenantry.systems.harbor.tags import patterns
from tenantry.systems.keycloak.kinds import GROUP
from tenantry.systems.kubernetes import intents, objects
from tenantry.systems.kubernetes.kinds import (
    NAMESPACE,
    SECRET,
    SERVICE_ACCOUNT,
    TERMINATING_NAMESPACE,
)
from tenantry.systems.systems import Systems
from tenantry.walk import Step, accept_unread, run_directly
from tenantry.wording import count


class Content(NamedTuple):
    """The content of a team's project that only a removal reads."""

    images: list[Images]
    rules: list[Row]
    """The immutable-tag rules that are enabled."""


def plan_removal(
    systems: Systems,
    team: Team,
    step: Step = run_directly,
    *,
    delete_images: bool | None = None,
    adopted: bool = False,
    check_unread: Callable[[Iterable[TenantryError]], None] = accept_unread,
) -> RemovalPlan:
    """Observe a team, and return what its removal deletes and keeps.

    Args:
        systems: the systems. They need not probe credentials.
        team: the team.
        step: runs a step.
        delete_images: whether images are deleted; by default as the team's record says.
        adopted: whether resources that Tenantry has adopted are removed, too.
        check_unread: as in `tenantry.walk.observe_owners`.

    Raises:
        TenantryError: part of the team could not be read.
    """
    if delete_images is None:
        delete_images = team.offboarding is not None and team.offboarding.delete_images
    observed = observe(systems, team, step, check_unread)
    if (failure := observed.failure(team.name)) is not None:
        raise failure
    content = step("observe images", partial(_read_content, systems, team, observed))
    with understood("harbor", f"plan the removal of team '{team.name}'"):
        planner = _Planner(systems, team, observed, content, delete_images, adopted)
        return planner.plan()


def _read_content(systems: Systems, team: Team, observed: Observed, retry: bool) -> Content:
    project = observed.live.get(project_id(team.project))
    if project is None or project.foreign:
        return Content([], [])
    client, number = systems.harbor_client, project.handle["project_id"]
    with understood("harbor", f"read the images of project {team.project}"):
        found = images(client, team.project, number)
        return Content(found, list(blocking_rules(client, number)) if found else [])


class _Planner:
    def __init__(
        self,
        systems: Systems,
        team: Team,
        observed: Observed,
        content: Content,
        delete_images: bool,
        adopted: bool,
    ) -> None:
        self._team = team
        self._observed = observed
        self._content = content
        self._delete_images = delete_images
        self._adopted = adopted
        found = holdings(systems, team, observed, adopted=adopted)
        self._holdings = {each.id: each for each in found}
        self._repositories = [_repository(each) for each in content.images]

    def plan(self) -> RemovalPlan:
        """Return the plan: containers are removed with all that they contain."""
        kept = dict(self._kept())
        going = {
            id
            for id, holding in self._holdings.items()
            if id.kind.removal_step is not None and id not in kept and not holding.why_kept
        }
        removed: list[Deletion] = []
        if project_id(self._team.project) in going:
            removed += self._images()
        for id in going:
            if self._holdings[id].container not in going:
                removed += self._deletions(self._holdings[id], kept)
        removed += self._detached(removed)
        removed += self._terminating()
        removed.sort(key=_order)
        inside = (id for id in kept if self._holdings[id].container in going)
        for id in list(inside):
            del kept[id]
        return RemovalPlan(
            self._team,
            tuple(removed),
            tuple(kept.values()),
            tuple(self._repositories),
            self._delete_images,
            self._adopted,
        )

    def _kept(self) -> Iterator[tuple[Id, Kept]]:
        """Yield the resources that are kept, including those in a container that is deleted."""
        for id, holding in self._holdings.items():
            why, number = holding.why_kept, None
            if id.kind == PROJECT and self._repositories and not self._delete_images:
                number = None if why else int(holding.live.handle["project_id"])
                amount = count(len(self._repositories), "repository", "repositories")
                why = f"it contains {amount}, and the images are to be kept"
            elif id.kind == NAMESPACE and not why and (other := self._other_project(holding)):
                why = (
                    f"it records that Harbor project '{other}' is the team's. Declare 'names: "
                    f"{{project: {other}}}' in the team's file to remove both"
                )
            elif id.kind == GROUP and not why and holding.live.handle.get("subGroupCount"):
                why = "it contains groups that Tenantry did not create"
            if why and (id.kind.removal_step is not None or id.kind.grants_access):
                is_disabled = holding.live.fields.get("disabled") is True
                grants = id.kind.grants_access and not is_disabled
                yield id, Kept(id, why, grants_access=grants, number=number)

    def _other_project(self, holding: Holding) -> str:
        """Return the project that a namespace records if it is not the declared one, else nothing."""
        path = ("metadata", "annotations", intents.PROJECT)
        recorded = str(get_path(holding.live.fields, path) or "")
        return recorded if recorded != self._team.project else ""

    def _images(self) -> Iterator[Deletion]:
        """Yield the deletions without which Harbor does not delete the project."""
        project = self._team.project
        for row in self._content.rules:
            repositories, tags = patterns(row)
            id = Id(IMMUTABLE_TAG_RULE, f"{project}/{repositories}:{tags}")
            note = "it blocks the deletion of images"
            yield _delete(id, str(row["id"]), Live({}, handle=row), note)
        for each, found in zip(self._repositories, self._content.images, strict=True):
            note = count(each.artifacts, "artifact")
            live = Live({}, handle=found.repository)
            yield _delete(Id(REPOSITORY, each.name), str(each.number), live, note)

    def _deletions(self, holding: Holding, kept: dict[Id, Kept]) -> Iterator[Deletion]:
        id, live = holding.id, holding.live
        if id.kind == SECRET and "place" in live.handle and holds_more(live):
            if live.fields.get("robot") is None:
                kept[id] = Kept(id, "it holds keys or credentials that others have added")
                return
            assert isinstance(SECRET.revocation, Mapping)
            change = Change("update", Resource(id, SECRET.revocation), (), live)
            note = "only the credential; what others have added to the Secret is kept"
            yield Deletion(id, _identity(live), "Kubernetes", note, change)
            return
        others = sum(each.container == id for each in map(self._holdings.__getitem__, kept))
        parts = count(others, "resource")
        note = f"with {parts} in it that Tenantry did not create" if others else ""
        yield _delete(id, _identity(live), live, note)

    def _detached(self, removed: list[Deletion]) -> Iterator[Deletion]:
        """Yield the changes of ServiceAccounts to which a Secret that is deleted is attached."""
        names: dict[str, list[str]] = {}
        for each in removed:
            if each.id.kind == SECRET and each.change and each.change.action == "delete":
                namespace, _, name = each.id.key.partition("/")
                names.setdefault(namespace, []).append(name)
        for namespace, secrets in names.items():
            id = objects.id_of(SERVICE_ACCOUNT, ACCOUNT, namespace)
            live = self._observed.live.get(id)
            attached = live.fields["imagePullSecrets"] if live else {}
            if live and (found := sorted(set(secrets) & set(attached))):
                fields = {"imagePullSecrets": dict.fromkeys(found)}
                change = Change("update", Resource(id, fields), (), live)
                note = f"only the reference to {', '.join(found)}"
                yield Deletion(id, " ".join(found), "Kubernetes", note, change)

    def _terminating(self) -> Iterator[Deletion]:
        """Yield the team's namespaces that are being deleted already."""
        for id, live in self._observed.live.items():
            if id.kind != TERMINATING_NAMESPACE or not live.ours:
                continue
            if id.key in self._team.namespaces or live.marked:
                note = "it is being deleted"
                uid = _identity(live)
                yield Deletion(Id(NAMESPACE, id.key, id.cluster), uid, "Namespaces", note)


def _delete(id: Id, identity: str, live: Live, note: str = "") -> Deletion:
    step = id.kind.removal_step or "Harbor"
    return Deletion(id, identity, step, note, Change("delete", Resource(id, {}), (), live))


def _order(deletion: Deletion) -> tuple[int, int, str]:
    """Return the place of a deletion in the plan: rules, images, others, and then the project."""
    kinds = {IMMUTABLE_TAG_RULE: 0, REPOSITORY: 1, PROJECT: 3}
    return (
        REMOVAL_STEPS.index(deletion.step),
        kinds.get(deletion.id.kind, 2),
        str(deletion.id),
    )


def _identity(live: Live) -> str:
    """Return the number or UID of a resource, which no other resource has."""
    handle = live.handle
    return str(next(handle[key] for key in ("uid", "project_id", "id") if key in handle))


def _repository(found: Images) -> Repository:
    row, artifacts = found
    return Repository(
        name=row["name"],
        number=row["id"],
        tags=found.tags,
        artifacts=len(artifacts),
        last_artifact=max((each["id"] for each in artifacts), default=0),
        size=found.size,
        last_push=found.latest("push_time"),
        last_pull=found.latest("pull_time"),
    )
