"""Harbor's registry, used as docker and pipelines do: with a robot's credential, without the
session."""

from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

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
"""The status of a pull that the project's policy on vulnerable or unsigned images forbids."""


@dataclass(frozen=True)
class Token:
    """A bearer token, and the actions that it permits."""

    value: str = field(repr=False)
    actions: frozenset[str]


class Registry:
    """The registry, as the holder of a robot's credential sees it. No call has a lasting effect."""

    def __init__(self, client: HarborClient) -> None:
        self._client = client

    def token(self, username: str, password: str, repository: str, actions: str) -> Token:
        """Return a token for a repository, which need not exist.

        Harbor also answers 200 if the robot has no rights: the actions of the token show them.

        Args:
            username: the full name of the robot.
            password: the secret of the robot.
            repository: the repository with its project, such as `team-shop/app`.
            actions: the requested actions, such as `pull,push`.
        """
        import jwt  # only a test of a credential needs it, and it imports `cryptography`

        path = "/service/token"
        query = {"service": SERVICE, "scope": f"repository:{repository}:{actions}"}
        auth = httpx.BasicAuth(username, password)
        answer = retry_read(
            lambda: self._client.transport.send_without_session(
                "GET", path, params=query, auth=auth
            )
        )
        try:
            value = answer.json()["token"]
            claims = jwt.decode(value, options={"verify_signature": False})
            granted = frozenset(
                action for entry in claims["access"] or [] for action in entry["actions"] or []
            )
        except (ValueError, LookupError, TypeError, jwt.InvalidTokenError):
            # The message must not show the answer, which may be secret.
            reason = "the answer is not a token"
            raise SystemUnavailable("harbor", f"GET {path}", reason) from None
        return Token(value, granted)

    def newest_image(self, project: str) -> tuple[str, str] | None:
        """Return repository and digest of a recently pushed image of a project; None if it has no
        images.

        A pull of such an image has the least effect on retention rules that count pulls.
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
        """Request a manifest, and return the status, which is 200 if the pull is permitted."""
        path = f"/v2/{repository}/manifests/{reference}"
        headers = {**_bearer(token), "Accept": ", ".join(_MANIFESTS)}
        return retry_read(
            lambda: self._client.transport.send_without_session("GET", path, headers=headers)
        ).status_code

    def try_upload(self, token: Token, repository: str) -> int:
        """Start an upload, cancel it, and return the status of the start, which is 202 if it is
        permitted.

        A robot that can push may lack the right to cancel, so the connection's account cancels the
        upload. If that fails, the registry removes the upload after a week.
        """
        path = f"/v2/{repository}/blobs/uploads/"
        answer = self._client.transport.send_without_session("POST", path, headers=_bearer(token))
        if answer.status_code == 202:
            # The Location has the host that docker knows, which may differ from the connection's.
            location = urlsplit(answer.headers["Location"])
            there = location.path + (f"?{location.query}" if location.query else "")
            with suppress(SystemUnavailable):
                self._client.transport.send_without_session(
                    "DELETE", there, auth=self._client.transport.basic
                )
        return answer.status_code


def _bearer(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.value}"}
