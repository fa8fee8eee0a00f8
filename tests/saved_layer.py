"""What Keras itself writes of one layer into a weight file, for tests to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def symbolic(shape: Any, dtype: str = "float32") -> Any:
    """A symbolic tensor, or a list of them for a list of shapes."""
    import keras

    if isinstance(shape, list):
        return [symbolic(item, dtype) for item in shape]
    return keras.KerasTensor(shape, dtype=dtype)


def saved_slots(layer: Any, folder: Path) -> dict[str, tuple[str, bool, tuple[int, ...]]]:
    """Slot to own name, flag and shape of every variable of a built layer, found by marking each variable's numbers."""
    import keras

    class Holder(keras.Model):
        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.items_ = [layer]
            self.built = True

    for number, variable in enumerate(layer.variables, start=1):
        variable.assign(np.full(variable.shape, number).astype(variable.dtype))
    path = folder / "holder.weights.h5"
    Holder(layer).save_weights(path)
    found: dict[str, tuple[str, bool, tuple[int, ...]]] = {}
    with h5py.File(path, "r") as file:
        [group] = file["items_"].values()

        def note(slot: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                variable = layer.variables[int(np.asarray(item).reshape(-1)[0]) - 1]
                found[slot] = (variable.name, variable.trainable, tuple(item.shape))

        group.visititems(note)
    return found
