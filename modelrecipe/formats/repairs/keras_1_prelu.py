"""A PReLU of Keras 1 did not write down along which axes its slopes are shared; their shape tells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.formats.repair import Repair, Writer
from modelrecipe.formats.repairs.model_layers import map_leaves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Layer


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    if not writer.version or not writer.is_before(2):
        return checkpoint, ()

    def shared(layer: Layer) -> Layer:
        tensors = checkpoint.weights.of(layer.key)
        shape = (tensors[0].shape or ()) if len(tensors) == 1 else ()
        axes = [axis for axis, size in enumerate(shape, start=1) if size == 1]
        if layer.class_name != "PReLU" or not axes or layer.config.get("shared_axes"):
            return layer
        return replace(layer, config={**layer.config, "shared_axes": axes})

    model, mended = map_leaves(checkpoint.model, shared)
    return (replace(checkpoint, model=model), mended) if mended else (checkpoint, ())


REPAIR = Repair(
    name="keras-1-shared-slopes",
    cause="a PReLU does not say along which axes its slopes are shared",
    versions="Keras 1.0 to 1.2",
    cure="along those of size one",
    document=_mend,
)
