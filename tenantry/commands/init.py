"""The command `tenantry init`."""

from pathlib import Path

from tenantry.commands.output import say
from tenantry.contexts import default_path
from tenantry.declared import load
from tenantry.errors import TenantryError

_PLATFORM = """\
# The platform: what all teams have in common. Only the name is required.
name: {platform}

# The realm of Keycloak in which the teams' users log in:
# keycloak:
#   realm: platform

# What a team gets unless its own file says otherwise:
# defaults:
#   harbor:
#     storage_quota: 20Gi
"""
_TEAM = """\
# One file for each team. It gets a namespace, a Harbor project and a Keycloak group, all named
# team-{team}, with robot accounts whose credentials are Secrets in the namespace.
name: {team}

# Whom to tell about the team's credentials:
# contact: "#{team}"

# Users of the realm that belong to the team's group:
# members: [ann, bob]
"""
_CONNECTIONS = """\
# Where the systems are. This file contains no secret: it says where each one comes from, such as
# {env: VARIABLE}, {command: [PROGRAM, ARGUMENT]} or {keyring: {service: NAME, username: NAME}}.
current: default
contexts:
  default:
    harbor:
      url: https://harbor.example.com
      username: admin            # a system administrator
      password: {env: HARBOR_PASSWORD}
    keycloak:
      url: https://login.example.com
      username: admin            # an account that may manage the teams' realm
      password: {env: KEYCLOAK_PASSWORD}
    kubernetes:
      kubeconfig: ~/.kube/config
"""


def run(folder: Path, platform: str, team: str) -> None:
    """Write a first declared state, and a connection file if there is none.

    Args:
        folder: the folder of the declared state.
        platform: the platform's name.
        team: the name of the first team.

    Raises:
        TenantryError: the folder has a declared state, a name is not allowed, or a file cannot be
            written.
    """
    files = {
        folder / "platform.yaml": _PLATFORM.format(platform=_quoted(platform)),
        folder / "teams" / f"{team}.yaml": _TEAM.format(team=team),
    }
    existing = [path for path in (folder / "platform.yaml", folder / "teams") if path.exists()]
    if existing:
        raise TenantryError(f"{existing[0]} exists. Nothing was written; choose another folder.")
    if "/" in team or not team.strip():
        raise TenantryError(f"--team: '{team}' is not a team's name. Nothing was written.")
    connections = default_path()
    has_connections = connections.exists()
    if not has_connections:
        files[connections] = _CONNECTIONS
    written: list[Path] = []
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
        load(folder)
    except (OSError, TenantryError) as error:
        for path in written:
            path.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TenantryError(f"{folder}: {reason}. Nothing was written.") from None
    for path in written:
        say(f"{path}: written.")
    if has_connections:
        say(f"{connections}: exists, and stays as it is.")
    say(f"Edit these files. Then run: tenantry validate {folder}; tenantry plan {folder}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
