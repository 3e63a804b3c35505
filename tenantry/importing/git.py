"""Imports into a branch of a Git repository, for a review before it is merged."""

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from tenantry import calls
from tenantry.declared.checkout import checked_out, origin_of
from tenantry.declared.git import push_commit
from tenantry.declared.remote import Remote
from tenantry.declared.repository import Repository
from tenantry.errors import DeclarationError
from tenantry.importing.importer import Imported
from tenantry.importing.writer import write


def push_import(
    repository: Repository, branch: str, make: Callable[[Path], Imported], message: str
) -> tuple[Imported, str]:
    """Import into a new branch, and push it.

    Args:
        repository: the repository of the declared state. The branch begins at the head of its branch.
        branch: the name of the new branch.
        make: imports, given a folder with the declared state.
        message: the commit message, one sentence.

    Returns:
        The import, and the pushed commit; an empty text if there was nothing to write.

    Raises:
        DeclarationError: the branch's name is not valid.
        SystemRefused: the branch exists, or the push is not allowed.
        SystemUnavailable: the repository does not answer.
        TenantryError: a system cannot be read. Nothing was pushed.
    """
    there = _on_branch(repository, branch)
    remote = Remote(repository)
    head = calls.retry_read(remote.fetch)
    with checked_out(repository, head) as folder:
        imported = make(folder)
        files = {path.relative_to(folder).as_posix(): path for path in write(imported, folder)}
        if not files:
            return imported, ""
        commit = push_commit(remote, repository, head, files, f"{message}\n", new_branch=branch)
    return imported, origin_of(there, commit)


def _on_branch(repository: Repository, branch: str) -> Repository:
    """Return the repository with another branch.

    Raises:
        DeclarationError: the branch's name is not valid.
    """
    try:
        return Repository.model_validate({**dict(repository), "branch": branch})
    except ValidationError as error:
        text = str(error.errors(include_input=False)[0]["msg"]).removeprefix("Value error, ")
        raise DeclarationError([f"branch: {text}"]) from None
