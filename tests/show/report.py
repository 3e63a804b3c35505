"""How a `make show-…` prints: a line a demand, with its figure, and whether it is held."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Shown:
    """What was measured for one demand."""

    demand: str
    figure: str
    held: bool


class Report:
    """Gathers what is shown, and prints it at the end."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._console = Console(width=160)
        self._shown: list[Shown] = []

    def show(self, measure: Callable[..., list[Shown]], *given: Any) -> None:
        """Measures something, from what is given, and tells how it goes."""
        self._console.print(f"… {measure.__doc__ or measure.__name__}", style="dim")
        try:
            found = measure(*given)
        except Exception as error:  # noqa: BLE001 one broken measurement must not hide the others
            found = [Shown(measure.__doc__ or "", f"{type(error).__name__}: {error}", held=False)]
        self._shown += found

    def close(self) -> int:
        """Prints all lines; the exit status is 1 if a demand is not held."""
        table = Table(title=self._title, title_justify="left", title_style="bold")
        table.add_column("demand", overflow="fold", max_width=80)
        table.add_column("figure", overflow="fold")
        table.add_column("held")
        for shown in self._shown:
            held = "[green]held[/]" if shown.held else "[red]NOT HELD[/]"
            table.add_row(shown.demand, shown.figure, held)
        self._console.print(table)
        missed = sum(not shown.held for shown in self._shown)
        self._console.print(f"{len(self._shown) - missed} held, {missed} not held")
        return 1 if missed else 0
