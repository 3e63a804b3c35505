"""A branch of a Git repository elsewhere: fetched into memory, and pushed to if it stands still.

Nothing is ever written to disk, and no program is started: the credentials are in no file,
argument or URL, and two calls can't be in each other's way.
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

_HEADS = b"refs/heads/"
_SOMEONE_WRITES = {"failed to update ref", "cannot lock ref", "incorrect old value provided"}
"""What a server says of a branch that somebody else is writing at this moment."""

_HOOKS = ("pre-receive", "update", "reference-transaction", "post-receive", "post-update")


class Head:
    """A commit of the branch, with all that is in it, in memory."""

    def __init__(self, objects: MemoryObjectStore, commit: ObjectID, branch_at: ObjectID) -> None:
        found = objects[commit]
        assert isinstance(found, Commit)
        self.objects = objects
        self.commit = found
        self.branch_at = branch_at.decode()
        """Where the branch was when this was fetched."""

    @property
    def id(self) -> str:
        """The commit's full hash."""
        return str(self.commit.id.decode())

    def at_branch(self) -> "Head":
        """Return the commit where the branch was when this was fetched."""
        at = ObjectID(self.branch_at.encode())
        return Head(self.objects, at, at)


class Remote:
    """The branch that a Repository names.

    Its methods raise SystemUnavailable for what may pass, and SystemRefused for what will
    not, both with what the server said.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._ref = Ref(_HEADS + repository.branch.encode())

    def fetch(self, commit: str | None = None) -> Head:
        """The branch as it is now, or at one of its commits.

        The head comes without its history. An earlier commit takes the whole history: only
        so it is known to be on the branch.

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
            advice="Name a commit of the branch, or none for its latest.",
        )

    def _fetch(self, depth: int | None) -> tuple[MemoryObjectStore, ObjectID]:
        repo = MemoryRepo()
        found: list[ObjectID] = []

        def wants(refs: Any, depth: int | None = None) -> list[ObjectID]:
            found.append(self._head(refs))
            return found

        with self._told("fetch from") as client:
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
        text = f"there is no branch '{self._repository.branch}'; branches there: {shown}"
        raise SystemRefused("git", call, text, advice="Correct the Declared State block.")

    def push(self, onto: Head, objects: Sequence[ShaFile], commit: Commit) -> None:
        """Makes a commit the branch's head, if the branch is still where it was.

        Args:
            onto: what was fetched; its commit is the new one's parent.
            objects: what the repository has not got yet, the commit among them.
            commit: the new head.

        Raises:
            ChangedMeanwhile: somebody else has pushed first; nothing was pushed.
            SystemRefused: the server refuses the commit (a protected branch, a hook).
        """
        if self._repository.address.scheme == "file":
            self._check_local()
        words: list[bytes] = []
        call = f"push to {self._repository.url}"
        branch = self._repository.branch
        moved = ChangedMeanwhile("git", call, f"somebody else has pushed to '{branch}' first")

        def update(refs: dict[Ref, ObjectID]) -> dict[Ref, ObjectID]:
            if refs.get(self._ref) != onto.commit.id:
                raise moved
            return {self._ref: commit.id}

        def pack(*_: Any, **__: Any) -> Any:
            return pack_objects_to_data([(each, None) for each in objects])

        with self._told("push to") as client:
            path: Any = self._path
            result = client.send_pack(path, update, pack, progress=words.append)
        refusal = (result.ref_status or {}).get(self._ref)
        if refusal is None:
            return
        if refusal.startswith("unable to set") or refusal in _SOMEONE_WRITES:
            raise moved
        if self.fetch().branch_at != onto.id:
            raise moved
        said = " ".join(b"".join(words).decode(errors="replace").split())
        raise SystemRefused(
            "git",
            call,
            self._hide(f"branch '{branch}' was not updated: {refusal}: {said}".rstrip(": ")),
            advice="Nothing was pushed. Allow the block's account to push to this branch, or let "
            "the block name a branch that takes its commits.",
        )

    def _check_local(self) -> None:
        """Refuses to push past what a server would heed and a plain file access does not."""
        call = f"push to {self._repository.url}"
        advice = "Let the block name the repository by https:// or ssh://."
        with self._told("push to"), Repo(self._path) as repo:
            if not repo.bare:
                text = "it has a working tree, which a push would leave behind"
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
    def _told(self, what: str) -> Iterator[GitClient]:
        """A client, whose every failure is told as an error of ours, without a secret."""
        call = f"{what} {self._repository.url}"
        refused = partial(SystemRefused, "git", call)
        unavailable = partial(SystemUnavailable, "git", call)
        try:
            with ExitStack() as closing:
                yield self._client(call, closing)
        except TenantryError:
            raise
        except NotGitRepository:
            advice = "Correct the address in the Declared State block."
            raise refused("there is no Git repository", advice=advice) from None
        except HangupException as error:
            words = b" ".join(error.stderr_lines or []).decode(errors="replace")
            if words:
                raise refused(self._hide(words)) from None
            raise unavailable("the server closed the connection") from None
        except SendPackError as error:
            raise refused(self._hide(f"the server did not take the commit: {error}")) from None
        except (GitProtocolError, HTTPError) as error:
            cause = error if isinstance(error, HTTPError) else error.__cause__
            if isinstance(cause, MaxRetryError):
                cause = cause.reason
            if not isinstance(cause, HTTPError):
                raise refused(self._hide(str(error))) from None
            if isinstance(cause, SSLError):
                advice = "Name the CA's file in 'verify' of the Declared State block."
                raise refused(f"its certificate is not trusted ({cause})", advice=advice) from None
            raise unavailable(f"no answer ({type(cause).__name__})") from None
        except OSError as error:
            raise unavailable(f"no answer ({type(error).__name__})") from None
        except Exception as error:  # noqa: BLE001 what becomes of a mangled answer
            name = type(error).__name__
            raise unavailable(f"its answer can't be understood ({name})") from None

    def _client(self, call: str, closing: ExitStack) -> GitClient:
        repository, address = self._repository, self._repository.address
        if address.scheme == "file":
            return LocalGitClient()
        if address.scheme == "ssh":
            assert repository.ssh_key is not None  # the model demands it
            key = read_private_key(repository.ssh_key.get_secret_value())
            ssh = closing.enter_context(Ssh(call, key, repository.known_hosts or ""))
            return SSHGitClient(address.host, address.port, address.username, vendor=ssh)
        client = _HttpClient(repository, call, self._hide)
        closing.callback(client.pool_manager.clear)
        return client

    def _hide(self, text: str) -> str:
        """Somebody else's words, without our secret and not too many of them."""
        if self._repository.token:
            text = text.replace(self._repository.token.get_secret_value(), "(hidden)")
        return text if len(text) < 1000 else f"{text[:1000]}…"


class _HttpClient(Urllib3HttpGitClient):
    """The library's client, with time-outs, and with the server's own words for a refusal."""

    def __init__(self, repository: Repository, call: str, hide: Callable[[str], str]) -> None:
        self._call = call
        self._hide = hide
        self._has_token = repository.token is not None
        settings = ConfigFile()  # in place of ~/.gitconfig and the like
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
            advice = "The address must be the one that 'git clone' takes."
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
            text = self._hide(words) or "it can't answer now"
            return SystemUnavailable("git", self._call, text, status=status, retry_after=wait)
        text, advice = _MEANINGS.get(status, ("it refuses", ""))
        if status == 401 and not self._has_token:
            text, advice = "it asks for credentials", "Give the Declared State block a token."
        return refused(f"{text} ({self._hide(words)})" if words else text, advice=advice)


_MEANINGS = {
    401: (
        "user name or token are wrong",
        "Correct both in the Declared State block; a token may have expired.",
    ),
    403: (
        "the token does not allow it",
        "Give the token the right to read and write the repository's contents.",
    ),
    404: (
        "there is no Git repository that the credentials may see",
        "Correct address or credentials in the Declared State block.",
    ),
}
