"""The bench of the core's tests: a declared state, a sandbox, and the steps of the walk."""

import base64
import copy
import io
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from ruamel.yaml import YAML

from tenantry import declared, onboarding
from tenantry.connections import Cluster, Connections, HarborAccount, KeycloakAccount
from tenantry.declared import Declaration, Team
from tenantry.kinds import Kind, Stage
from tenantry.outcomes import Outcome
from tenantry.plan import Plan
from tenantry.resources import Id, Observed
from tenantry.sandbox import Sandbox
from tenantry.sandbox.keycloak.builtin import new_realm
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.support.crash import Snapshot

Data = Mapping[str, Any]
S = TypeVar("S", bound=Sandbox)

_GIVEN_NAME = re.compile(r"^\{?name: ([a-z0-9-]{1,63})\b(?!\S)", re.MULTILINE)

REALM = "platform"
PLATFORM: Data = {"name": "Test platform"}
SHOP: Data = {"name": "shop"}


def granted(*teams: str, platform: Data = PLATFORM, **allows: Any) -> Data:
    """Return a platform whose policy has a grant for these teams."""
    grant = {"teams": list(teams), "reason": "a test", **allows}
    return {**platform, "policy": {"grants": [grant]}}


ADOPTING = granted("shop", adopt="yes")
"""A platform whose policy lets `shop` adopt objects that Tenantry did not create."""


def write(folder: Path, *teams: Data | str, platform: Data | str = PLATFORM) -> Path:
    """Write a declared state and return its folder.

    Each part is a mapping, or the text of its file. A file is named after its team. If its text
    gives no valid name, or the name of an earlier file, it is `team-<number>.yaml`.
    """
    (folder / "teams").mkdir(parents=True, exist_ok=True)
    _write(folder / "platform.yaml", platform)
    for name, team in zip(file_names(*teams), teams, strict=True):
        _write(folder / "teams" / name, team)
    return folder


def file_names(*teams: Data | str) -> list[str]:
    """Return the names of the files that `write` creates for these teams."""
    found: list[str] = []
    for number, team in enumerate(teams):
        name = f"{_name_of(team)}.yaml"
        found.append(f"team-{number}.yaml" if name in (".yaml", *found) else name)
    return found


def _name_of(team: Data | str) -> str:
    if isinstance(team, str):
        given = _GIVEN_NAME.search(team)
        return given[1] if given else ""
    return str(team["name"])


def admit(folder: Path) -> Path:
    """Put the output of `tenantry policy` into `platform.yaml`, as an operator does."""
    yaml = YAML(typ="safe", pure=True)
    platform = yaml.load(folder / "platform.yaml")
    _write(folder / "platform.yaml", {**platform, **yaml.load(declared.propose_policy(folder))})
    return folder


def _write(path: Path, content: Data | str) -> None:
    text = content if isinstance(content, str) else _to_yaml(json.dumps(content))
    path.write_text(text, encoding="utf-8")


@cache
def _to_yaml(text: str) -> str:
    """Return a JSON text as YAML in block style; many tests declare the same teams."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    written = io.StringIO()
    yaml.dump(json.loads(text), written)
    return written.getvalue()


def prepare(sandbox: S) -> S:
    """Make the sandbox fast, create the realm of the teams, and return the sandbox."""
    sandbox.harbor.login_delay = 0.01
    sandbox.kubernetes.namespace_termination_seconds = 0.1
    sandbox.keycloak.realms.setdefault(REALM, new_realm(REALM, {"enabled": True}))
    return sandbox


def connections(sandbox: Sandbox) -> Connections:
    """Return the connections to the sandbox."""
    addresses = sandbox.addresses()
    return Connections(
        harbor=HarborAccount.model_validate(addresses["harbor"]),
        keycloak=KeycloakAccount.model_validate(addresses["keycloak"]),
        kubernetes=Cluster.model_validate(addresses["kubernetes"]),
    )


def environment(sandbox: Sandbox) -> dict[str, str]:
    """Return the connections to the sandbox as environment variables."""
    return {
        f"TENANTRY_{system}_{key}".upper(): value
        for system, address in sandbox.addresses().items()
        for key, value in address.items()
    }


class FaultySandbox(Sandbox):
    """A sandbox into which a function injects faults.

    Attributes:
        fault_for: Returns the fault of a request, given system, method and path: a status to
            answer with, "lost" (the request is done, and its answer does not arrive), or None.
    """

    fault_for: Callable[[str, str, str], int | Literal["lost"] | None] = staticmethod(
        lambda system, method, path: None
    )

    def __init__(self) -> None:
        super().__init__()
        self.clear_faults()

    def clear_faults(self) -> None:
        """Remove all faults, however they were injected, and latency and expected logins."""
        self.controls.clear()
        self.controls.choose = lambda *asked: self.fault_for(*asked)
        vars(self).pop("fault_for", None)


class Bench:
    """A declared state in a folder, and a sandbox to apply it to."""

    def __init__(self, sandbox: FaultySandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.systems: Systems
        self.state: Declaration
        self._opened: list[Systems] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for systems in self._opened:
            systems.__exit__(None, None, None)

    # The declared state

    def declare(self, *teams: Data, platform: Data = PLATFORM) -> Self:
        """Declare exactly these teams, load the declared state, and return the bench."""
        for path in (self.folder / "teams").glob("*"):
            path.unlink()
        write(self.folder, *teams, platform=platform)
        return self.load()

    def load(self) -> Self:
        """Load the declared state, as a new process does, and return the bench."""
        self.state = declared.load(self.folder)
        self.systems = self._systems()
        self._opened.append(self.systems)
        return self

    @contextmanager
    def process(self, *, extras: bool = False) -> Iterator[Systems]:
        """Return the systems of a new process, which ends with the context."""
        with self._systems(extras=extras) as systems:
            yield systems

    def _systems(self, *, extras: bool = False) -> Systems:
        sandbox = self.sandbox
        return Systems(connections(sandbox), self.state, extras=extras, clock=sandbox.clock.now)

    @property
    def teams(self) -> list[Team]:
        """All teams."""
        return list(self.state.teams.values())

    def team(self, name: str | None = None) -> Team:
        """Return a team; the first if no name is given."""
        return self.state.teams[name] if name else self.teams[0]

    # The walk

    def observe(self, name: str | None = None) -> Observed:
        """Return the observed resources of a team."""
        return observe_owners(self.systems.team_adapters, [self.team(name)])

    def plan(self, name: str | None = None) -> Plan:
        """Return the plan of a team."""
        return self.systems.plan(self.team(name), self.observe(name))

    def onboard(self, name: str | None = None) -> Outcome:
        """Onboard a team and return the outcome."""
        return onboarding.onboard(self.systems, self.team(name))

    def apply_only(self, stages: Sequence[Stage], name: str | None = None) -> None:
        """Apply only these stages of a team's plan, as if the process had died then."""
        observed = self.observe(name)
        self.systems.apply(self.systems.plan(self.team(name), observed), observed, stages)

    # Credentials

    def secret(self, name: str, namespace: str = "team-shop") -> dict[str, str]:
        """Return the decoded data of a Secret."""
        found = self.sandbox.kubernetes.get("Secret", name, namespace)
        assert found is not None, f"Secret {namespace}/{name} does not exist"
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    def login(self, name: str, namespace: str = "team-shop") -> tuple[str, str]:
        """Return the user name and the password in a robot's Secret."""
        auths = json.loads(self.secret(name, namespace)[".dockerconfigjson"])["auths"]
        (entry,) = auths.values()
        pair = f"{entry['username']}:{entry['password']}".encode()
        assert base64.b64decode(entry["auth"]) == pair
        return entry["username"], entry["password"]

    def can_log_in(self, name: str, namespace: str = "team-shop") -> bool:
        """Return whether Harbor accepts the credential in a robot's Secret."""
        return self.systems.harbor_client.accepts(*self.login(name, namespace))


SETTINGS = (
    "version",
    "login_delay",
    "race_window",
    "read_only_configuration",
    "unhealthy",
    "issued_secrets",
)
"""The attributes of the simulated Harbor that a test may set, and that are not part of its state."""
Prepare = Callable[[Bench], object]
"""Prepares a bench: declares teams, and brings the sandbox to the state that tests start from."""


class Prepared:
    """A sandbox that is prepared once, and reset to that state for each test.

    Preparing a sandbox takes longer than most tests. The tests of a module that start from the same
    state share one.
    """

    def __init__(self, folder: Path, prepare: Prepare) -> None:
        """
        Args:
            folder: Where the prepared declared state is kept.
            prepare: Called once.
        """
        self._folder = folder
        self._prepare = prepare
        self._sandbox = FaultySandbox()

    def __enter__(self) -> Self:
        prepare(self._sandbox.__enter__())
        with Bench(self._sandbox, self._folder) as bench:
            self._prepare(bench)
        self._snapshot = Snapshot(self._sandbox)
        self._settings = self._read_settings()
        return self

    def __exit__(self, *raised: object) -> None:
        self._sandbox.__exit__(None, None, None)

    @contextmanager
    def bench(self, folder: Path) -> Iterator[Bench]:
        """Return a bench on the reset sandbox; its declared state is a copy in `folder`."""
        self._reset()
        shutil.copytree(self._folder, folder)
        try:
            with Bench(self._sandbox, folder) as bench:
                yield bench.load()
        finally:
            self._sandbox.clear_faults()

    def _reset(self) -> None:
        sandbox = self._sandbox
        sandbox.clear_faults()
        self._snapshot.restore()
        # What follows is not in a snapshot: Harbor has it in memory, or in its configuration.
        for transient in (sandbox.harbor.uploads, sandbox.harbor.locked):
            transient.clear()
        harbor, termination = copy.deepcopy(self._settings)
        vars(sandbox.harbor).update(harbor)
        sandbox.kubernetes.namespace_termination_seconds = termination

    def _read_settings(self) -> tuple[dict[str, Any], float]:
        harbor = {name: getattr(self._sandbox.harbor, name) for name in SETTINGS}
        return copy.deepcopy((harbor, self._sandbox.kubernetes.namespace_termination_seconds))


def found(plan: Plan) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Return a plan as `{resource: {field: (old, new)}}`."""
    return {
        str(change.id): {each.field: (each.old, each.new) for each in change.differences}
        for change in plan.changes
    }


def ids(things: Iterable[Any]) -> list[str]:
    """Return the resources of changes or refusals."""
    return [str(thing.id) for thing in things]


def actions(plan: Plan) -> dict[str, str]:
    """Return the action on each resource."""
    return {str(change.id): change.action for change in plan.changes}


def identify(text: str) -> Id:
    """Return the id of a resource, from its text."""
    system, kind, key = text.split("/", 2)
    return Id(Kind(system, kind), key)
