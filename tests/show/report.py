"""How a `make show-…` prints: a line a demand, with its figure, and whether it is held."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table


@dataclass(frozen=True)
class Shown:
    """What was measured for one demand."""

    demand: str
    figure: str
    held: bool


class Report:
    """Prints what is shown as soon as it is measured, and counts what is not held."""

    def __init__(self, title: str) -> None:
        self._console = Console(width=160)
        self._shown: list[Shown] = []
        self._console.print(title, style="bold")

    def show(self, measure: Callable[..., list[Shown]], *given: Any) -> None:
        """Measure something and print a line for each demand.

        A measurement that raises an error or returns no line is not held.
        """
        self._console.print(f"… {measure.__doc__ or measure.__name__}", style="dim")
        try:
            found = measure(*given) or [Shown(measure.__doc__ or "", "NOTHING SHOWN", held=False)]
        except Exception as error:  # noqa: BLE001 one broken measurement must not hide the others
            found = [Shown(measure.__doc__ or "", f"{type(error).__name__}: {error}", held=False)]
        self._shown += found
        lines = Table.grid(
            Column(width=80, overflow="fold"),
            Column(width=66, overflow="fold"),
            Column(width=8),
            padding=(0, 1),
        )
        for shown in found:
            held = "[green]held[/]" if shown.held else "[red]NOT HELD[/]"
            lines.add_row(escape(shown.demand), escape(shown.figure), held)
        self._console.print(lines)

    def note(self, text: str) -> None:
        """Print a line that is neither held nor not held, such as what was left out and why."""
        self._console.print(escape(text), style="dim")

    def close(self) -> int:
        """Print how many demands are held; return the exit status: 1 if one is not held, or none was shown."""
        missed = sum(not shown.held for shown in self._shown)
        self._console.print(f"{len(self._shown) - missed} held, {missed} not held")
        return 1 if missed or not self._shown else 0
