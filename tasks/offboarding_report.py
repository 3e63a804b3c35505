"""What the flows that offboard teams publish: a page for each team, and an event for each step."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from tasks.pages import artifact_key, publish_pages
from tasks.prefect_api import emit
from tenantry.declared import Team
from tenantry.declared.offboarding import Offboarding
from tenantry.errors import TenantryError
from tenantry.offboarding.plan import Deletion, Kept, RemovalPlan, Removed, Revoked
from tenantry.plan import Change
from tenantry.systems.harbor.kinds import PROJECT
from tenantry.text import Markdown, code, joined, markdown
from tenantry.wording import count

Step = Literal["recorded", "revoked", "approved", "removed", "blocked", "archived", "restored"]
_SHOWN = 200
_SHOWN_FOR_APPROVAL = 50
"""The most lines of a list in an approval: the dialog of the UI is small."""


def emit_step(step: Step, team: str, **payload: Any) -> None:
    """Emit the event of a step, such as `tenantry.offboarding.revoked`."""
    resource = {"prefect.resource.id": f"tenantry.team.{team}", "prefect.resource.name": team}
    emit(f"tenantry.offboarding.{step}", resource, {"team": team, **payload})


def publish_revoked(revoked: Revoked, record: Offboarding, *, dry_run: bool = False) -> None:
    """Publish the page of a revocation."""
    publish_pages([(page_key(revoked.team), _revoked_page(revoked, record, dry_run))])


def page_key(team: str) -> str:
    """Return the key of the artifact with a team's page."""
    return artifact_key("offboarding", team)


def _revoked_page(revoked: Revoked, record: Offboarding, dry_run: bool) -> Markdown:
    images = "are deleted" if record.delete_images else "are kept, with their project"
    what = "would be changed" if dry_run else "changed"
    head = markdown(
        "# Offboarding of team {}\n\nRecorded on {} by {}. The team is removed on {} or later, after a "
        "person has approved the removal. Its images {}. Until then *onboard-team* with the name of the "
        "team restores everything.",
        code(revoked.team),
        record.since.date().isoformat(),
        code(record.by),
        record.remove_after.isoformat(),
        images,
    )
    done = markdown(
        "## Revoked\n\n{} {}.\n\n{}",
        count(len(revoked.done), "resource"),
        what,
        changes(revoked.done),
    )
    parts = [head, done]
    if revoked.kept:
        parts.append(markdown("## Not revoked\n\n{}", kept(revoked.kept)))
    return joined("\n\n", parts)


def changes(found: Iterable[Change]) -> Markdown:
    """Return changes as a list."""
    return _list(markdown("- {} {} {} {}", each.action, *each.id.parts) for each in found)


def kept(found: Iterable[Kept], most: int = _SHOWN) -> Markdown:
    """Return what is left as a list, with the reasons."""
    lines = (markdown("- {} {} {}: {}", *each.id.parts, each.reason) for each in found)
    return _list(lines, most)


def removals(found: Iterable[Deletion], most: int = _SHOWN) -> Markdown:
    """Return removed resources as a list, each with its note. Repositories are listed by `images`."""
    lines = (
        markdown("- {} {} {} ({})", *each.id.parts, each.note)
        if each.note
        else markdown("- {} {} {}", *each.id.parts)
        for each in found
        if not each.is_image
    )
    return _list(lines, most)


def _list(lines: Iterator[Markdown], most: int = _SHOWN) -> Markdown:
    found = list(lines)
    more = len(found) - most
    shown = found[:most] + [markdown("- … and {} more", more)] * (more > 0)
    return joined("\n", shown) if shown else markdown("Nothing.")


# Removals


@dataclass(frozen=True)
class TeamRemoval:
    """The removal of one team in a run. Prefect must not look into it: it is passed in lists only."""

    team: Team
    record: Offboarding
    plan: RemovalPlan | None = None
    """What is removed and kept; None if the team could not be read."""
    result: Removed | None = None
    """What was removed and kept; None if the removal did not end."""
    error: TenantryError | None = None
    waits_for: str = ""
    """The name of another run that waits for the approval; empty if there is none."""

    @property
    def name(self) -> str:
        """The team's name."""
        return self.team.name

    @property
    def is_approved(self) -> bool:
        """Whether a person has approved the plan, or it removes nothing."""
        plan = self.plan
        return plan is not None and (plan.is_empty or plan.is_approved(self.record.approved))

    @property
    def is_done(self) -> bool:
        """Whether the team is removed."""
        return self.error is None and self.result is not None and self.result.is_complete

    @property
    def summary(self) -> str:
        """The result in one line."""
        if self.error is not None:
            return f"Team '{self.name}': {self.error}"
        if self.waits_for:
            return (
                f"Team '{self.name}': run '{self.waits_for}' waits for the approval of its removal. "
                "Open that run in the UI and choose Resume."
            )
        if self.result is None:
            return f"Team '{self.name}' was not removed."
        removed = count(len(self.result.removed), "resource")
        if self.result.blocked:
            blocked = "; ".join(str(each) for each in self.result.blocked)
            return (
                f"Team '{self.name}': {removed} removed. Still blocked: {blocked}. The next run "
                "waits for them again."
            )
        projects = [each.id.key for each in self.result.kept if each.id.kind == PROJECT]
        kept = f", project kept: {projects[0]}" if projects else ""
        others = len(self.result.kept) - len(projects)
        more = f", {count(others, 'other resource')} kept" if others else ""
        return f"Team '{self.name}': {removed} removed{kept}{more}."


def publish_removals(found: Iterable[TeamRemoval]) -> None:
    """Publish a page for each team: what is removed, or was removed, and what is kept."""
    publish_pages(
        (artifact_key("removal", each.name), removal_page(each)) for each in found if each.plan
    )


def removal_page(each: TeamRemoval) -> Markdown:
    """Return the page of a team's removal."""
    plan, result = each.plan, each.result
    assert plan is not None
    removed = result.removed if result else plan.removed
    left = result.kept if result else plan.kept
    parts = [
        markdown(
            "# Removal of team {}\n\nOffboarded on {} by {}. Plan {}.",
            code(each.name),
            each.record.since.date().isoformat(),
            code(each.record.by),
            code(plan.digest),
        ),
    ]
    if plan.repositories:
        heading = _images_in_short(plan)
        parts.append(markdown("## Images\n\n{}\n\n{}", heading, images(plan)))
    parts += [
        markdown("## {}\n\n{}", "Removed" if result else "To remove", removals(removed)),
        markdown("## Kept\n\n{}", kept(left)),
    ]
    if result and result.blocked:
        blocked = _list(markdown("- {}", str(part)) for part in result.blocked)
        parts.append(markdown("## Blocked\n\n{}", blocked))
    if each.error is not None:
        parts.append(markdown("## Failed\n\n{}", str(each.error)))
    return joined("\n\n", parts)


def images(plan: RemovalPlan, most: int = _SHOWN) -> Markdown:
    """Return the repositories of a plan as a list, with tags, size and last pull."""
    lines = (
        markdown(
            "- {}: {} ({}), {}, last pull: {}",
            code(each.name),
            count(each.artifacts, "artifact"),
            ", ".join(each.tags[:10]) + (" …" if len(each.tags) > 10 else "") or "no tags",
            size_text(each.size),
            _time_text(each.last_pull) or "never",
        )
        for each in plan.repositories
    )
    return _list(lines, most)


def _time_text(time: str) -> str:
    """Return a time of Harbor for people, such as `2026-11-30 19:26 UTC`."""
    try:
        return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return time


def question(planned: Sequence[TeamRemoval]) -> Markdown:
    """Return what a person approves: the removal of these teams."""
    parts = [
        markdown(
            "**Remove {}. This cannot be undone.** The tab *Artifacts* of this run has a page for each "
            "team, *removal-TEAM*, with complete lists.",
            joined(", ", (code(each.name) for each in planned)),
        )
    ]
    for each in planned:
        if plan := each.plan:
            parts.append(markdown("### {}\n\n{}", each.name, _images_in_short(plan)))
            if plan.deletes_images:
                parts.append(images(plan, _SHOWN_FOR_APPROVAL))
            parts.append(markdown("**Remove:**\n\n{}", removals(plan.removed, _SHOWN_FOR_APPROVAL)))
            if plan.kept:
                parts.append(markdown("**Keep:**\n\n{}", kept(plan.kept, _SHOWN_FOR_APPROVAL)))
    return joined("\n\n", parts)


def _images_in_short(plan: RemovalPlan) -> Markdown:
    """Return in one sentence what happens to the images."""
    if not plan.repositories:
        return markdown("The project has no images.")
    amount = count(len(plan.repositories), "repository", "repositories")
    size = size_text(sum(each.size for each in plan.repositories))
    if plan.deletes_images:
        return markdown("**All images are deleted**: {}, {}.", amount, size)
    return markdown("The images are kept with their project: {}, {}.", amount, size)


def size_text(size: int) -> str:
    """Return a size in bytes with a binary unit, such as `1.5 GiB`."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def dry_run(planned: Sequence[TeamRemoval]) -> str:
    """Return the message of a run that removes nothing."""
    lines = ["Dry run: nothing was removed."]
    for each in planned:
        if each.plan is None:
            lines.append(each.summary)
            continue
        amount = count(len(each.plan.removed), "resource")
        approved = "approved" if each.is_approved else "needs an approval"
        lines.append(
            f"Team '{each.name}': {amount} to remove, {len(each.plan.kept)} kept, plan "
            f"{each.plan.digest} ({approved})."
        )
    return "\n".join(lines)
