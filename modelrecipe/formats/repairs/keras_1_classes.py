"""Classes that Keras 2 renamed or dropped.

Source: `keras/layers` and `keras/engine/topology.py` (`Merge`) of Keras 1.2.2. What has no counterpart in Keras 3 is
refused with the names of layer and class: nothing else would compute the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.errors import FileError
from modelrecipe.formats.repair import Json, Repair, Writer, name_of, with_config

if TYPE_CHECKING:
    from collections.abc import Mapping

CLASSES: Mapping[str, str] = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}
_MERGES: Mapping[str, str] = {
    "sum": "Add",
    "mul": "Multiply",
    "concat": "Concatenate",
    "ave": "Average",
    "max": "Maximum",
    "dot": "Dot",
    "cos": "Dot",
}
_WITHOUT_COUNTERPART = ("Highway", "MaxoutDense", "ParametricSoftplus", "SReLU")
_LOCAL = ("LocallyConnected1D", "LocallyConnected2D")


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    class_name, config = data["class_name"], data["config"]
    if not isinstance(config, dict):
        return data
    if class_name in _WITHOUT_COUNTERPART or (class_name in _LOCAL and "nb_filter" in config):
        raise FileError(
            f"layer '{name_of(data)}' is a {class_name} of Keras 1, for which Keras 3 has no counterpart",
            hint="replace it by a layer of Keras 3",
        )
    if class_name == "Merge" and "mode" in config:
        return _merged(data)
    if class_name == "BatchNormalization" and "mode" in config:
        return _normalization(data)
    return {**data, "class_name": CLASSES[class_name]} if class_name in CLASSES else data


def _normalization(data: Json) -> Json:
    mode = data["config"]["mode"]
    if mode:
        kind = {1: "each sample by itself", 2: "each batch by itself, in inference too"}.get(mode, "in another way")
        raise FileError(
            f"layer '{name_of(data)}' (BatchNormalization of Keras 1) has mode {mode}, which normalizes {kind}; "
            "BatchNormalization of Keras 3 does not",
            hint="replace it by a layer of Keras 3",
        )
    return with_config(data, drop=("mode",))


def _merged(data: Json) -> Json:
    """The layer of Keras 3 for a merge; what it was told about masks and shapes follows from its inputs today."""
    config, mode = data["config"], data["config"]["mode"]
    if config.get("mode_type", "raw") != "raw" or mode not in _MERGES:
        raise FileError(
            f"layer '{name_of(data)}' (Merge of Keras 1) merges by Python code, which is not executed",
            hint="replace it by a layer of Keras 3",
        )
    kept = {key: config[key] for key in ("name", "trainable", "dtype") if key in config}
    if mode == "concat":
        kept["axis"] = config.get("concat_axis", -1)
    if mode in ("dot", "cos"):
        kept |= {"axes": config.get("dot_axes", -1), "normalize": mode == "cos"}
    if mode == "cos" and kept["axes"] not in (1, -1, [1, 1]):
        raise FileError(
            f"layer '{name_of(data)}' (Merge of Keras 1) has mode 'cos' along the axes {kept['axes']}, which Keras 3 "
            "does not compute the same way",
            hint="replace it by a layer of Keras 3",
        )
    return {**data, "class_name": _MERGES[mode], "config": kept}


REPAIR = Repair(
    name="keras-1-classes",
    cause="a layer has a class that Keras 2 renamed, as `Convolution2D` or `Merge`",
    versions="Keras 1.0 to 1.2",
    cure="today's class; one without counterpart (MaxoutDense, Highway, ...) is refused",
    layer=_mend,
)
