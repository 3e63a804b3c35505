"""Names of flow runs: a name that the caller gave is kept, a generated one is replaced."""

from collections.abc import Callable
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


def run_name(template: str) -> Callable[[], str]:
    """Return what Prefect calls to name a run, as `flow_run_name`.

    Args:
        template: a format string with the run's parameters, such as `onboard {team[name]}`.
    """

    def name() -> str:
        context = FlowRunContext.get()
        if context is None or context.flow_run is None:
            return template
        current = context.flow_run.name
        return _fill(template, context.parameters or {}) if is_generated(current) else current

    return name


def is_generated(name: str) -> bool:
    """Whether Prefect's server or the create form of its UI made up a run's name.

    Nothing else tells a name that a person typed from one that the UI filled in and sent.
    """
    first, dash, second = name.partition("-")
    if not dash:
        return False
    if first in _UI_ADJECTIVES:
        return second[:1].isupper() and len(second) <= _UI_LONGEST_ANIMAL
    return first in _words("adj_any") and second in _words("subj")


@cache
def _words(name: str) -> frozenset[str]:
    """The words of one of coolname's lists, which Prefect's server makes names of."""
    rule = cast(dict[str, Any], _config)[name]
    if "words" in rule:
        return frozenset(rule["words"])
    return frozenset().union(*map(_words, rule["lists"]))


def _fill(template: str, parameters: dict[str, Any]) -> str:
    try:
        return one_line(template.format_map(parameters))[:_LONGEST]
    except (KeyError, IndexError, TypeError, AttributeError):
        # A faulty parameter: the run itself says what is wrong with it.
        return template.partition("{")[0].strip()
