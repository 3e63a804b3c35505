"""The guide for an onboarded team: how to log in, push and pull. It contains no secrets."""

import re

from tenantry.declared import Team
from tenantry.plan import Plan
from tenantry.text import Markdown, code, joined, markdown, one_line, table_head, table_row

_WORD = re.compile(r"[A-Za-z0-9./:_\[\]-]+")


def guide(team: Team, registry: str, realm: str, plan: Plan | None = None) -> Markdown:
    """Return the guide for a team. It contains no data of other teams.

    Args:
        team: the team with all defaults.
        registry: the registry host (and port) in its image names.
        realm: the Keycloak realm.
        plan: the plan of the run, whose waiting resources are listed at the end.
    """
    home, registry = team.home_namespace, one_line(registry)
    images = f"{registry}/{team.project}/<image>:<tag>"
    lines = [
        markdown("# Welcome, {}", team.display_name or team.name),
        markdown(""),
        table_head("resource", "location"),
        table_row("namespaces", joined(", ", map(code, team.namespaces))),
        table_row("images", code(images)),
        table_row(
            "your group",
            markdown("{} in the Keycloak realm {}", code(team.oidc_group), code(realm)),
        ),
        table_row("your role in Harbor", code(team.harbor.role)),
        *(
            table_row(markdown("route {}", code(name)), code(route.host))
            for name, route in team.routes.items()
        ),
        *(
            table_row(
                markdown("OIDC client {}", code(team.client_id(name))),
                markdown("Secret {} in {}", code(team.client_secret_name(name)), code(home)),
            )
            for name in team.oidc_clients
        ),
        markdown(
            "\n## Log in\n\n"
            "Open Harbor in a browser and log in with single sign-on.\n"
            "For `docker login` on your own machine, use your Harbor user name and the CLI secret\n"
            "from your Harbor user profile.\n"
        ),
    ]
    if "ci" in team.active_robots:
        lines += [
            markdown(
                "## Push from a pipeline\n\nThe Secret {} in {} contains a docker configuration:\n",
                code(team.secret_name("ci")),
                code(home),
            ),
            _commands(team, registry),
            markdown("\nRead it in each pipeline run: rotation changes its content.\n"),
        ]
    attached = [purpose for purpose, robot in team.active_robots.items() if robot.attach]
    if attached:
        lines.append(
            markdown(
                "## Pull\n\n"
                "Pods of the `default` ServiceAccount can pull from your project without further configuration.\n"
                "Another ServiceAccount needs {}.\n",
                code(f"imagePullSecrets: [{{name: {team.secret_name(attached[0])}}}]"),
            )
        )
    if plan is not None and plan.waiting:
        lines.append(markdown("## Not ready yet\n"))
        lines += [markdown("- {}: {}", str(wait.id), wait.reason) for wait in plan.waiting]
        lines.append(markdown(""))
    return joined("\n", lines)


def _commands(team: Team, registry: str) -> Markdown:
    """Return the commands of a pipeline as a code block, if the names have no special characters."""
    if not _WORD.fullmatch(f"{registry}/{team.project}"):
        return markdown("(Harbor's registry_url is not a host: ask the platform team for it.)")
    return Markdown(
        "```shell\n"
        f"kubectl -n {team.home_namespace} get secret {team.secret_name('ci')} \\\n"
        "  -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d > config.json\n"
        f"docker --config . push {registry}/{team.project}/app:1.0\n"
        "```"
    )
