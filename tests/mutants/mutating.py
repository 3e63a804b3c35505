"""Cosmic Ray's operators, and the changed text of a module."""

import warnings

from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names

from tests.mutants.population import Mutant

# Comparing by identity instead of equality, or the other way round, changes nothing for None,
# booleans, enumerations and short texts: such mutants survive whatever the tests are.
_NO_CHANGE = ("_Is_Eq", "_IsNot_NotEq", "_Eq_Is", "_NotEq_IsNot")


def load_operators() -> dict[str, Operator]:
    """Return the operators by name, except those that need an argument or change nothing."""
    classes = {name: get_operator(name) for name in operator_names()}
    return {
        name: operator()
        for name, operator in classes.items()
        if not operator.arguments() and not name.endswith(_NO_CHANGE)
    }


def mutate(source: str, mutant: Mutant) -> str | None:
    """Return a module's text with the change, or None if it does not compile or does not differ."""
    operator = get_operator(mutant.key.operator)()
    changed = mutate_code(source, operator, mutant.occurrence)
    if changed is None or changed == source:
        return None
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
            compile(changed, mutant.module, "exec", dont_inherit=True)
    except SyntaxError:
        return None
    return str(changed)
