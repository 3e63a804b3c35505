"""What a team is told once it is onboarded: how to log in, push and pull. No secrets."""

import re

from tenantry.declared import Team
from tenantry.plan import Plan
from tenantry.text import Markdown, code, joined, markdown, one_line, table_head, table_row

_WORD = re.compile(r"[A-Za-z0-9./:_\[\]-]+")


def guide(team: Team, registry: str, realm: str, plan: Plan | None = None) -> Markdown:
    """Return the team's guide, with text of no other team in it.

    Args:
        team: the team, its defaults filled in.
        registry: host (and port) that its image names begin with.
        realm: Keycloak's realm.
        plan: what the run had to do; what still waits is told at the end.
    """
    slug, registry = team.slug, one_line(registry)
    images = f"{registry}/{slug}/<image>:<tag>"
    lines = [
        markdown("# {}: you are on board", team.display_name or team.name),
        markdown(""),
        table_head("what", "where"),
        table_row("namespaces", joined(", ", map(code, team.namespaces))),
        table_row("images", code(images)),
        table_row(
            "your group",
            markdown("{} in Keycloak's realm {}", code(team.oidc_group), code(realm)),
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
            "Open Harbor in a browser and log in by single sign-on.\n"
            "On your own machine `docker login` takes your Harbor user name and the CLI secret that\n"
            "your Harbor user profile shows.\n"
        ),
    ]
    if "ci" in team.active_robots:
        lines += [
            markdown(
                "## Push from a pipeline\n\nThe Secret `harbor-ci` in {} is a ready docker "
                "configuration:\n",
                code(slug),
            ),
            _commands(slug, registry),
            markdown(
                "\nRead it again in each run: its content changes when the credential is rotated.\n"
            ),
        ]
    if any(robot.attach for robot in team.active_robots.values()):
        lines.append(
            markdown(
                "## Pull\n\n"
                "Pods of the `default` ServiceAccount pull from your project without any setting.\n"
                "Another ServiceAccount needs `imagePullSecrets: [{{name: harbor-pull}}]`.\n"
            )
        )
    if plan is not None and plan.waiting:
        lines.append(markdown("## Still to come\n"))
        lines += [markdown("- {}: {}", str(wait.id), wait.reason) for wait in plan.waiting]
        lines.append(markdown(""))
    return joined("\n", lines)


def _commands(slug: str, registry: str) -> Markdown:
    """Return the commands of a pipeline as a block of code, from names without special characters."""
    if not _WORD.fullmatch(f"{registry}/{slug}"):
        return markdown("(Harbor's registry_url is not a host: ask the platform team for it.)")
    return Markdown(
        "```shell\n"
        f"kubectl -n {slug} get secret harbor-ci \\\n"
        "  -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d > config.json\n"
        f"docker --config . push {registry}/{slug}/app:1.0\n"
        "```"
    )
