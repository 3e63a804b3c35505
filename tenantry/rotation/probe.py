"""Tests a credential as clients use it: a login, a token, a pull, and a push that is cancelled."""

from tenantry.declared import Robot
from tenantry.errors import NotEffective
from tenantry.systems.credentials.contents import Credential
from tenantry.systems.harbor.client import Row
from tenantry.systems.harbor.registry import POLICY, Registry
from tenantry.systems.systems import Systems

_NO_IMAGE = "tenantry-test"


class Probe:
    """Tests a robot's credential in its project.

    Each test returns what it did, in words, and raises NotEffective if the credential fails it.
    """

    def __init__(self, systems: Systems, project: Row, robot: Robot) -> None:
        self._harbor = systems.harbor_client
        self._issuer = systems.credentials.issuer
        self._registry = Registry(systems.harbor_client)
        self._project: str = project["name"]
        self._has_images = project.get("repo_count", 0) > 0
        self._actions = [a for a in ("pull", "push") if f"repository:{a}" in robot.access]
        self._image: tuple[str, str] | None = None

    def before_publishing(self, credential: Credential) -> str:
        """Run all tests, before any client gets the credential."""
        self._issuer.prove(credential)
        done = ["logged in"]
        if self._has_images and "pull" in self._actions:
            self._image = self._registry.newest_image(self._project)
        done += self._use(credential, push=True)
        return ", ".join(done)

    def after_publishing(self, credential: Credential) -> str:
        """Use the published credential as a client would, without a push."""
        if self._actions:
            return ", ".join(self._use(credential, push=False))
        self._issuer.prove(credential)
        return "logged in"

    def _use(self, credential: Credential, *, push: bool) -> list[str]:
        if not self._actions:
            return []
        repository = self._image[0] if self._image else f"{self._project}/{_NO_IMAGE}"
        wanted = ",".join(self._actions)
        token = self._registry.token(credential.username, credential.password, repository, wanted)
        if missing := [action for action in self._actions if action not in token.actions]:
            actions = " and ".join(missing)
            self._fail("GET /service/token", credential, f"may not {actions} in {repository}")
        done = [f"got a token to {' and '.join(self._actions)}"]
        if self._image is not None:
            status = self._registry.pull(token, *self._image)
            if status not in (200, 404, POLICY):  # The image may have been deleted since.
                self._fail(f"GET /v2/{repository}/manifests/…", credential, "cannot pull", status)
            if status == 200:
                done.append(f"pulled a manifest of {repository}")
        if push and "push" in self._actions:
            status = self._registry.try_upload(token, repository)
            if status != 202:
                self._fail(
                    f"POST /v2/{repository}/blobs/uploads/", credential, "cannot push", status
                )
            done.append("started and cancelled an upload")
        return done

    def _fail(
        self, call: str, credential: Credential, what: str, status: int | None = None
    ) -> None:
        self._harbor.check_logins()  # Harbor grants no access while its database is down.
        reason = f"robot '{credential.username}' logs in but {what}"
        raise NotEffective("harbor", call, reason, status=status)
