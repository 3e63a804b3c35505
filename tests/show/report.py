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
        """Measures something, from what is given, and prints a line for each demand."""
        self._console.print(f"… {measure.__doc__ or measure.__name__}", style="dim")
        try:
            found = measure(*given)
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

    def close(self) -> int:
        """Prints how many are held; the exit status is 1 if a demand is not."""
        missed = sum(not shown.held for shown in self._shown)
        self._console.print(f"{len(self._shown) - missed} held, {missed} not held")
        return 1 if missed else 0
