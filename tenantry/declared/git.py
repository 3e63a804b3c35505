"""The declared state in a Git repository: loaded at a commit, and saved by a commit and a push."""

import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import stamina
from dulwich.object_store import commit_tree_changes
from dulwich.objects import Blob, Commit, ObjectID

from tenantry import calls
from tenantry.declared.changes import differences
from tenantry.declared.checkout import checked_out, origin_of
from tenantry.declared.edit import Edit, edit
from tenantry.declared.ended import find_ended
from tenantry.declared.faults import Document
from tenantry.declared.offboarding import KEY, Offboarding
from tenantry.declared.offboarding_edits import archive_team
from tenantry.declared.policy_source import PolicySource
from tenantry.declared.proposal import DECIDE, ChangedSince, IfDeclared, Proposal
from tenantry.declared.reading import gather, read
from tenantry.declared.remote import Head, Remote
from tenantry.declared.repository import Repository
from tenantry.declared.restoring import without_ended
from tenantry.declared.saving import check_again, propose, save_team
from tenantry.declared.state import Declaration
from tenantry.declared.team import Team
from tenantry.errors import ChangedMeanwhile, DeclarationError, SystemRefused

T = TypeVar("T")

MAX_ATTEMPTS = 16
"""How often a commit is repeated on the new head when another push comes first."""


def load_commit(repository: Repository, commit: str | None = None) -> Declaration:
    """Return the checked declared state at the branch's head, or at one of its commits.

    Args:
        repository: the repository.
        commit: the full hash of a commit of the branch.

    Raises:
        DeclarationError: the platform is faulty; names the commit and lists all faults.
        SystemRefused: the repository, branch or commit does not exist or is not accessible.
        SystemUnavailable: the repository did not answer four attempts.
    """
    head = calls.retry_read(lambda: Remote(repository).fetch(commit))
    with checked_out(repository, head) as folder:
        return _load(repository, head, folder)


def propose_commit(
    repository: Repository,
    team: Team,
    if_declared: IfDeclared = "replace",
    form: Document | None = None,
) -> Proposal:
    """Return a team's declaration at the branch's head, checked together with all other teams.

    Args:
        repository: the repository of the declared state.
        team: the team, with only the fields that were given.
        if_declared: whether the given fields are merged into the file of a declared team, or
            replace it.
        form: the source of the team's fields, for messages.

    Raises:
        DeclarationError: the team or the platform is faulty.
        SystemRefused: the repository or branch does not exist or is not accessible.
        SystemUnavailable: the repository does not answer.
    """
    head = calls.retry_read(Remote(repository).fetch)
    with checked_out(repository, head) as folder:
        declaration = _load(repository, head, folder)
        proposal = propose(folder, team, if_declared, form, declaration)
        proposal.commit = head.id
        return proposal


def push_proposal(repository: Repository, proposal: Proposal) -> Declaration:
    """Commit a team file on the branch's head and push it, unless it has the same content already.

    If another push comes first, the commit is repeated on the new head.

    Returns:
        The checked declared state with the team. Its origin is the new commit.

    Raises:
        DeclarationError: the declared state has become faulty, or is faulty with the team.
        SystemRefused: the push is not allowed, or the same team was changed since the proposal.
        ChangedMeanwhile: another push came first at each attempt.
        SystemUnavailable: the repository does not answer.
    """

    def push(remote: Remote, head: Head, folder: Path) -> Declaration:
        is_same = head.id == proposal.commit
        current = proposal.base if is_same else _load(repository, head, folder)
        try:
            declaration, saved = check_again(folder, proposal, current)
        except ChangedSince as error:
            raise _conflict(repository, proposal, head, error) from None
        if saved:
            return declaration
        path = save_team(folder, proposal.content, current)
        files = {path.relative_to(folder).as_posix(): path}
        message = _message(proposal)
        commit = push_commit(remote, repository, head, files, message)
        return replace(declaration, origin=origin_of(repository, commit))

    return _on_head(repository, push)


def push_edit(repository: Repository, change: Edit, message: str) -> Declaration:
    """Commit an edit of the declared state's files on the branch's head, and push it.

    An edit without changes is not pushed. If another push comes first, the edit is repeated on the
    new head.

    Args:
        repository: the repository of the declared state.
        change: the function that changes each file.
        message: the commit message, one sentence.

    Returns:
        The declared state after the edit.

    Raises:
        DeclarationError: the platform is faulty, or the edit would make a file faulty.
        SystemRefused: the push is not allowed.
        ChangedMeanwhile: another push came first at each attempt.
        SystemUnavailable: the repository does not answer.
    """

    def push(remote: Remote, head: Head, folder: Path) -> Declaration:
        declaration, paths = edit(folder, change)
        if not paths:
            return replace(declaration, origin=origin_of(repository, head.id))
        files = {path.relative_to(folder).as_posix(): path for path in paths}
        commit = push_commit(remote, repository, head, files, f"{message}\n")
        return replace(declaration, origin=origin_of(repository, commit))

    return _on_head(repository, push)


def find_ended_teams(repository: Repository, names: Collection[str]) -> list[str]:
    """Return those of these teams that are being offboarded, or were removed, at the branch's head.

    Raises:
        SystemRefused: the repository or branch does not exist or is not accessible.
        SystemUnavailable: the repository does not answer.
    """
    head = calls.retry_read(Remote(repository).fetch)
    with checked_out(repository, head) as folder:
        return find_ended(folder, names)


def push_archive(
    repository: Repository,
    name: str,
    record: Offboarding,
    removed: datetime,
    kept: Mapping[str, str],
    projects: Mapping[str, int],
) -> None:
    """Commit that a removed team's file moves to the archive, and push it: one commit.

    If another push comes first, the commit is repeated on the new head.

    Args:
        repository: the repository of the declared state.
        name: the team's name.
        record: the record of its offboarding, as the run has read it.
        removed: the time of the removal.
        kept: the kept resources, with the reasons.
        projects: as in `archive_team`.

    Raises:
        TenantryError: the record was changed, or the push is not allowed.
        ChangedMeanwhile: another push came first at each attempt.
        SystemUnavailable: the repository does not answer.
    """

    def push(remote: Remote, head: Head, folder: Path) -> None:
        moved = archive_team(folder, name, record, removed, kept, projects)
        if moved.written:
            written = {each: folder / each for each in moved.written}
            message = f"Archive team {name}, which was removed\n"
            push_commit(remote, repository, head, written, message, moved.deleted)

    _on_head(repository, push)


def _on_head(repository: Repository, push: Callable[[Remote, Head, Path], T]) -> T:
    """Return what `push` returns for a checkout of the branch's head, as soon as no other push comes first."""
    remote = Remote(repository)
    for attempt in _attempts():
        with attempt:
            head = calls.retry_read(remote.fetch)
            with checked_out(repository, head) as folder:
                return push(remote, head, folder)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _attempts() -> Iterator[stamina.Attempt]:
    """Return the attempts of a push, repeated while other pushes come first."""
    return iter(
        stamina.retry_context(
            on=ChangedMeanwhile,
            attempts=MAX_ATTEMPTS,
            timeout=None,
            wait_initial=0.05,
            wait_max=2.0,
            wait_jitter=0.5,
        )
    )


def _load(repository: Repository, head: Head, folder: Path) -> Declaration:
    origin = origin_of(repository, head.id)
    if head.id == head.branch_at:
        latest = policy = None
    else:
        latest, policy = _read_branch(repository, head)
    try:
        declaration = read(folder, policy)
    except DeclarationError as error:
        raise DeclarationError([f"{origin} is faulty:", *error.faults]) from None
    if latest is not None:
        declaration = without_ended(declaration, latest)
        origin += f" (the branch is now at {head.branch_at})"
    return replace(declaration, origin=origin, base=repository.path.strip("/"))


def _read_branch(repository: Repository, head: Head) -> tuple[Declaration, PolicySource]:
    """Return the declared state at the branch's head, and its policy.

    The policy also applies to older commits, and so do the offboardings of teams.
    """
    latest = head.at_branch()
    with checked_out(repository, latest) as folder:
        reading = gather(folder)
        if reading.platform is None or reading.platform_file.faults:
            text = f"The policy cannot be read, since {origin_of(repository, latest.id)} is faulty:"
            raise DeclarationError([text, *reading.platform_file.faults])
        name = f"platform.yaml at commit {latest.id[:12]}"
        source = PolicySource(reading.platform, replace(reading.platform_file.document, name=name))
        return reading.result(), source


# A new commit


def push_commit(
    remote: Remote,
    repository: Repository,
    head: Head,
    files: Mapping[str, Path],
    message: str,
    deleted: Iterable[str] = (),
    new_branch: str = "",
) -> str:
    """Push a commit that changes and deletes these files, and return its hash.

    Args:
        remote: the remote repository.
        repository: the repository of the declared state.
        head: the parent of the commit.
        files: the changed files: their paths in the declared state, and their contents on the disk.
        message: the commit message.
        deleted: the paths of the deleted files.
        new_branch: the branch to create for the commit; by default the repository's branch moves.
    """
    known = set(head.objects)
    changes: list[tuple[bytes, int | None, ObjectID | None]] = []
    for name in deleted:
        changes.append((_inside(repository, name), None, None))
    for name, path in files.items():
        blob = Blob.from_string(path.read_bytes())
        head.objects.add_object(blob)
        changes.append((_inside(repository, name), stat.S_IFREG | 0o644, ObjectID(blob.id)))
    commit = Commit()
    commit.tree = commit_tree_changes(head.objects, head.commit.tree, changes)
    commit.parents = [head.commit.id]
    commit.author = commit.committer = repository.author.encode()
    commit.author_time = commit.commit_time = int(time.time())
    commit.author_timezone = commit.commit_timezone = 0
    commit.encoding = b"UTF-8"
    commit.message = message.encode()
    head.objects.add_object(commit)
    new = [head.objects[each] for each in set(head.objects) - known]
    remote.push(head, new, commit, new_branch)
    return str(commit.id.decode())


def _inside(repository: Repository, name: str) -> bytes:
    """Return the path of a file of the declared state within the repository."""
    return "/".join(filter(None, (*repository.path.split("/"), name))).encode()


def _message(proposal: Proposal) -> str:
    name = proposal.content["name"]
    if proposal.before is None:
        if KEY in proposal.content:
            return f"Record the offboarding of team {name}, whose file had vanished\n"
        return f"Declare team {name}\n"
    if proposal.restores:
        return f"Onboard team {name} again, which was being offboarded\n"
    changed = [each.field for each in differences(proposal.before, proposal.content)]
    return f"Change team {name}: {', '.join(changed)}\n"


def _conflict(
    repository: Repository, proposal: Proposal, head: Head, error: ChangedSince
) -> SystemRefused:
    """Return the error for another push that has changed the same team."""
    text = (
        f"team '{proposal.content['name']}' was {error.action} by another push between commit "
        f"{proposal.commit}, which this run has read, and commit {head.id}, the head of branch "
        f"'{repository.branch}': {error.fields}"
    )
    advice = f"Nothing was pushed. {DECIDE}"
    return SystemRefused("git", f"push to {repository.url}", text, advice=advice)
