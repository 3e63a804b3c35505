"""What a team is told once it is onboarded: how to log in, push and pull. No secrets."""

from tenantry.declared import Team
from tenantry.plan import Plan


def guide(team: Team, registry: str, realm: str, plan: Plan | None = None) -> str:
    """The team's guide, as Markdown.

    Args:
        team: the team, its defaults filled in.
        registry: host (and port) that its image names begin with.
        realm: Keycloak's realm.
        plan: what the run had to do; what still waits is told at the end.
    """
    slug = team.slug
    lines = [
        f"# {team.display_name or team.name}: you are on board",
        "",
        "| what | where |",
        "|---|---|",
        f"| namespaces | {', '.join(f'`{name}`' for name in team.namespaces)} |",
        f"| images | `{registry}/{slug}/<image>:<tag>` |",
        f"| your group | `{team.oidc_group}` in Keycloak's realm `{realm}` |",
        f"| your role in Harbor | `{team.harbor.role}` |",
        *(f"| route `{name}` | `{route.host}` |" for name, route in team.routes.items()),
        *(
            f"| OIDC client `{slug}-{name}` | Secret `oidc-{name}` in `{slug}` |"
            for name in team.oidc_clients
        ),
        "",
        "## Log in",
        "",
        "Open Harbor in a browser and log in by single sign-on.",
        "On your own machine `docker login` takes your Harbor user name and the CLI secret that",
        "your Harbor user profile shows.",
        "",
    ]
    if "ci" in team.active_robots:
        lines += [
            "## Push from a pipeline",
            "",
            f"The Secret `harbor-ci` in `{slug}` is a ready docker configuration:",
            "",
            "```shell",
            f"kubectl -n {slug} get secret harbor-ci \\",
            "  -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d > config.json",
            f"docker --config . push {registry}/{slug}/app:1.0",
            "```",
            "",
            "Read it again in each run: its content changes when the credential is rotated.",
            "",
        ]
    if any(robot.attach for robot in team.active_robots.values()):
        lines += [
            "## Pull",
            "",
            "Pods of the `default` ServiceAccount pull from your project without any setting.",
            "Another ServiceAccount needs `imagePullSecrets: [{name: harbor-pull}]`.",
            "",
        ]
    if plan is not None and plan.waiting:
        lines += ["## Still to come", ""]
        lines += [f"- {wait.id}: {wait.reason}" for wait in plan.waiting] + [""]
    return "\n".join(lines)
