"""`regularize`: penalise the size of weights while they train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from modelrecipe import measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.held import Holder
from modelrecipe.edit.regularizers import is_copy, regularized
from modelrecipe.edit.settings import change_settings
from modelrecipe.edit.surgery import refuse_opaque
from modelrecipe.edit.values import Place, chosen_weights
from modelrecipe.errors import EditError, LanguageError, RecipeError
from modelrecipe.fields import Doc, Rule
from modelrecipe.graph import Layer
from modelrecipe.selector import Selector
from modelrecipe.step import SETTINGS, Bench, Step, Touch
from modelrecipe.weight_selector import WeightSelector

Strength = Annotated[float, Rule({"minimum": 0})]


@dataclass(frozen=True, kw_only=True)
class Regularize(Step):
    """Penalise the size of the selected weights: l1 · Σ|w| + l2 · Σw² is added to the loss while they train.

    The regularizers that the weights had are replaced; with `remove`, or strengths of 0, none is left. They stand in
    the layers' arguments, so they are there whenever the file is loaded, one loss for each selected weight. Keras
    leaves out frozen layers until they train. A shared layer counts once. Numbers and other arguments are unchanged.

    Example:
        - regularize: {layers: {type: Dense}, weights: kernel, l2: 0.0001}
    """

    word: ClassVar[str] = "regularize"
    touches: ClassVar[Touch] = SETTINGS

    layers: Annotated[Selector, Doc("whose weights")]
    weights: Annotated[WeightSelector, Doc("which variables of each layer: names, globs or roles")] = "kernel"
    l1: Annotated[Strength | None, Doc("factor of the sum of absolute values")] = None
    l2: Annotated[Strength | None, Doc("factor of the sum of squares")] = None
    remove: Annotated[bool, Doc("take the regularizers away")] = False

    def problems(self) -> Iterator[RecipeError]:
        """No strength at all, or one beside `remove`."""
        if self.remove and (self.l1 or self.l2):
            yield LanguageError("what is removed has no strength", hint="leave out l1 and l2", at=("remove",))
        elif not self.remove and self.l1 is None and self.l2 is None:
            yield LanguageError("'regularize' needs a strength", hint="write l1, l2 or both, or remove: true")

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Find the argument for each selected weight, and set it."""
        refuse_opaque(checkpoint, self.word)
        places = {place.path: place for place in chosen_weights(checkpoint, bench, self.layers, self.weights)}
        wishes = {path: self._wishes(place) for path, place in places.items()}
        frozen = [
            located.path
            for located in checkpoint.layers()
            if located.path in places and not located.is_effectively_trainable
        ]
        if frozen and (self.l1 or self.l2):
            verb = "is" if len(frozen) == 1 else "are"
            bench.note(f"{measures.quoted(frozen)} {verb} frozen: the penalty counts once the weights train")
        return change_settings(checkpoint, bench, wishes)

    def _wishes(self, place: Place) -> list[tuple[Holder, Mapping[str, Any]]]:
        layer = place.layer
        wanted = {name for name in place.names if not is_copy(layer, name)}
        found = [item for item in regularized(layer) if wanted & set(item.weights)]
        lacking = sorted(wanted - {name for item in found for name in item.weights})
        if lacking:
            raise EditError(
                f"'{place.path}' ({layer.kind_name}) has no regularizer for {measures.quoted(lacking)}",
                hint="leave it out of the selection",
                at=("layers",),
            )
        for item in found:
            torn = [name for name in item.weights if name not in wanted]
            if torn:
                raise EditError(
                    f"'{item.argument}' of '{place.path}' is for {measures.quoted(item.weights)} alike,"
                    f" but {measures.quoted(torn)} would not be regularized",
                    hint="select all of them",
                    at=("weights",),
                )
        return [(item.holder, {item.argument: self._regularizer(layer)}) for item in found]

    def _regularizer(self, layer: Layer) -> Mapping[str, Any] | None:
        """The regularizer as Keras writes it; L1 is written as L1L2, because Keras rounds its own L1 to float32."""
        if not self.l1 and not self.l2:
            return None
        strengths = {"l1": float(self.l1), "l2": float(self.l2 or 0)} if self.l1 else {"l2": float(self.l2 or 0)}
        told = {"class_name": "L1L2" if self.l1 else "L2", "config": strengths}
        return told if layer.module is None else {"module": "keras.regularizers", **told, "registered_name": None}
