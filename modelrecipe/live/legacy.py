"""What Keras' own HDF5 loader does to old configurations before it makes a layer, done here layer by layer.

Source: `keras/src/legacy/saving/saving_utils.py` (`model_from_config`) of Keras 3.15.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def modernised(config: Mapping[str, Any], *, is_input: bool) -> dict[str, Any]:
    """Constructor arguments of a layer of an HDF5 file, as today's classes take them.

    Args:
        config: as the file has them.
        is_input: whether the layer is an InputLayer.
    """
    changed = dict(config)
    shape = changed.pop("batch_input_shape", None)
    if shape is not None and is_input:
        changed["batch_shape"] = shape
    axis = changed.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        changed["axis"] = int(axis[0])
    return changed
