"""What of a training stays to be read, on a terminal and without one."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from modelrecipe.cli.training_bar import show_event
from modelrecipe.report.training import lines

EPOCH: dict[str, Any] = {
    "step": 2, "epochs": 3, "total": 12, "epoch": 2, "batch": 8, "seconds": 1.5, "loss": 0.25, "val_loss": 0.125
}  # fmt: skip
RESUMED: dict[str, Any] = {
    "batch": 4,
    "notes": ["'batch-000000008.state' is damaged (cut short)", "resumed after batch 4"],
}
EVENTS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("epoch", EPOCH, ["epoch 2/3  loss 0.25, val_loss 0.125  1.50 s"]),
    ("resumed", RESUMED, RESUMED["notes"]),
    ("state", {"batch": 8, "file": "batch-000000008.state"}, []),
]


@pytest.mark.parametrize(("event", "facts", "wanted"), EVENTS)
def test_lines(event: str, facts: dict[str, Any], wanted: list[str]):
    assert list(lines(event, facts)) == wanted


def test_a_terminal_keeps_the_lines_above_the_bar():
    console = Console(width=80, record=True, force_terminal=True)
    with console.status("") as status, console.capture() as said:
        for event, facts, _ in EVENTS:
            show_event(status, event, facts)
    text = said.get()
    places = [text.find(line) for _, _, wanted in EVENTS for line in wanted]
    assert places == sorted(places)
    assert -1 not in places
