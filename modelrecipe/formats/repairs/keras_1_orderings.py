"""Some layers of Keras 1 did not write down where their channels stand: it was a setting of the whole machine."""

from __future__ import annotations

from modelrecipe.errors import FileError
from modelrecipe.formats.repair import Json, Repair, Writer, inner_layers, map_layers, name_of, with_config

_SILENT = (
    *(f"{name}{rank}" for name in ("Cropping", "SpatialDropout", "UpSampling", "ZeroPadding") for rank in ("2D", "3D")),
)
_KEY = "dim_ordering"


def _mend(data: Json, writer: Writer) -> Json:
    """A model whose silent layers say what all its other layers say; the outermost one speaks for all inside."""
    del writer
    layers = list(inner_layers(data)) if isinstance(data["config"], dict) and "layers" in data["config"] else []
    told = {layer["config"][_KEY] for layer in layers if isinstance(layer["config"], dict) and _KEY in layer["config"]}
    if not told or not any(_is_silent(layer) for layer in layers):
        return data
    if len(told) > 1:
        first = next(layer for layer in layers if _is_silent(layer))
        raise FileError(
            f"layer '{name_of(first)}' ({first['class_name']} of Keras 1) does not say where its channels stand, and "
            "the others differ in it",
            hint="replace it by a layer of Keras 3",
        )
    ordering = told.pop()
    return map_layers(data, lambda layer: with_config(layer, **{_KEY: ordering}) if _is_silent(layer) else layer)[0]


def _is_silent(layer: Json) -> bool:
    config = layer["config"]
    is_newer = isinstance(config, dict) and ("data_format" in config or _KEY in config)
    return layer["class_name"] in _SILENT and isinstance(config, dict) and not is_newer


REPAIR = Repair(
    name="keras-1-orderings",
    cause="padding, cropping and upsampling layers do not say where the channels stand",
    versions="Keras 1.0 to 1.2",
    cure="what all other layers of the file say holds for them",
    layer=_mend,
)
