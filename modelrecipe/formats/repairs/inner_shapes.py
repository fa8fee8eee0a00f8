"""In Keras 2 any layer could carry the shape of a model's input; behind an InputLayer it meant nothing."""

from __future__ import annotations

from modelrecipe.formats.repair import Json, Repair, Writer
from modelrecipe.formats.repairs.sequential_shape import without_shape

_SHAPE = "batch_input_shape"


def _mend(data: Json, writer: Writer) -> Json:
    """A layer that is no input without the shape; a Sequential's first one gave it to an InputLayer before."""
    del writer
    config = data["config"]
    is_behind_one = data.get("module") and data["class_name"] != "InputLayer"
    if not is_behind_one or not isinstance(config, dict) or _SHAPE not in config:
        return data
    return without_shape(data)


REPAIR = Repair(
    name="inner-shapes",
    cause="a layer that is no input names a `batch_input_shape`, which its class no longer takes",
    versions="`.keras` files of Keras 2.12 to 2.15 (the HDF5 loader of Keras 3 reads it)",
    cure="it is dropped; the InputLayer says the same",
    layer=_mend,
)
