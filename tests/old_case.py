"""One layer of tf_keras on inputs of given shapes: what `old_layers` lists many of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.old_keras import tf_keras

Layers = Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A layer on inputs of some shapes.

    Args:
        shapes: of each input, without the batch.
        make: a new layer, or anything else that is called with the input or the list of inputs.
        integers: whether the inputs are whole numbers below 6.
    """

    shapes: tuple[tuple[int, ...], ...]
    make: Layers
    integers: bool = False

    def model(self) -> Any:
        """A functional model that holds the layer alone."""
        inputs = [tf_keras.Input(shape, dtype="int32" if self.integers else "float32") for shape in self.shapes]
        given = self.make()(inputs if len(inputs) > 1 else inputs[0])
        return tf_keras.Model(inputs if len(inputs) > 1 else inputs[0], given)

    def inputs(self) -> Any:
        """A batch of two."""
        random = np.random.default_rng(1)
        draw = random.integers if self.integers else random.uniform
        made = [
            np.asarray(
                draw(*((0, 6) if self.integers else (-2, 2)), (2, *shape)), "int32" if self.integers else "float32"
            )
            for shape in self.shapes
        ]
        return made if len(made) > 1 else made[0]


def cases(prefix: str, shape: tuple[int, ...], makes: Mapping[str, Layers], *, inputs: int = 1) -> dict[str, Case]:
    return {f"{prefix}-{name}": Case(shapes=(shape,) * inputs, make=make) for name, make in makes.items()}
