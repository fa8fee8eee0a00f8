"""What a bench is told before it begins: by the recipe, by the command line, and by the trial that went before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelrecipe.engine.devices import Devices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data import DataSummary


def silent(text: str) -> None:
    """Progress that nobody is told of."""
    del text


@dataclass
class Options:
    """How a recipe is planned or run.

    Args:
        folder: what paths of the running step are relative to; the runner sets it. At first that of the recipe.
        seed: of everything random.
        out: folder that outputs go to instead; None for the recipe's own paths.
        force: whether outputs that exist are replaced.
        is_dry: a plan: nothing is written.
        exact: a plan that may start Keras.
        given: a model that stands in for what the recipe loads.
        progress: told in words what takes time.
        passing: told again and again how far a long write is; for a display that replaces what it showed.
        memory: bytes that a run may use at its peak; a plan that says more is refused.
        is_safe: whether Python code in a configuration is refused.
        executes_graphs: whether a SavedModel that the recipe takes in as one opaque layer may be built.
        opened: files that were read already, with repairs or without; a run takes over those of its trial.
        imports: modules that the recipe names, which may register any class.
        expected: digests that outputs must have, from their locks, by the outputs' names.
        nesting: recipes whose architecture this bench is for.
        name: of the recipe; folders that it fills for itself are called after it.
        reads_back: whether the proof reads what was written from the disk again.
        resumes: whether trainings go on from the states that an earlier run kept.
        events: told of what happens in a training, as name and facts.
        described: what was found out of data already; a run takes it over from its trial.
        compares_locks: whether a trial is to know what locks hold.
        devices: those that trainings share; of several machines one alone writes.
    """

    folder: Path
    seed: int = 0
    out: Path | None = None
    force: bool = False
    is_dry: bool = False
    exact: bool = False
    given: Checkpoint | None = None
    progress: Callable[[str], None] = silent
    passing: Callable[[str], None] | None = None
    memory: int | None = None
    is_safe: bool = True
    executes_graphs: bool = False
    opened: dict[tuple[Path, bool], Checkpoint] = field(default_factory=dict)
    imports: Sequence[str] = ()
    expected: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    nesting: tuple[Path, ...] = ()
    name: str = "recipe"
    reads_back: bool = False
    resumes: bool = False
    events: Callable[[str, Mapping[str, Any]], None] = lambda event, facts: None
    described: dict[tuple[Path, str], DataSummary] = field(default_factory=dict)
    compares_locks: bool = False
    devices: Devices = field(default_factory=Devices)
