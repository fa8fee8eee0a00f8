"""How cost grows with a model: times over sizes, and the exponent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.child import run, settle
from benchmarks.models import ModelFile, chain_of_layers, chain_of_megabytes
from benchmarks.table import peer_command, recipe_command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LIMIT = 1.1
_LEAST = 1e-3
"""Seconds; a difference of times below that is noise."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One command on models of growing size.

    Args:
        name: what the table calls it.
        unit: of what the sizes count.
        sizes: in rising order.
        models: a model of each size, behind the least one of all, whose time is that of starting.
        command: for a model and its output.
        is_ours: whether a limit holds.
    """

    name: str
    unit: str
    sizes: tuple[int, ...]
    models: tuple[ModelFile, ...]
    command: Callable[[Path, Path], Sequence[str]]
    is_ours: bool = True


def all_series(
    folder: Path, layers: tuple[int, ...], megabytes: tuple[int, ...], keras_layers: tuple[int, ...]
) -> list[Series]:
    """Plan and streamed run over layers, streamed run over bytes, and, given sizes, Keras' own load and save."""
    least = chain_of_layers(folder, 1)
    chains = (least, *(chain_of_layers(folder, count) for count in layers))
    wide = (least, *(chain_of_megabytes(folder, count) for count in megabytes))
    ours = [
        Series(name="plan", unit="layers", sizes=layers, models=chains, command=_ours("plan")),
        Series(name="run, streamed", unit="layers", sizes=layers, models=chains, command=_ours("run")),
        Series(name="run, streamed", unit="MB", sizes=megabytes, models=wide, command=_ours("run")),
    ]
    keras = Series(
        name="Keras, load and save",
        unit="layers",
        sizes=keras_layers,
        models=(least, *(chain_of_layers(folder, count) for count in keras_layers)),
        command=lambda source, target: peer_command("load_save", source, target),
        is_ours=False,
    )
    return [*ours, keras] if keras_layers else ours


def _ours(verb: str) -> Callable[[Path, Path], Sequence[str]]:
    return lambda source, target: recipe_command(verb, "rescale", source, target)


def measure(series: Series, folder: Path, *, repeat: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """The medians of times and memory for each size, and the exponent of the time."""
    target = folder / "grown.keras"
    runs: dict[Path, list[Any]] = {model.path: [] for model in series.models}
    for turn in range(repeat):
        for model in series.models:
            tell(f"growth: {series.name}, {model.path.name}, {turn + 1}/{repeat}")
            target.unlink(missing_ok=True)
            settle()
            runs[model.path].append(run(series.command(model.path, target)))
    target.unlink(missing_ok=True)
    start, *walls = (median(cost.wall for cost in runs[model.path]) for model in series.models)
    value = exponent(series.sizes, [wall - start for wall in walls])
    return {
        "program": series.name,
        "unit": series.unit,
        "sizes": series.sizes,
        "wall": walls,
        "start": start,
        "peak": [median(cost.peak for cost in runs[model.path]) for model in series.models[1:]],
        "exponent": value,
        "limit": LIMIT if series.is_ours else None,
        "ok": not series.is_ours or value < LIMIT,
    }


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The exponent p of seconds = c sizes^p, between the two largest sizes, where starting weighs least.

    Args:
        sizes: in rising order, at least two.
        seconds: without the time of starting.
    """
    before, last = (max(value, _LEAST) for value in seconds[-2:])
    return math.log(last / before) / math.log(sizes[-1] / sizes[-2])
