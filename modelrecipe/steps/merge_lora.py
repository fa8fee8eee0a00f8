"""`merge_lora`: add what adapters of low rank have learnt to their kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from modelrecipe import measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit import lora
from modelrecipe.edit.surgery import leaves_of, refuse_opaque
from modelrecipe.errors import EditError
from modelrecipe.fields import Doc
from modelrecipe.graph import Located, update_layers
from modelrecipe.selector import Selector
from modelrecipe.step import STRUCTURE, Bench, Change, Step, Touch


@dataclass(frozen=True, kw_only=True)
class MergeLora(Step):
    """Merge LoRA adapters into their kernels, which become W + alpha / rank · A · B and train again.

    The sum is taken in float64 and rounded once, so outputs are the same up to rounding. Where the file says that a
    layer had adapters, they are in its kernel already, and only the arguments go. All other layers are unchanged.

    Example:
        - merge_lora: {layers: {type: Dense}}
    """

    word: ClassVar[str] = "merge_lora"
    touches: ClassVar[Touch] = STRUCTURE

    layers: Annotated[Selector, Doc("which layers; those without adapters are passed over")]

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Add the product lazily, drop the factors and the arguments."""
        refuse_opaque(checkpoint, self.word)
        found = leaves_of(bench.select(checkpoint, self.layers))
        chosen = {path: item for path, item in found.items() if item.layer.config.get("lora_rank")}
        if not chosen:
            verb = "has" if len(found) == 1 else "have"
            raise EditError(
                f"{measures.quoted(list(found))} {verb} no LoRA adapters",
                hint="select the layers that enable_lora named",
                at=("layers",),
            )
        known = _with_factors(checkpoint, bench, list(chosen.values()))
        weights = checkpoint.weights
        for path, located in chosen.items():
            layer, tensors = located.layer, known.weights.of(located.layer.key)
            if not lora.adapters(weights.of(layer.key)) and lora.adapters(tensors):
                continue  # another place of a shared layer
            kernel = lora.kernel_of(tensors).name
            factors = lora.adapters(tensors)
            weights = weights.having(layer.key, lora.merged(layer, tensors))
            what = f"LoRA of rank {layer.config['lora_rank']} merged into {kernel}"
            bench.record(
                Change(
                    kind="~",
                    layer=path,
                    key=layer.key,
                    what=what if factors else f"{what} by the file already",
                    weights=() if lora.is_untouched(factors) else (kernel,),
                    settings=lora.SETTINGS,
                )
            )
        model = update_layers(checkpoint.model, dict.fromkeys(chosen, lora.without_lora))
        return replace(checkpoint, model=model, weights=weights)


def _with_factors(checkpoint: Checkpoint, bench: Bench, chosen: Sequence[Located]) -> Checkpoint:
    """The checkpoint with the numbers of new factors that a step has edited: only Keras knows what they began with."""
    pairs = [lora.adapters(checkpoint.weights.of(located.layer.key)) for located in chosen]
    is_waiting = any(tensor.source is None for pair in pairs if pair and not lora.is_untouched(pair) for tensor in pair)
    return bench.measure(replace(checkpoint, is_restructured=True)) if is_waiting else checkpoint
