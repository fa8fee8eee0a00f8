"""The model in training, seen as a document: steps edit it as they edit a file, and what they changed is carried over.

A tensor of the document reads the live variable at the time when it is asked, so that one implementation of a step
serves offline and here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.errors import EditError
from modelrecipe.formats.variable_names import may_train
from modelrecipe.frozen import frozen
from modelrecipe.graph import Layer, walk
from modelrecipe.live import build, filling, state
from modelrecipe.live.placing import places
from modelrecipe.live.session import import_keras
from modelrecipe.live.training.settings import give_settings
from modelrecipe.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.weights import Tensor


@frozen(kw_only=False)
class Reader:
    """Reads a live variable, as it is now."""

    variable: Any

    def __call__(self) -> NDArray[np.generic]:
        """The numbers; a copy that later changes leave alone."""
        return np.array(import_keras().ops.convert_to_numpy(self.variable))


@frozen
class Taken:
    """What carrying edits over changed.

    Args:
        variables: how many got numbers.
        is_restepped: whether the training step must be made anew, because flags and settings are part of it.
    """

    variables: int
    is_restepped: bool


@dataclass
class Subject:
    """A live model and its document.

    Args:
        built: the live model.
        document: the model as it was built; flags and settings follow the edits.
        assign: gives a live variable numbers.
    """

    built: build.Built
    document: Checkpoint
    _variables: dict[tuple[str, str], Any] = field(default_factory=dict)
    _closed: dict[str, str] = field(default_factory=dict)
    _held_back: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        tensors: dict[str, tuple[Tensor, ...]] = {}
        for located in walk(self.document.model):
            key, live = located.layer.key, self.built.layers.get(located.layer.key)
            own = self.document.weights.of(key)
            if key in tensors or not own or live is None:
                continue
            placed = places(live, own) if state.has_slots(own) else state.by_name(live, own)
            if placed is None:
                self._closed[key] = located.path
                tensors[key] = own
                continue
            self._variables |= {(key, tensor.name): variable for variable, tensor in placed}
            tensors[key] = tuple(
                replace(tensor, source=Reader(variable), edits=(), dtype=str(variable.dtype))
                for variable, tensor in placed
            )
        self.document = replace(self.document, weights=Weights(tensors))

    @property
    def model(self) -> Any:
        """The Keras model."""
        return self.built.model

    def variable(self, key: str, name: str) -> Any:
        """The live variable of a tensor; None for those of a layer that keeps them to itself."""
        return self._variables.get((key, name))

    def learning(self, key: str, names: Sequence[str]) -> list[Any]:
        """The live variables of tensors that learn; of a layer that keeps its variables to itself, all that may."""
        if key in self._closed:
            weights = self.built.layers[key].weights
            return [variable for variable in weights if may_train(variable.name, str(variable.dtype))]
        found = [self.variable(key, name) for name in names]
        return [variable for variable in found if variable is not None]

    def hold_back(self, variables: Sequence[Any]) -> None:
        """Exclude single variables from training, whatever the flags of their layers say, which Keras sets for all."""
        self._held_back = tuple(variables)
        for variable in variables:
            variable.trainable = False

    def editable(self, key: str, name: str) -> Any:
        """The live variable of a tensor.

        Raises:
            EditError: the layer keeps its variables to itself, as a quantised one does.
        """
        if key in self._closed:
            raise EditError(
                f"'{self._closed[key]}' does more than to hold its weights, so they cannot be edited in training",
                hint="edit them before or after",
                layer=key,
            )
        return self._variables[key, name]

    def take(self, edited: Checkpoint) -> Taken:
        """Carry over what a step did to the document: numbers, flags and settings.

        Raises:
            EditError: the layer keeps its variables to itself, as a quantised one does.
        """
        new = list(self._new_numbers(edited))
        for variable, values in new:  # all are computed before the first is given away
            variable.assign(values)
        return Taken(variables=len(new), is_restepped=self.take_layers(edited))

    def take_layers(self, edited: Checkpoint) -> bool:
        """Carry over flags and settings alone; gives back whether any differ."""
        is_other = edited.model != self.document.model
        if is_other:
            before = {item.layer.key: item.layer for item in walk(self.document.model)}
            filling.set_live_flags(self.built, edited.model)
            self.hold_back(self._held_back)
            for located in walk(edited.model):
                give_settings(self.built.layers.get(located.layer.key), before[located.layer.key], located.layer)
            self.document = replace(self.document, model=edited.model)
        return is_other

    def _new_numbers(self, edited: Checkpoint) -> Iterator[tuple[Any, NDArray[np.generic]]]:
        for key, tensors in edited.weights.items():
            before = {tensor.name: tensor for tensor in self.document.weights.of(key)}
            for tensor in tensors:
                if tensor is before[tensor.name] or not (
                    tensor.edits or tensor.source is not before[tensor.name].source
                ):
                    continue
                yield self.editable(key, tensor.name), tensor.read()

    def trained(self, document: Checkpoint) -> Checkpoint:
        """The document with the numbers, flags and settings of now.

        Args:
            document: the model as it was before the training.
        """
        now = {item.layer.key: item.layer for item in walk(document.model)}
        weights: dict[str, tuple[Tensor, ...]] = {}
        for key, tensors in document.weights.items():
            if key in self._closed:
                weights[key] = _of_closed(self.built.layers[key], now[key], tensors)
            else:
                weights[key] = tuple(self._frozen(key, tensor) for tensor in tensors)
        return replace(document, model=self.document.model, weights=Weights(weights))

    def _frozen(self, key: str, tensor: Tensor) -> Tensor:
        variable = self.variable(key, tensor.name)
        if variable is None:
            return tensor
        values = Reader(variable)().astype(_numpy_type(tensor, variable), copy=False)
        return replace(tensor, source=state.Held(values), edits=())


def _numpy_type(tensor: Tensor, variable: Any) -> Any:
    return Reader(variable)().dtype if tensor.dtype is None else _dtype(tensor.dtype)


def _dtype(name: str) -> Any:
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, None) or name)


def _of_closed(live: Any, layer: Layer, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a layer that keeps its variables to itself would save."""
    now = {tensor.slot: tensor for tensor in state.read(live, layer.kind_name, layer.config)}
    return tuple(
        replace(tensor, source=now[tensor.slot].source, edits=()) if tensor.slot in now else tensor
        for tensor in tensors
    )
