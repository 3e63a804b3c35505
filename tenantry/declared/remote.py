"""A branch of a remote Git repository: fetched into memory, and pushed to if it has not moved.

It writes nothing to the disk and starts no program. So the credentials appear in no file, argument
or URL, and concurrent calls do not interfere.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import urllib3
from dulwich.client import (
    GitClient,
    LocalGitClient,
    SSHGitClient,
    Urllib3HttpGitClient,
    default_urllib3_manager,
)
from dulwich.config import ConfigFile
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository, SendPackError
from dulwich.object_store import MemoryObjectStore
from dulwich.objects import Commit, ObjectID, ShaFile
from dulwich.pack import pack_objects_to_data
from dulwich.refs import Ref
from dulwich.repo import MemoryRepo, Repo
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError

from tenantry.calls import TIMEOUT, is_temporary, retry_after
from tenantry.confidential import hide_wire_logs
from tenantry.declared.keys import read_private_key
from tenantry.declared.repository import Repository
from tenantry.declared.ssh import Ssh
from tenantry.errors import (
    CallFailed,
    ChangedMeanwhile,
    SystemRefused,
    SystemUnavailable,
    TenantryError,
)

hide_wire_logs()

_HEADS = b"refs/heads/"
_CONCURRENT_PUSH = {"failed to update ref", "cannot lock ref", "incorrect old value provided"}
"""Servers' messages for a branch that another push is updating at the same time."""

_HOOKS = ("pre-receive", "update", "reference-transaction", "post-receive", "post-update")


class Head:
    """A commit of the branch with all of its objects, in memory."""

    def __init__(self, objects: MemoryObjectStore, commit: ObjectID, branch_at: ObjectID) -> None:
        found = objects[commit]
        assert isinstance(found, Commit)
        self.objects = objects
        self.commit = found
        self.branch_at = branch_at.decode()
        """The branch's head at the time of the fetch."""

    @property
    def id(self) -> str:
        """The commit's full hash."""
        return str(self.commit.id.decode())

    def at_branch(self) -> "Head":
        """Return the commit at the branch's head at the time of the fetch."""
        at = ObjectID(self.branch_at.encode())
        return Head(self.objects, at, at)


class Remote:
    """The branch of a `Repository`.

    Its methods raise SystemUnavailable for transient failures and SystemRefused for permanent
    ones, both with the server's message.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._ref = Ref(_HEADS + repository.branch.encode())

    def fetch(self, commit: str | None = None) -> Head:
        """Return the branch's head, or one of its commits.

        The head is fetched without its history. An earlier commit needs the whole history, to
        verify that it is on the branch.

        Args:
            commit: a commit's full hash.
        """
        objects, head = self._fetch(depth=1)
        wanted = ObjectID(commit.encode()) if commit else head
        if wanted == head:
            return Head(objects, head, head)
        objects, head = self._fetch(depth=None)
        if wanted in objects and isinstance(objects[wanted], Commit):
            return Head(objects, wanted, head)
        raise SystemRefused(
            "git",
            f"fetch from {self._repository.url}",
            f"commit {commit} is not on branch '{self._repository.branch}', which is at "
            f"{head.decode()}: it was never pushed there, or the branch's history was rewritten",
            advice="Give a commit of the branch, or none for its head.",
        )

    def _fetch(self, depth: int | None) -> tuple[MemoryObjectStore, ObjectID]:
        repo = MemoryRepo()
        found: list[ObjectID] = []

        def wants(refs: Any, depth: int | None = None) -> list[ObjectID]:
            found.append(self._head(refs))
            return found

        with self._client_for("fetch from") as client:
            client.fetch(self._path, repo, wants, depth=depth, ref_prefix=[_HEADS])
        assert isinstance(repo.object_store, MemoryObjectStore)
        return repo.object_store, found[-1]

    def _head(self, refs: dict[bytes, bytes]) -> ObjectID:
        if self._ref in refs:
            return ObjectID(refs[self._ref])
        branches = sorted(
            ref.removeprefix(_HEADS).decode(errors="replace")
            for ref in refs
            if ref.startswith(_HEADS)
        )
        call = f"fetch from {self._repository.url}"
        if not branches:
            advice = "Push a platform.yaml first: a line 'name: My platform' is enough."
            raise SystemRefused("git", call, "the repository is empty", advice=advice)
        shown = ", ".join(branches[:10]) + (", …" if len(branches) > 10 else "")
        text = f"branch '{self._repository.branch}' does not exist; existing branches: {shown}"
        raise SystemRefused("git", call, text, advice="Correct the Declared State block.")

    def push(
        self, onto: Head, objects: Sequence[ShaFile], commit: Commit, new_branch: str = ""
    ) -> None:
        """Make a commit the branch's head, if the branch has not moved since the fetch.

        Args:
            onto: the fetched head, which is the new commit's parent.
            objects: the objects that the repository does not have yet, including the commit.
            commit: the new head.
            new_branch: the branch to create for the commit, instead of the fetched one.

        Raises:
            ChangedMeanwhile: another push came first; nothing was pushed.
            SystemRefused: the server rejects the commit (a protected branch, a hook), or the branch
                to create exists.
        """
        if self._repository.address.scheme == "file":
            self._check_local()
        words: list[bytes] = []
        call = f"push to {self._repository.url}"
        branch = new_branch or self._repository.branch
        ref = Ref(_HEADS + branch.encode())
        moved = ChangedMeanwhile("git", call, f"another push to '{branch}' came first")

        def update(refs: dict[Ref, ObjectID]) -> dict[Ref, ObjectID]:
            if new_branch and ref in refs:
                advice = "Merge or delete that branch, or name another one."
                text = f"branch '{branch}' exists already"
                raise SystemRefused("git", call, text, advice=advice)
            if refs.get(self._ref) != onto.commit.id:
                raise moved
            return {ref: commit.id}

        def pack(*_: Any, **__: Any) -> Any:
            return pack_objects_to_data([(each, None) for each in objects])

        with self._client_for("push to") as client:
            path: Any = self._path
            result = client.send_pack(path, update, pack, progress=words.append)
        refusal = (result.ref_status or {}).get(ref)
        if refusal is None:
            return
        if refusal.startswith("unable to set") or refusal in _CONCURRENT_PUSH:
            raise moved
        if self.fetch().branch_at != onto.id:
            raise moved
        said = " ".join(b"".join(words).decode(errors="replace").split())
        raise SystemRefused(
            "git",
            call,
            self._hide(f"branch '{branch}' was not updated: {refusal}: {said}".rstrip(": ")),
            advice="Nothing was pushed. Allow the block's account to push to this branch, or set "
            "another branch in the block.",
        )

    def _check_local(self) -> None:
        """Refuse a push over file:// where it would bypass a server's hooks or a working tree."""
        call = f"push to {self._repository.url}"
        advice = "Use the repository's https:// or ssh:// address in the block."
        with self._client_for("push to"), Repo(self._path) as repo:
            if not repo.bare:
                text = "it has a working tree, which a push would not update"
                raise SystemRefused("git", call, text, advice=advice)
            hooks = Path(repo.controldir(), "hooks")
            found = ", ".join(name for name in _HOOKS if os.access(hooks / name, os.X_OK))
        if found:
            text = f"it has hooks ({found}), which do not run over file://"
            raise SystemRefused("git", call, text, advice=advice)

    # The connection

    @property
    def _path(self) -> str:
        return self._repository.address.path

    @contextmanager
    def _client_for(self, verb: str) -> Iterator[GitClient]:
        """Yield a client, and translate its failures to Tenantry's errors, without secrets."""
        call = f"{verb} {self._repository.url}"
        refused = partial(SystemRefused, "git", call)
        unavailable = partial(SystemUnavailable, "git", call)
        try:
            with ExitStack() as closing:
                yield self._client(call, closing)
        except TenantryError:
            raise
        except NotGitRepository:
            advice = "Correct the address in the Declared State block."
            raise refused("no Git repository exists there", advice=advice) from None
        except HangupException as error:
            words = b" ".join(error.stderr_lines or []).decode(errors="replace")
            if words:
                raise refused(self._hide(words)) from None
            raise unavailable("the server closed the connection") from None
        except SendPackError as error:
            raise refused(self._hide(f"the server rejected the commit: {error}")) from None
        except (GitProtocolError, HTTPError) as error:
            cause = error if isinstance(error, HTTPError) else error.__cause__
            if isinstance(cause, MaxRetryError):
                cause = cause.reason
            if not isinstance(cause, HTTPError):
                raise refused(self._hide(str(error))) from None
            if isinstance(cause, SSLError):
                advice = "Set 'verify' of the Declared State block to the CA's file."
                raise refused(f"its certificate is not trusted ({cause})", advice=advice) from None
            raise unavailable(f"no answer ({type(cause).__name__})") from None
        except OSError as error:
            raise unavailable(f"no answer ({type(error).__name__})") from None
        except Exception as error:  # noqa: BLE001 a malformed answer can raise any error
            name = type(error).__name__
            raise unavailable(f"its answer cannot be parsed ({name})") from None

    def _client(self, call: str, closing: ExitStack) -> GitClient:
        repository, address = self._repository, self._repository.address
        if address.scheme == "file":
            return LocalGitClient()
        if address.scheme == "ssh":
            assert repository.ssh_key is not None  # the model requires it
            key = read_private_key(repository.ssh_key.get_secret_value())
            ssh = closing.enter_context(Ssh(call, key, repository.known_hosts or ""))
            return SSHGitClient(address.host, address.port, address.username, vendor=ssh)
        client = _HttpClient(repository, call, self._hide)
        closing.callback(client.pool_manager.clear)
        return client

    def _hide(self, text: str) -> str:
        """Return a server's message without Tenantry's token, truncated to 1,000 characters."""
        if self._repository.token:
            text = text.replace(self._repository.token.get_secret_value(), "(hidden)")
        return text if len(text) < 1000 else f"{text[:1000]}…"


class _HttpClient(Urllib3HttpGitClient):
    """The library's client, with timeouts, and with the server's own message for a rejection."""

    def __init__(self, repository: Repository, call: str, hide: Callable[[str], str]) -> None:
        self._call = call
        self._hide = hide
        self._has_token = repository.token is not None
        settings = ConfigFile()  # instead of ~/.gitconfig
        settings.set((b"http",), b"sslVerify", bool(repository.verify))
        if isinstance(repository.verify, str):
            settings.set((b"http",), b"sslCAInfo", repository.verify.encode())
        pool: Any = default_urllib3_manager(settings, base_url=repository.url, timeout=TIMEOUT)
        again = urllib3.Retry(connect=0, read=0, redirect=5, status=0, other=0)
        pool.connection_pool_kw["retries"] = again
        super().__init__(
            repository.url,
            pool_manager=pool,
            username=repository.username if repository.token else None,
            password=repository.token.get_secret_value() if repository.token else None,
        )

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,
    ) -> Any:
        answer, read = super()._http_request(url, headers, data, raise_for_status=False)
        if answer.status != 200:
            raise self._refusal(answer)
        kind = answer.headers.get("Content-Type", "nothing")
        if not kind.startswith("application/x-git-"):
            answer.close()
            text = f"it answered with {kind.partition(';')[0]}, which is not Git's protocol"
            advice = "Use the same address as for 'git clone'."
            raise SystemRefused("git", self._call, text, advice=advice)
        return answer, read

    def _refusal(self, answer: Any) -> CallFailed:
        status: int = answer.status
        words = ""
        if answer.headers.get("Content-Type", "").startswith("text/plain"):
            words = " ".join(answer.read(2000).decode(errors="replace").split())
        answer.close()
        refused = partial(SystemRefused, "git", self._call, status=status)
        if is_temporary(status):
            wait = retry_after(answer.headers.get("Retry-After"))
            text = self._hide(words) or "it cannot answer at the moment"
            return SystemUnavailable("git", self._call, text, status=status, retry_after=wait)
        text, advice = _MEANINGS.get(status, ("the server rejected the request", ""))
        if status == 401 and not self._has_token:
            text, advice = "it requires credentials", "Add a token to the Declared State block."
        return refused(f"{text} ({self._hide(words)})" if words else text, advice=advice)


_MEANINGS = {
    401: (
        "the user name or the token is wrong",
        "Correct both in the Declared State block; a token may have expired.",
    ),
    403: (
        "the token does not permit it",
        "Grant the token read and write access to the repository's contents.",
    ),
    404: (
        "no Git repository exists there, or the credentials have no access to it",
        "Correct the address or the credentials in the Declared State block.",
    ),
}
