"""`enable_lora`: train factors of low rank beside kernels instead of the kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from modelrecipe import measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit import lora
from modelrecipe.edit.surgery import check_all_copies, leaves_of, refuse_opaque
from modelrecipe.edit.values import total
from modelrecipe.fields import Doc, Rule
from modelrecipe.graph import Layer, update_layers
from modelrecipe.selector import Selector
from modelrecipe.step import STRUCTURE, Bench, Change, Step, Touch


@dataclass(frozen=True, kw_only=True)
class EnableLora(Step):
    """Train two factors of low rank beside each selected kernel instead of it: W + alpha / rank · A · B.

    A begins at random and B at zero, so outputs are the same at first (Hu et al., 2021, arXiv 2106.09685). Trained are
    rank · (d_in + d_out) numbers for each kernel, and the bias unless `freeze_bias`; other layers are left as they
    are. No file of Keras keeps the factors, so `merge_lora` has to come before `save`. Dense, EinsumDense, Conv1D to
    Conv3D and embeddings can have them.

    Example:
        - enable_lora: {layers: {type: Dense}, rank: 2, alpha: 4}
    """

    word: ClassVar[str] = "enable_lora"
    touches: ClassVar[Touch] = STRUCTURE

    layers: Annotated[Selector, Doc("which layers")]
    rank: Annotated[int, Doc("columns of A and rows of B"), Rule({"minimum": 1})]
    alpha: Annotated[
        float | None, Doc("the product counts alpha / rank times; without it, once"), Rule({"exclusiveMinimum": 0})
    ] = None
    freeze_bias: Annotated[bool, Doc("whether the biases of these layers stay as they are")] = False

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Add the factors as new tensors, which Keras initialises when the model is built."""
        refuse_opaque(checkpoint, self.word)
        chosen = leaves_of(bench.select(checkpoint, self.layers))
        check_all_copies(checkpoint, chosen.values())
        for located in chosen.values():
            lora.refuse_unfit(checkpoint, located)
        alpha = self.rank if self.alpha is None else self.alpha
        weights, is_moved = checkpoint.weights, False
        for path, located in chosen.items():
            layer, before = located.layer, checkpoint.weights.of(located.layer.key)
            tensors = lora.adapted(layer, before, self.rank, freezes_bias=self.freeze_bias)
            new = lora.adapters(tensors)
            is_moved = is_moved or not {tensor.slot for tensor in before} <= {tensor.slot for tensor in tensors}
            if weights.of(layer.key) is before:
                weights = weights.having(layer.key, tensors)
                count = measures.count(total(tensor.size for tensor in new))
                kernel = lora.kernel_of(before).name
                what = f"{kernel} frozen, LoRA of rank {self.rank} and alpha {alpha:g}: {count} numbers"
                names = tuple(tensor.name for tensor in new)
                bench.record(
                    Change(kind="~", layer=path, key=layer.key, what=what, weights=names, settings=lora.SETTINGS)
                )

        def with_lora(layer: Layer) -> Layer:
            return lora.with_lora(layer, self.rank, alpha)

        model = update_layers(checkpoint.model, dict.fromkeys(chosen, with_lora))
        # Where the file named its weights otherwise, the layout of that file is not kept.
        is_restructured = checkpoint.is_restructured or is_moved
        return replace(checkpoint, model=model, weights=weights, is_restructured=is_restructured)
