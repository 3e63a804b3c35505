"""What the cases ask of a Harbor for robots, and how they try a robot's secret."""

from tests.conformance.harbor import HarborCaller

PULL = ("repository", "pull")
PUSH = ("repository", "push")
# Without a scope: with one, a token is given to anybody.
PROBE = "/service/token?service=harbor-registry"


def permission(namespace: str, *access: tuple[str, str], kind: str = "project") -> dict:
    """What may be done in a namespace; if nothing is said, pull."""
    listed = [{"resource": resource, "action": action} for resource, action in access or (PULL,)]
    return {"kind": kind, "namespace": namespace, "access": listed}


def robot(project: str, **fields: object) -> dict:
    """A body that makes the project's robot `ci`, unless the fields say otherwise."""
    body = {"name": "ci", "level": "project", "duration": 30, "permissions": [permission(project)]}
    return {**body, **fields}


def alive(caller: HarborCaller, name: str, secret: str) -> bool:
    """Whether a robot's secret opens Harbor."""
    return caller.login(name, secret)("GET", PROBE).status_code == 200
