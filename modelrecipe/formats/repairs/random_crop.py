"""A RandomCrop cut the middle out of its input in inference and resized it; that of Keras 3 leaves it as it is then."""

from __future__ import annotations

from modelrecipe.formats.repair import Json, Repair, Writer

_KEPT = ("name", "trainable", "dtype", "height", "width")


def _mend(data: Json, writer: Writer) -> Json:
    config = data["config"]
    if data["class_name"] != "RandomCrop" or not isinstance(config, dict) or not writer.is_before(3):
        return data
    if config.get("data_format") is not None:  # only Keras 3 has it
        return data
    kept = {key: config[key] for key in _KEPT if key in config}
    return {**data, "class_name": "Resizing", "config": {**kept, "interpolation": "bilinear", **_MIDDLE}}


_MIDDLE = {"crop_to_aspect_ratio": True}

REPAIR = Repair(
    name="random-crop",
    cause="a RandomCrop does nothing in inference in Keras 3, where it cut and resized to its height and width",
    versions="tf.keras 2.3 to 2.15",
    cure="it becomes a Resizing with `crop_to_aspect_ratio`: the same in inference, in training no longer random",
    layer=_mend,
)
