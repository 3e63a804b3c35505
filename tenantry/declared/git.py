"""The declared state in a Git repository: loaded at a commit, and saved by a commit and a push."""

import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import stamina
from dulwich.object_store import commit_tree_changes
from dulwich.objects import Blob, Commit, ObjectID, Tree

from tenantry import calls
from tenantry.declared import files
from tenantry.declared.changes import differences
from tenantry.declared.edit import Edit, edit
from tenantry.declared.faults import Document
from tenantry.declared.policy_source import PolicySource
from tenantry.declared.reading import Reading, read
from tenantry.declared.remote import Head, Remote
from tenantry.declared.repository import Repository
from tenantry.declared.saving import (
    DECIDE,
    ChangedSince,
    IfDeclared,
    Proposal,
    check_again,
    propose,
    save_team,
)
from tenantry.declared.state import Declaration
from tenantry.declared.team import Team
from tenantry.errors import ChangedMeanwhile, DeclarationError, SystemRefused

_LONGEST_NAME = 200  # in bytes; file systems take 255
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
    with _checked_out(repository, head) as folder:
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
    with _checked_out(repository, head) as folder:
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
    remote = Remote(repository)
    for attempt in _attempts():
        with attempt:
            head = calls.retry_read(remote.fetch)
            with _checked_out(repository, head) as folder:
                try:
                    declaration, saved = check_again(
                        folder, proposal, _load(repository, head, folder)
                    )
                except ChangedSince as error:
                    raise _conflict(repository, proposal, head, error) from None
                if saved:
                    return declaration
                path = save_team(folder, proposal.content)
                files = {path.relative_to(folder).as_posix(): path}
                message = _message(proposal)
                commit = _push(remote, repository, head, files, message)
                return replace(declaration, origin=_origin(repository, commit))
    raise AssertionError("unreachable: the last attempt returns or raises")


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
    remote = Remote(repository)
    for attempt in _attempts():
        with attempt:
            head = calls.retry_read(remote.fetch)
            with _checked_out(repository, head) as folder:
                declaration, paths = edit(folder, change)
                if not paths:
                    return replace(declaration, origin=_origin(repository, head.id))
                files = {path.relative_to(folder).as_posix(): path for path in paths}
                commit = _push(remote, repository, head, files, f"{message}\n")
                return replace(declaration, origin=_origin(repository, commit))
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


def _origin(repository: Repository, commit: str) -> str:
    return f"commit {commit} of branch '{repository.branch}' of {repository.url}"


def _load(repository: Repository, head: Head, folder: Path) -> Declaration:
    origin = _origin(repository, head.id)
    policy = _policy_at_head(repository, head) if head.id != head.branch_at else None
    try:
        declaration = read(folder, policy)
    except DeclarationError as error:
        raise DeclarationError([f"{origin} is faulty:", *error.faults]) from None
    if head.id != head.branch_at:
        origin += f" (the branch is now at {head.branch_at})"
    return replace(declaration, origin=origin, base=repository.path.strip("/"))


def _policy_at_head(repository: Repository, head: Head) -> PolicySource:
    """Return the policy at the branch's head, which also applies to older commits."""
    latest = head.at_branch()
    with _checked_out(repository, latest) as folder:
        reading = Reading(folder)
        reading.read_platform()
    if reading.platform is None or reading.faults:
        text = f"The policy cannot be read, since {_origin(repository, latest.id)} is faulty:"
        raise DeclarationError([text, *reading.faults])
    name = f"platform.yaml at commit {latest.id[:12]}"
    return PolicySource(reading.platform, replace(reading.platform_file, name=name))


# The commit's files


@contextmanager
def _checked_out(repository: Repository, head: Head) -> Iterator[Path]:
    """Yield a temporary folder with the files of the declared state."""
    with TemporaryDirectory(prefix="tenantry-") as name:
        folder = Path(name)
        root = _tree(repository, head)
        _write(head, folder, [entry for entry in root.items() if entry.path == b"platform.yaml"])
        for entry in root.items():
            if entry.path == b"teams":
                _write_teams(head, folder / "teams", entry)
        yield folder


def _tree(repository: Repository, head: Head) -> Tree:
    """Return the folder in the commit that contains `platform.yaml`."""
    tree = head.objects[head.commit.tree]
    for part in filter(None, repository.path.split("/")):
        assert isinstance(tree, Tree)
        entries = {entry.path: entry for entry in tree.items()}
        entry = entries.get(part.encode())
        if entry is None or not stat.S_ISDIR(entry.mode):
            text = (
                f"{_origin(repository, head.id)} has no folder '{repository.path}': correct "
                "'path' in the Declared State block"
            )
            raise DeclarationError([text])
        tree = head.objects[entry.sha]
    assert isinstance(tree, Tree)
    if b"platform.yaml" not in tree:
        names = sorted(map(_name_of, tree.items()))
        found, hint = ", ".join(names), files.platform_hint(names)
        text = (
            f"{_origin(repository, head.id)} has no platform.yaml in "
            f"{repository.path or 'its root'} (found: {found or 'nothing'}). "
            f"{hint[:1].upper() + hint[1:] or 'Add one'}, or set 'path' of the Declared State "
            "block to the folder that contains it"
        )
        raise DeclarationError([text])
    return tree


def _write_teams(head: Head, folder: Path, teams: Any) -> None:
    """Write the team files. Files that `load` only lists, such as those in sub-folders, are empty."""
    if not stat.S_ISDIR(teams.mode):
        folder.write_bytes(b"")  # `load` reports that it must be a folder
        return
    folder.mkdir()
    entries = _entries(head, teams)
    wanted = [each for each in entries if files.looks_like_yaml(_name_of(each))]
    _write(head, folder, wanted)
    written: set[bytes] = set()  # a tree may hold the same tree many times, at every level
    below = [(folder, each) for each in entries if each not in wanted]
    while below:
        parent, entry = below.pop()
        name = _name_of(entry)
        depth = len(parent.relative_to(folder).parts)
        if files.is_hidden(name) or "/" in name or len(entry.path) > _LONGEST_NAME or depth > 8:
            continue
        if stat.S_ISDIR(entry.mode) and entry.sha not in written:
            written.add(entry.sha)
            (parent / name).mkdir(exist_ok=True)
            below.extend((parent / name, each) for each in _entries(head, entry))
        elif parent != folder and files.looks_like_yaml(name):
            (parent / name).write_bytes(b"")


def _entries(head: Head, folder: Any) -> list[Any]:
    tree = head.objects[folder.sha]
    return list(tree.items()) if isinstance(tree, Tree) else []


def _name_of(entry: Any) -> str:
    return str(entry.path.decode(errors="replace"))


def _write(head: Head, folder: Path, entries: list[Any]) -> None:
    for entry in entries:
        name = _name_of(entry)
        if not stat.S_ISREG(entry.mode) or "/" in name:
            if folder.name != "teams":
                raise DeclarationError([f"{name}:1: is a link or a folder; it must be a file"])
            (folder / name.replace("/", "_")).mkdir()  # reading reports it as this team's fault
            continue
        blob = head.objects[entry.sha]
        assert isinstance(blob, Blob)
        (folder / name).write_bytes(blob.data)


# A new commit


def _push(
    remote: Remote, repository: Repository, head: Head, files: Mapping[str, Path], message: str
) -> str:
    """Push a commit that changes these files, and return its hash."""
    known = set(head.objects)
    changes = []
    for name, path in files.items():
        blob = Blob.from_string(path.read_bytes())
        head.objects.add_object(blob)
        inside = "/".join(filter(None, (repository.path, name)))
        changes.append((inside.encode(), stat.S_IFREG | 0o644, ObjectID(blob.id)))
    commit = Commit()
    commit.tree = commit_tree_changes(head.objects, head.commit.tree, changes)
    commit.parents = [head.commit.id]
    commit.author = commit.committer = repository.author.encode()
    commit.author_time = commit.commit_time = int(time.time())
    commit.author_timezone = commit.commit_timezone = 0
    commit.encoding = b"UTF-8"
    commit.message = message.encode()
    head.objects.add_object(commit)
    remote.push(head, [head.objects[each] for each in set(head.objects) - known], commit)
    return str(commit.id.decode())


def _message(proposal: Proposal) -> str:
    name = proposal.content["name"]
    if proposal.before is None:
        return f"Declare team {name}\n"
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
