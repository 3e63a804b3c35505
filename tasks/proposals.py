"""The declaration that a call proposes for a team: its check, its approval, and saving it."""

from collections.abc import Sequence
from typing import Any

from prefect import get_run_logger

from blocks.platform import PlatformBlocks
from tasks.approval import bullets, request_approval
from tasks.connections import log_warnings
from tasks.pages import artifact_key
from tasks.step import step
from tasks.tables import publish_table
from tenantry import explain
from tenantry.declared import IfDeclared, Proposal, read_form
from tenantry.explain import plan_hash
from tenantry.outcomes import NotApproved
from tenantry.plan import Plan
from tenantry.resources import Id, Observed
from tenantry.systems.kubernetes.kinds import NAMESPACE
from tenantry.text import code, joined, markdown
from tenantry.wording import count

_SHOWN = 100
"""The most resources that an approval lists."""


@step("check declaration")
def check_declaration(blocks: PlatformBlocks, given: Any, if_declared: IfDeclared) -> Proposal:
    """Return how the team of a call would be declared, checked together with all other teams.

    If it changes the file of a team that is declared already, the difference is published.

    Raises:
        DeclarationError: the team is faulty; with every fault.
        AlreadyDeclared: it would change the declaration of a team, and the call does not allow that.
    """
    team, form = read_form(given)
    proposal = blocks.declared_state.propose(team, if_declared, form)
    if proposal.changes:
        publish_table(
            artifact_key("difference", team.name),
            [change.cut._asdict() for change in proposal.changes],
            markdown("Changes to {}.", proposal.file),
        )
    if if_declared == "refuse":
        proposal.refuse()
    return proposal


def taken_over(proposal: Proposal, observed: Observed) -> list[Id]:
    """Return the live resources of a removed team whose name a proposal declares again.

    A caller of the API chooses the name. The removed team of that name may have belonged to other users.
    """
    if proposal.before is not None or proposal.overwrites:
        return []
    team = proposal.team
    # A namespace is never an extra resource of a team, so it is not among the marked resources.
    namespaces = [Id(NAMESPACE, name) for name in team.namespaces]
    held = [id for id in namespaces if id in observed.live and observed.live[id].ours]
    return sorted({*held, *(id for id, _ in observed.marked(team.name))})


def refuse_unattended(team: str, taken: Sequence[Id]) -> None:
    """Refuse to take over a removed team in a run that requires no approval.

    Raises:
        NotApproved: the run would take over resources, which are named.
    """
    if taken:
        more = f" and {len(taken) - 5} more" if len(taken) > 5 else ""
        names = ", ".join(f"{each.kind} {each.key}" for each in taken[:5])
        raise NotApproved(
            f"Team '{team}' is not declared, but resources of a removed team of this name exist: "
            f"{names}{more}. Onboarding would take them over. Nothing was changed. Choose another "
            "name, start the run with `require_approval: true`, or declare the team in the declared "
            "state."
        )


def needs_approval(proposal: Proposal, plan: Plan, taken: Sequence[Id] = ()) -> bool:
    """Return whether a user must approve a proposal before it is saved and its plan applied.

    That is so if the plan deletes something or takes over a removed team, or if the difference
    cannot be shown because the present file cannot be read.
    """
    return proposal.writes and bool(plan.removals or proposal.overwrites or taken)


def approve(proposal: Proposal, plan: Plan, taken: Sequence[Id] = ()) -> None:
    """Have a user approve a proposal and its plan.

    Args:
        proposal: the team's new declaration.
        plan: what it changes in the systems.
        taken: the resources of a removed team that it takes over.

    Raises:
        NotApproved: it was rejected.
    """
    changes = proposal.changes
    fields = joined(", ", (code(change.field) for change in changes[:10]))
    more = f" and {len(changes) - 10} more" if len(changes) > 10 else ""
    what = markdown("changes {}{} in", fields, more) if changes else markdown("writes")
    unread = markdown(", **which cannot be read now** and is overwritten")
    effects, shown = [], []
    if taken:
        amount = count(len(taken), "resource")
        effects.append(markdown("**takes over {}** of a removed team", amount))
        shown += [markdown("- take over {} {} {}", *each.parts) for each in taken[:_SHOWN]]
        shown += [markdown("- … and {} more", len(taken) - _SHOWN)] * (len(taken) > _SHOWN)
    if plan.removals or not taken:
        verb = "deletes or disables" if any(c.retires for c in plan.removals) else "deletes"
        effects.append(markdown("**{} {}**", verb, count(len(plan.removals), "resource")))
        shown.append(bullets(plan.removals))
    request_approval(
        markdown(
            "The new declaration of team {} {}. It {} {}{}. All {} changes are in the "
            "artifact *{}*. Until you approve, neither the file nor any system is changed.\n\n{}",
            code(plan.team),
            joined(" and ", effects),
            what,
            code(proposal.file),
            unread if proposal.overwrites else markdown(""),
            len(plan.changes),
            artifact_key("plan", plan.team),
            joined("\n", shown),
        ),
        plan_hash([*explain.steps(plan), proposal.step, *map(str, taken)]),
    )


def refuse_other(approved: Plan, now: Plan) -> None:
    """Refuse a plan that deletes or disables something and is not the one that was shown and approved.

    Raises:
        NotApproved: the plan differs.
    """
    deletes = approved.removals or now.removals
    if deletes and explain.steps(now) != explain.steps(approved):
        raise NotApproved(
            f"The systems have changed since plan {plan_hash(explain.steps(approved))} was made: "
            f"the current plan is {plan_hash(explain.steps(now))}. Nothing was changed. Start the "
            "run again, and approve the plan that it shows."
        )


@step("save team to declared state")
def save_team(blocks: PlatformBlocks, proposal: Proposal) -> None:
    """Write the team to the declared state, before any system is changed."""
    declaration = blocks.declared_state.save_team(proposal)
    get_run_logger().info("Declared in %s.", declaration.origin)
    log_warnings(declaration)
