"""The fields of a team file about Harbor: the project, the robots, and their rotation."""

from typing import Annotated, Literal

from pydantic import Field

from tenantry.declared.harbor_values import Access, Cron, Pattern
from tenantry.declared.kubernetes_values import SinkName, SinkNamespace
from tenantry.declared.types import MAX_INT, WHOLE, GroupName, Model, StorageQuota

Role = Literal["projectAdmin", "maintainer", "developer", "guest", "limitedGuest"]
"""Harbor's roles in a project."""


class RetentionRule(Model):
    """A rule that selects the tags that Harbor keeps. Give exactly one of the four counts."""

    latest_pushed: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep the most recently pushed tags, this many."""
    latest_pulled: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep the most recently pulled tags, this many."""
    pushed_within_days: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep the tags that were pushed within this many days."""
    pulled_within_days: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """Keep the tags that were pulled within this many days."""
    repositories: Pattern = "**"
    """The repositories that the rule applies to, as a doublestar pattern."""
    tags: Pattern = "**"
    """The tags that the rule applies to, as a doublestar pattern."""
    untagged: bool = True
    """Whether artifacts without a tag are kept as well."""


class Retention(Model):
    """The project's tag-retention policy."""

    rules: list[RetentionRule] = Field(min_length=1, max_length=15)
    """The rules, at most 15. Harbor keeps a tag if at least one rule keeps it."""
    schedule: Cron | None = None
    """When Harbor applies the policy: five cron fields, such as `0 3 * * 6`, in Harbor's time zone.
    Without a schedule Harbor applies it only on request."""


class ImmutableTags(Model):
    """A rule for tags that cannot be overwritten or deleted."""

    repositories: Pattern = "**"
    """The repositories that the rule applies to, as a doublestar pattern."""
    tags: Pattern = "**"
    """The tags that the rule applies to, as a doublestar pattern, such as `v*`."""


class HarborProject(Model):
    """The team's project in Harbor."""

    role: Role = "developer"
    """The role of the team's own OIDC group in the project."""
    groups: dict[GroupName, Role] = {}
    """Further OIDC groups and their roles, such as `all-teams-admin: projectAdmin`."""
    storage_quota: StorageQuota | None = None
    """The storage quota of the project, such as `10Gi` or `unlimited`. If not given, Tenantry does
    not change Harbor's quota."""
    public: bool = False
    """Whether images can be pulled without a login."""
    auto_scan: bool | None = None
    """Scan images for vulnerabilities when they are pushed."""
    prevent_vulnerable: bool | None = None
    """Block pulls of images with vulnerabilities of `severity` and above."""
    severity: Literal["none", "low", "medium", "high", "critical"] | None = None
    """The lowest severity for which `prevent_vulnerable` blocks pulls."""
    require_cosign: bool | None = None
    """Block pulls of images without a Cosign signature."""
    retention: Retention | None = None
    """The tag-retention policy."""
    immutable_tags: list[ImmutableTags] = []
    """Rules for tags that cannot be overwritten or deleted."""


EARLIEST_ROTATION = 0.75
"""The fraction of its maximum age from which on a credential can be due for rotation. The exact time
differs for each team."""


class Rotation(Model):
    """The rotation policy of a robot's credential."""

    max_age_days: Annotated[int, Field(ge=1, le=3650), WHOLE]
    """The maximum age of the credential. It is rotated during the last quarter of this time, at a
    different time for each team."""
    before_expiry_days: Annotated[int, Field(ge=1, le=3650), WHOLE] = 3
    """The credential is rotated at least this many days before the robot expires. The sum of this
    and `max_age_days` must not exceed the robot's `expiry_days`."""
    overlap_hours: Annotated[int, Field(ge=1, le=24 * 90), WHOLE] = 24
    """How long the old credential keeps working after the new one is in place. The effective time
    is never shorter than the lifetime of Harbor's registry tokens."""
    deletion_hours: Annotated[int, Field(ge=1, le=24 * 365), WHOLE] = 24 * 7
    """How long the old robot stays disabled before it is deleted."""


SecretFormat = Literal["docker", "config.json", "basic"]


class SecretSink(Model):
    """A further Secret that receives a robot's credential, such as a Secret of a CI system.

    The namespace must exist. `{team}` in a name stands for the team's name.
    """

    namespace: SinkNamespace
    """The Secret's namespace."""
    name: SinkName
    """The Secret's name."""
    format: SecretFormat = "docker"
    """The format: `docker` is a Secret of type kubernetes.io/dockerconfigjson, `config.json` has
    the same content under the key `config.json`, `basic` has a username and a password."""

    def of(self, team: str) -> "SecretSink":
        """Return the sink with `{team}` replaced by a team's name."""
        named = {"namespace": self.namespace, "name": self.name}
        return self.model_copy(update={k: v.replace("{team}", team) for k, v in named.items()})


class Robot(Model):
    """A Harbor robot account, and the Secret that holds its credential.

    Robots come in pairs, `<name>-a` and `<name>-b`. Each rotation switches from one to the other.
    """

    access: Annotated[list[Access], Field(min_length=1)] = ["repository:pull"]
    """The robot's permissions in the team's project."""
    expiry_days: Annotated[int, Field(ge=1, le=36500), WHOLE] | Literal["never"] = 90
    """Days until the robot expires, or `never`."""
    rotation: Rotation | None = None
    """The rotation policy. If not given, the credential is rotated only on request."""
    attach: bool = False
    """Attach the Secret to the namespaces' default ServiceAccount as an image pull secret."""
    sinks: list[SecretSink] = []
    """Further Secrets that receive the credential."""
    replaces: list[Annotated[str, Field(min_length=1)]] = []
    """Full names of existing robots that this robot replaces, such as `otomi-team-{team}-pull`.
    They are retired in the same way as the old robot of a pair."""

    @property
    def effective_rotation(self) -> Rotation:
        """The declared rotation policy; without one, the policy of a rotation on request."""
        return self.rotation or Rotation(max_age_days=3650)
