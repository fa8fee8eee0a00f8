"""Augmenting layers without hidden state: their random numbers are a function of seed, epoch and batch.

Keras' random layers count their calls in a variable of their seed generator, so that what a batch gets depends on all
calls before it. Here every batch brings its own state for each generator, which a `keras.StatelessScope` puts in
the variable's place: batches may be computed side by side or from the middle of an epoch on, with the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.data.feed.transform import tensorflow
from modelrecipe.data.selection import random_stream
from modelrecipe.errors import DataError, RecipeError
from modelrecipe.live.construct import foreign_code, make, reason
from modelrecipe.live.session import import_keras, seeded
from modelrecipe.measures import shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from modelrecipe.data.spec import DataSpec
    from modelrecipe.layer_spec import LayerSpec

_STATE = "seed_generator_state"
"""What Keras names the variable of a seed generator."""


class Augmentation:
    """The layers of `augment`, made once; without variables but the states of their seed generators."""

    def __init__(self, spec: DataSpec, seed: int) -> None:
        groups = spec.augment.items() if isinstance(spec.augment, Mapping) else [(None, spec.augment)]
        self._seed = seed
        with seeded(seed):
            self._layers = {name: _chain(name, layers) for name, layers in groups}
        # Traced once and called in every epoch's dataset; AutoGraph would put errors of its own in the place of ours.
        self._traced = tensorflow().function(self._augmented, autograph=False)
        every = [layer for layers in self._layers.values() for layer in layers]
        self._states = [variable for layer in every for variable in layer.variables if variable.name == _STATE]

    def seeds(self, epoch: int, start: int, count: int) -> NDArray[np.int64]:
        """A state for each generator in each batch from `start` on: (batches, generators, 2)."""
        stream = random_stream(self._seed, "augment", epoch)
        drawn = stream.randint(2**31 - 1, size=(count, len(self._states)))
        states = np.stack([drawn, np.zeros_like(drawn)], axis=-1)
        return states[start:].astype(np.int64)

    def apply(self, packed: tuple[Any, ...], seeds: Any) -> tuple[Any, ...]:
        """A batch with its inputs augmented.

        Raises:
            DataError: a layer cannot take the input, changes its shape, or there is no such input; `at` names it.
        """
        return self._traced(packed, seeds)

    def _augmented(self, packed: tuple[Any, ...], seeds: Any) -> tuple[Any, ...]:
        keras = import_keras()
        x = packed[0]
        mapping = [(state, keras.ops.cast(seeds[number], state.dtype)) for number, state in enumerate(self._states)]
        with keras.StatelessScope(state_mapping=mapping):
            if isinstance(x, dict):
                missing = [name for name in self._layers if name not in x]
                if missing:
                    names = ", ".join(x)
                    hint = f"write augment: {{{next(iter(x))}: [...]}}"
                    raise DataError(f"the inputs have names: {names}", hint=hint, at=("augment",))
                x = {**x, **{name: self._run(name, x[name]) for name in self._layers}}
            elif None not in self._layers:
                raise DataError("the one input has no name", hint="write augment: [...]", at=("augment",))
            else:
                x = self._run(None, x)
        return (x, *packed[1:])

    def _run(self, name: str | None, value: Any) -> Any:
        at = ("augment",) if name is None else ("augment", name)
        keras = import_keras()
        # Whole numbers, as pixels are, become float32 as in Keras' own preprocessing layers; noise takes no others.
        is_float = keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype))
        given = value = value if is_float else keras.ops.cast(value, "float32")
        for number, layer in enumerate(self._layers[name]):
            with foreign_code(_refusal(layer, (*at, number))):
                value = layer(value, training=True)
        if value.shape.as_list() != given.shape.as_list():
            gives = f"the layers give {shape(value.shape.as_list())} for {shape(given.shape.as_list())}"
            raise DataError(f"{gives}, but validation has no augmentation", hint="keep the shape", at=at)
        return value


def _chain(name: str | None, specs: Sequence[LayerSpec]) -> list[Any]:
    at = ("augment",) if name is None else ("augment", name)
    return [_made(spec, number, (*at, number)) for number, spec in enumerate(specs)]


def _made(spec: LayerSpec, number: int, at: tuple[str | int, ...]) -> Any:
    try:
        made = make(spec.make(name=f"augment_{number}", key=f"augment_{number}"), spec.class_, is_safe=True)
    except RecipeError as error:
        error.at = (*at, *error.at)
        raise
    if not isinstance(made, import_keras().Layer):
        raise DataError(f"'{spec.class_}' is no layer", at=at)
    return made


def _refusal(layer: Any, at: tuple[str | int, ...]) -> Any:
    def refusal(error: Exception) -> RecipeError:
        return DataError(f"{type(layer).__name__} cannot augment the input: {reason(error)}", at=at)

    return refusal
