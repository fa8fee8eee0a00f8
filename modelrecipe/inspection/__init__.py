"""What `inspect` tells about a file, as values. Reads headers alone: no weights, no Keras.

Takes whole models, architectures without weights, and weights without an architecture, each in every container.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe import formats
from modelrecipe.engine.totals import totals
from modelrecipe.errors import FileError
from modelrecipe.formats.tensorflow import TFSM, is_saved_model
from modelrecipe.garbage import uncollected
from modelrecipe.inspection.facts import EntryFacts, Inspection, LayerFacts, WeightFacts
from modelrecipe.inspection.layers import layer_facts
from modelrecipe.obstacles import obstacles
from modelrecipe.selector import select

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.selector import Selector

__all__ = ["EntryFacts", "Inspection", "LayerFacts", "WeightFacts", "inspect_file", "layer_facts"]


@uncollected()
def inspect_file(path: Path, selector: Selector | None = None) -> Inspection:
    """What a file holds.

    Args:
        path: a model file, an architecture, or a file of weights.
        selector: which layers to list; None for all.

    Raises:
        FileError: it is missing, damaged, unsafe, or none of these.
        SelectorError: the selector matches nothing.
        UsageError: there is a selector, but the file holds weights alone.
    """
    try:
        checkpoint, refusals = _read(path)
    except FileError as error:
        from modelrecipe.inspection.halves import inspect_half

        return inspect_half(path, selector, error)
    origin = checkpoint.origin
    is_graph = origin is not None and origin.format == TFSM
    compiled = (origin.compile_config or {}) if origin else {}
    model, found = checkpoint.model, totals(checkpoint)
    return Inspection(
        file=str(path),
        format=origin.format if origin else "",
        writer=origin.writer if origin else None,
        size=_size_of(path),
        name=model.name,
        type=model.kind_name,
        is_opaque=checkpoint.is_opaque,
        is_compiled=bool(compiled),
        optimizer=_optimizer(compiled),
        has_optimizer_state=bool(origin and origin.has_optimizer_state),
        totals=replace(found, parameters=None, trainable=None) if is_graph else found,
        repairs=origin.repairs if origin else (),
        remarks=origin.remarks if origin else (),
        obstacles=(*refusals, *map(str, obstacles(checkpoint))),
        selector=None if selector is None else str(selector),
        layers=tuple(layer_facts(checkpoint, None if selector is None else select(checkpoint, selector))),
    )


def _size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a directory."""
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return sum(file.stat().st_size for file in files)


def _read(path: Path) -> tuple[Checkpoint, tuple[str, ...]]:
    """The document; where there is none, the nearest thing that can be shown, and what is against the file."""
    try:
        return formats.read_checkpoint(path), ()
    except FileError as error:
        try:
            return formats.read_checkpoint(path, mends=False), (str(error),)
        except FileError:
            if not is_saved_model(path):
                raise error from None
        return _as_graph(path, error), (str(error),)


def _as_graph(path: Path, refusal: FileError) -> Checkpoint:
    """A SavedModel directory without editable layers as one opaque layer."""
    try:
        return formats.read_checkpoint(path, TFSM)
    except FileError as error:
        if error.message == refusal.message:
            raise
        hint = f"it cannot be taken in as one opaque layer either: {error.message}"
        raise FileError(refusal.message, hint=hint) from error


def _optimizer(compiled: Mapping[str, Any]) -> str | None:
    """The optimizer's class: Keras 3 keeps it under `optimizer`, old files under `optimizer_config`."""
    for key in ("optimizer", "optimizer_config"):
        stored = compiled.get(key)
        if isinstance(stored, str):
            return stored
        if isinstance(stored, Mapping) and isinstance(stored.get("class_name"), str):
            return stored["class_name"]
    return None
