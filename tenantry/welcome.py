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
    slug, registry = team.slug, one_line(registry)
    images = f"{registry}/{slug}/<image>:<tag>"
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
                markdown("OIDC client {}", code(f"{slug}-{name}")),
                markdown("Secret {} in {}", code(f"oidc-{name}"), code(slug)),
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
                "## Push from a pipeline\n\nThe Secret `harbor-ci` in {} contains a docker "
                "configuration:\n",
                code(slug),
            ),
            _commands(slug, registry),
            markdown("\nRead it in each pipeline run: rotation changes its content.\n"),
        ]
    if any(robot.attach for robot in team.active_robots.values()):
        lines.append(
            markdown(
                "## Pull\n\n"
                "Pods of the `default` ServiceAccount can pull from your project without further configuration.\n"
                "Another ServiceAccount needs `imagePullSecrets: [{{name: harbor-pull}}]`.\n"
            )
        )
    if plan is not None and plan.waiting:
        lines.append(markdown("## Not ready yet\n"))
        lines += [markdown("- {}: {}", str(wait.id), wait.reason) for wait in plan.waiting]
        lines.append(markdown(""))
    return joined("\n", lines)


def _commands(slug: str, registry: str) -> Markdown:
    """Return the commands of a pipeline as a code block, if the names have no special characters."""
    if not _WORD.fullmatch(f"{registry}/{slug}"):
        return markdown("(Harbor's registry_url is not a host: ask the platform team for it.)")
    return Markdown(
        "```shell\n"
        f"kubectl -n {slug} get secret harbor-ci \\\n"
        "  -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d > config.json\n"
        f"docker --config . push {registry}/{slug}/app:1.0\n"
        "```"
    )
