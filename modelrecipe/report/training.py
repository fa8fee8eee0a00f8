"""How a training goes, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe import measures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FRAME = ("step", "epochs", "total", "epoch", "batch", "seconds")


def lines(event: str, facts: Mapping[str, Any]) -> Sequence[str]:
    """What of an event stays to be read."""
    if event == "epoch":
        return [epoch_line(facts)]
    return facts["notes"] if event == "resumed" else []


def epoch_line(facts: Mapping[str, Any]) -> str:
    """An epoch that has ended, with its values."""
    values = {name: value for name, value in facts.items() if name not in _FRAME}
    return f"epoch {facts['epoch']}/{facts['epochs']}  {shown(values)}  {measures.seconds(facts['seconds'])}"


def batch_line(facts: Mapping[str, Any]) -> str:
    """Where a training is: epoch, batch, loss, rate, and about how much time is left."""
    rate = facts["done"] / facts["seconds"] if facts["seconds"] else 0.0
    left = f"  {measures.seconds((facts['total'] - facts['batch']) / rate)} left" if rate else ""
    return f"{facts['done']}/{facts['of']}  loss {facts['loss']:.4g}  {rate:,.0f}/s{left}"


def shown(values: Mapping[str, float]) -> str:
    """Values by name, to four digits."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
