"""Arguments that Keras 2 renamed: `nb_filter` is `filters`, `border_mode` is `padding`, and so on.

Source: `get_config` of the layers of Keras 1.2.2, and `keras/legacy/interfaces.py` of Keras 2.2 for what they became.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe.formats.repair import Json, Repair, Writer, name_of, with_config
from modelrecipe.formats.repairs.keras_1_values import (
    constraint,
    data_format,
    initializer,
    padding,
    regularizer,
    without_output_shape,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONVOLUTION = {
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "atrous_rate": "dilation_rate",
    "dim_ordering": "data_format",
}
_WEIGHTED = {
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "bias": "use_bias",
}
_RECURRENT = {
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "U_regularizer": "recurrent_regularizer",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "forget_bias_init": "unit_forget_bias",
}
_UNITS = {"output_dim": "units"}
_POOLING = {"pool_length": "pool_size", "stride": "strides", "border_mode": "padding", "dim_ordering": "data_format"}
_ORDERED = {"dim_ordering": "data_format"}
_RATE = {"p": "rate"}
_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "SeparableConv2D")

RENAMED: Mapping[str, Mapping[str, str]] = {
    "Dense": _WEIGHTED | _UNITS,
    **dict.fromkeys(_CONVOLUTIONS, _WEIGHTED | _CONVOLUTION),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU"), _WEIGHTED | _RECURRENT | _UNITS),
    "ConvLSTM2D": _WEIGHTED | _RECURRENT | _CONVOLUTION,
    "Embedding": {
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    },
    "PReLU": {"init": "alpha_initializer"},
    **dict.fromkeys(("MaxPooling1D", "AveragePooling1D"), _POOLING),
    **{f"{kind}Pooling{rank}D": _POOLING for kind in ("Max", "Average") for rank in (2, 3)},
    **{f"Global{kind}Pooling{rank}D": _ORDERED for kind in ("Max", "Average") for rank in (2, 3)},
    **{f"{kind}{rank}D": _ORDERED for kind in ("Cropping", "ZeroPadding", "UpSampling") for rank in (2, 3)},
    "UpSampling1D": {"length": "size"},
    "GaussianNoise": {"sigma": "stddev"},
    **dict.fromkeys(("Dropout", "GaussianDropout", "SpatialDropout1D"), _RATE),
    **dict.fromkeys(("SpatialDropout2D", "SpatialDropout3D"), _RATE | _ORDERED),
}
_GONE: Mapping[str, tuple[str, ...]] = {
    "Dense": ("input_dim", "input_length"),
    **dict.fromkeys(_CONVOLUTIONS, ("input_dim", "input_length")),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU"), ("input_dim", "input_length", "consume_less")),
    "Embedding": ("input_length", "dropout"),
}
_SIZES = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))


def is_of_keras_1(data: Json, writer: Writer) -> bool:
    """Whether Keras 1 wrote a serialised layer: the file says so, or the arguments do."""
    if writer.version:
        return writer.is_before(2)
    names = {*RENAMED.get(data["class_name"], ()), *(name for names in _SIZES for name in names)}
    return not names.isdisjoint(data["config"])


def _mend(data: Json, writer: Writer) -> Json:
    config = data["config"]
    if not isinstance(config, dict) or "layers" in config or not is_of_keras_1(data, writer):
        return data
    class_name = data["class_name"]
    if class_name == "InputLayer":
        dtype = {"dtype": config["input_dtype"]} if config.get("input_dtype") else {}
        return with_config(data, drop=("input_dtype",), **dtype)
    renamed = RENAMED.get(class_name, {})
    gone = (*_GONE.get(class_name, ()), *(old for old in renamed), "input_dtype", "batch_input_shape")
    kept = {key: value for key, value in config.items() if key not in gone}
    kept |= _renamed(config, renamed)
    kept |= _sizes(config, kept)
    if class_name == "GRU":
        kept["reset_after"] = False
    if class_name == "Conv2DTranspose":
        kept = without_output_shape(name_of(data), kept)
    if class_name.startswith("ZeroPadding") and "padding" in kept:
        kept["padding"] = padding(kept["padding"])
    kept = {key: _value(key, value) for key, value in kept.items()}
    return with_config(data, drop=tuple(config), **{key: value for key, value in kept.items() if value is not _DEFAULT})


def _renamed(config: Mapping[str, Any], names: Mapping[str, str]) -> Json:
    return {new: config[old] for old, new in names.items() if old in config}


def _sizes(config: Mapping[str, Any], kept: Json) -> Json:
    """The kernel's size from the arguments that held one number each."""
    for names in _SIZES:
        if all(name in config for name in names):
            for name in names:
                kept.pop(name, None)
            return {"kernel_size": [config[name] for name in names]}
    return {}


_DEFAULT = object()


def _value(key: str, value: Any) -> Any:
    """An argument's value as Keras 3 spells it; `_DEFAULT` where the old one says nothing that Keras 3 knows."""
    if key.endswith("_regularizer"):
        return regularizer(value)
    if key.endswith("_constraint"):
        return constraint(value)
    if key.endswith("_initializer"):
        found = initializer(value)
        return _DEFAULT if found is None else found
    if key == "unit_forget_bias":
        return value in ("one", "ones", True)
    return data_format(value) if key == "data_format" else value


REPAIR = Repair(
    name="keras-1-arguments",
    cause="a layer has arguments by the names of Keras 1, as `nb_filter`, `border_mode`, `output_dim`",
    versions="Keras 1.0 to 1.2",
    cure="today's names and values; what says nothing today is dropped, as is the dropout inside an Embedding "
    "(training only); a GRU gets `reset_after: false`",
    layer=_mend,
)
