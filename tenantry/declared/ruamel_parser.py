"""Reads YAML text with ruamel.yaml: text that libyaml cannot be trusted with, and all faults.

The functions that edit files use ruamel.yaml, too, because it keeps comments. They and this module
interpret a file in the same way.
"""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from tenantry.declared.yaml_nodes import TAG, Composed, FaultyText, Node


def compose(text: str) -> Composed:
    """Return the nodes of a text.

    Raises:
        FaultyText: the text is not YAML.
        RecursionError: the text is nested too deeply.
    """
    parser = YAML(typ="safe", pure=True)
    try:
        return Composed(parser.compose(text), _Constructor(parser.constructor).construct)
    except ReaderError as error:
        line = text[: error.position or 0].count("\n") + 1
        character = error.character if isinstance(error.character, int) else 0
        text = f"contains the character U+{character:04X}, which YAML does not allow; remove it"
        raise FaultyText(line, text) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context).split())
        if "single document" in str(error.context):
            problem = "contains several documents; write one document per file, without '---'"
            raise FaultyText(mark.line + 1 if mark else 1, problem) from None
        raise FaultyText(mark.line + 1 if mark else 1, f"is not YAML: {problem}") from None
    except RecursionError:
        raise
    except (YAMLError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError) as error:
        # The parser raises these for invalid anchors, escapes and directives.
        problem = (str(error).splitlines() or ["it cannot be parsed"])[0]
        raise FaultyText(1, f"is not YAML: {problem}") from None


class _Constructor:
    """Converts the scalars of one text, which can declare the rules of YAML 1.1 for itself."""

    def __init__(self, constructor: SafeConstructor) -> None:
        self._constructor = constructor

    def construct(self, tag: str, node: Node) -> Any:
        """Return the value of a scalar with this tag.

        Raises:
            ValueError: the text is not such a value.
        """
        try:
            return getattr(self._constructor, f"construct_yaml_{tag.removeprefix(TAG)}")(node)
        except YAMLError:
            raise ValueError(node.value) from None
