"""A `TimeDistributed` inside another wrapper notes the shape that the layer in it was built for as its own.

Keras 3 builds a layer inside a wrapper for the shape that it notes, and refuses one without a time axis.
"""

from __future__ import annotations

from modelrecipe.formats.repair import Json, Repair, Writer, is_layer


def _mend(data: Json, writer: Writer) -> Json:
    """The same wrapper without a shape that is that of the layer in it: its own has one axis more."""
    del writer
    held = data["config"].get("layer") if isinstance(data["config"], dict) else None
    noted = data.get("build_config")
    if data["class_name"] != "TimeDistributed" or not noted or held is None or not is_layer(held):
        return data
    if held.get("build_config") != noted:
        return data
    return {key: value for key, value in data.items() if key != "build_config"}


REPAIR = Repair(
    name="distributed-shapes",
    cause="a `TimeDistributed` inside another wrapper notes the input shape of the layer in it as its own",
    versions="Keras 2.12 to 2.15, tf_keras",
    cure="the note is dropped: the wrapper is built for what it is called with",
    layer=_mend,
)
