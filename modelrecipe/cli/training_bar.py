"""A training on a terminal: a bar for the epoch that runs, a line for each that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from modelrecipe.report.training import batch_line, lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.status import Status

_WIDTH = 16


def show_event(status: Status, event: str, facts: Mapping[str, Any]) -> None:
    """Show what happens in a training in place of what the status showed."""
    for line in lines(event, facts):
        status.console.print(escape(line), highlight=False)
    if event == "batch":
        row = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=facts["of"], completed=facts["done"], width=_WIDTH)
        row.add_row(f"epoch {facts['epoch']}/{facts['epochs']}", bar, escape(batch_line(facts)))
        status.update(row)
