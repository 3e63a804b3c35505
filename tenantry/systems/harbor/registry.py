"""Harbor's registry as docker and a pipeline use it: by a robot's credential, outside the session."""

from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import jwt

from tenantry.calls import retry_read
from tenantry.errors import SystemUnavailable
from tenantry.systems.harbor.client import SERVICE, HarborClient

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
POLICY = 412
"""Harbor's answer to a pull that the project's policy on vulnerable or unsigned images forbids."""


@dataclass(frozen=True)
class Token:
    """A bearer token, and what it lets its holder do."""

    value: str = field(repr=False)
    actions: frozenset[str]


class Registry:
    """Calls of one who holds a robot's credential. None of them changes anything for good."""

    def __init__(self, client: HarborClient) -> None:
        self._client = client

    def token(self, username: str, password: str, repository: str, actions: str) -> Token:
        """A token for a repository, there or not.

        Harbor answers 200 also to who may do nothing: the actions tell.

        Args:
            username: the robot's full name.
            password: its secret.
            repository: with the project, as `team-shop/app`.
            actions: those asked for, as `pull,push`.
        """
        path = "/service/token"
        query = {"service": SERVICE, "scope": f"repository:{repository}:{actions}"}
        auth = httpx.BasicAuth(username, password)
        answer = retry_read(lambda: self._client.outside("GET", path, params=query, auth=auth))
        try:
            value = answer.json()["token"]
            claims = jwt.decode(value, options={"verify_signature": False})
            granted = frozenset(
                action for entry in claims["access"] or [] for action in entry["actions"] or []
            )
        except (ValueError, LookupError, TypeError, jwt.InvalidTokenError):
            # What it holds instead may be secret.
            reason = "the answer is no token"
            raise SystemUnavailable("harbor", f"GET {path}", reason) from None
        return Token(value, granted)

    def newest_image(self, project: str) -> tuple[str, str] | None:
        """Repository and digest of an image of a project: of those there are, one pushed of late.

        To pull what was pushed last disturbs no retention rule that counts pulls.
        """
        path, query = f"/projects/{project}/repositories", {"page_size": 1, "sort": "-update_time"}
        rows = self._client.rows(path, by_name=True, **query)
        if not rows:
            return None
        name: str = rows[0]["name"]
        inside = name.removeprefix(f"{project}/").replace("/", "%252F")
        query = {"page_size": 1, "sort": "-push_time"}
        found = self._client.rows(f"{path}/{inside}/artifacts", by_name=True, **query)
        return (name, found[0]["digest"]) if found else None

    def pull(self, token: Token, repository: str, reference: str) -> int:
        """Asks for a manifest, and gives the status: 200, or why not."""
        path = f"/v2/{repository}/manifests/{reference}"
        headers = {**_bearer(token), "Accept": ", ".join(_MANIFESTS)}
        return retry_read(lambda: self._client.outside("GET", path, headers=headers)).status_code

    def try_upload(self, token: Token, repository: str) -> int:
        """Starts an upload and cancels it; gives the status of the start: 202, or why not.

        To cancel one takes the right to delete, which who pushes need not have: the connection's
        account does it. One that stays all the same is purged by the registry after a week.
        """
        path = f"/v2/{repository}/blobs/uploads/"
        answer = self._client.outside("POST", path, headers=_bearer(token))
        if answer.status_code == 202:
            # It names the host that docker knows, which need not be ours.
            location = urlsplit(answer.headers["Location"])
            there = location.path + (f"?{location.query}" if location.query else "")
            with suppress(SystemUnavailable):
                self._client.outside("DELETE", there, auth=self._client.basic)
        return answer.status_code


def _bearer(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.value}"}
