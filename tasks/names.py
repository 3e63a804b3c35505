"""Names of flow runs: a name that the caller gave is kept, a generated one is replaced."""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

from coolname.data import config as _config
from prefect.context import FlowRunContext

from tenantry.text import one_line

# The create form of Prefect's UI fills in an adjective of these and an animal's short name.
_UI_ADJECTIVES = frozenset(
    (
        *("Awesome", "Ergonomic", "Fantastic", "Generic", "Gorgeous", "Handcrafted", "Handmade"),
        *("Incredible", "Intelligent", "Licensed", "Practical", "Refined", "Rustic", "Sleek"),
        *("Small", "Tasty", "Unbranded"),
    )
)
_UI_LONGEST_ANIMAL = 6
_LONGEST = 120
_LISTED = 5
"""The most items of a list in a name."""
_HASH = 12
"""The digits of a hash in a name."""


def run_name(
    template: str, *, about: str | None = None, options: Sequence[str] = ()
) -> Callable[[], str]:
    """Return the function that names a flow's runs, for Prefect's `flow_run_name`.

    A name consists of the template, the subjects if the run is about selected ones, and the options
    that differ from their defaults: `detect drift: shop, data (remediate safe)`.

    Args:
        template: a format string with the run's parameters, such as `onboard {team[name]}`.
        about: the parameter that lists the subjects of the run, such as `teams`.
        options: the parameters to show if they differ from their defaults. The platform is always
            one of them.
    """

    def name() -> str:
        context = FlowRunContext.get()
        if context is None or context.flow_run is None or context.flow is None:
            return template
        current = context.flow_run.name
        if not is_generated(current):
            return current
        parameters = context.parameters or {}
        defaults = _defaults(context.flow.fn)
        special = [each for each in (*options, "platform") if each in parameters]
        return describe_run(
            template,
            parameters,
            about,
            [each for each in special if parameters[each] != defaults.get(each)],
        )

    return name


def describe_run(
    template: str, parameters: dict[str, Any], about: str | None, options: Sequence[str]
) -> str:
    """Return the name of a run: the filled-in template, its subjects and its options."""
    try:
        text = template.format_map(parameters)
    except (KeyError, IndexError, TypeError, AttributeError):
        # A parameter is faulty: the run itself reports it.
        text = template.partition("{")[0].strip()
    if subjects := parameters.get(about or ""):
        text += f": {_show(subjects)}"
    if shown := ", ".join(_option(each, parameters[each]) for each in options):
        text += f" ({shown})"
    return one_line(text)[:_LONGEST]


def is_generated(name: str) -> bool:
    """Return whether Prefect's server, or the create form of its UI, generated a run's name.

    Nothing else distinguishes a name that a user typed from one that the form filled in.
    """
    first, dash, second = name.partition("-")
    if not dash:
        return False
    if first in _UI_ADJECTIVES:
        return second[:1].isupper() and len(second) <= _UI_LONGEST_ANIMAL
    return first in _words("adj_any") and second in _words("subj")


@cache
def _words(name: str) -> frozenset[str]:
    """Return the words of one of coolname's lists, from which Prefect's server generates names."""
    rule = cast(dict[str, Any], _config)[name]
    if "words" in rule:
        return frozenset(rule["words"])
    return frozenset().union(*map(_words, rule["lists"]))


@cache
def _defaults(flow: Callable[..., Any]) -> dict[str, Any]:
    return {name: each.default for name, each in inspect.signature(flow).parameters.items()}


def _option(name: str, value: Any) -> str:
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return words if value else f"no {words}"
    return f"{words} {_show(value)}"


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _LISTED} more" if len(value) > _LISTED else ""
        return ", ".join(map(str, value[:_LISTED])) + more
    text = str(value)
    is_hash = len(text) >= 40 and all(digit in "0123456789abcdef" for digit in text)
    return text[:_HASH] if is_hash else text
