"""Attention layers of tf.keras 2.1 to 2.10 say `causal` once; in Keras 3 each call says `use_causal_mask`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe.formats.repair import Repair, Writer
from modelrecipe.graph import Layer, update_layers, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.checkpoint import Checkpoint

_CLASSES = ("Attention", "AdditiveAttention")


def _mend(checkpoint: Checkpoint, writer: Writer) -> tuple[Checkpoint, Sequence[str]]:
    del writer
    places = [located.path for located in walk(checkpoint.model) if _is_causal(located.layer)]
    if not places:
        return checkpoint, ()
    return replace(checkpoint, model=update_layers(checkpoint.model, dict.fromkeys(places, _said_in_calls))), places


def _is_causal(layer: Layer) -> bool:
    return layer.class_name in _CLASSES and layer.config.get("causal") is True


def _said_in_calls(layer: Layer) -> Layer:
    config = {key: value for key, value in layer.config.items() if key != "causal"}
    calls = tuple(replace(call, kwargs={**call.kwargs, "use_causal_mask": True}) for call in layer.calls)
    return replace(layer, config=config, calls=calls)


REPAIR = Repair(
    name="causal-attention",
    cause="an attention layer names `causal: true`, which Keras 3 takes with each call",
    versions="tf.keras 2.1 to 2.10",
    cure="each call gets `use_causal_mask: true`",
    document=_mend,
)
