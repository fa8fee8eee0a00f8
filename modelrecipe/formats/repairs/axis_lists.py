"""Layers of Keras 2 name one axis as a list of one, which their classes in Keras 3 do not take."""

from __future__ import annotations

from modelrecipe.formats.repair import Json, Repair, Writer, with_config

_CLASSES = ("BatchNormalization", "SyncBatchNormalization")


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    config = data["config"]
    axis = config.get("axis") if isinstance(config, dict) else None
    if not data.get("module") or data["class_name"] not in _CLASSES or not isinstance(axis, list) or len(axis) != 1:
        return data
    return with_config(data, axis=axis[0])


REPAIR = Repair(
    name="axis-lists",
    cause="a BatchNormalization names its axis as a list of one, which Keras 3 takes for no number",
    versions="`.keras` files of Keras 2.12 to 2.15 (the HDF5 loader of Keras 3 reads it)",
    cure="the list gives way to the number in it",
    layer=_mend,
)
