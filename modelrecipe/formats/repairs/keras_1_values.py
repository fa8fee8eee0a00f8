"""Values of arguments as Keras 1 wrote them, in the spelling of Keras 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import FileError

if TYPE_CHECKING:
    from modelrecipe.formats.repair import Json

_INITIALIZERS = {"zero": "zeros", "one": "ones", "uniform": "random_uniform", "normal": "random_normal"} | {
    name: name
    for name in (
        "zeros",
        "ones",
        "identity",
        "orthogonal",
        "lecun_uniform",
        "glorot_normal",
        "glorot_uniform",
        "he_normal",
        "he_uniform",
    )
}
_CONSTRAINTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "maxnorm": ("MaxNorm", {"m": "max_value", "axis": "axis"}),
    "nonneg": ("NonNeg", {}),
    "unitnorm": ("UnitNorm", {"axis": "axis"}),
    "minmaxnorm": ("MinMaxNorm", {"low": "min_value", "high": "max_value", "rate": "rate", "axis": "axis"}),
}
_ORDERINGS = {"tf": "channels_last", "th": "channels_first"}


def initializer(value: Any) -> Any:
    """An initializer; None for a function of the author's own, which only new weights would need."""
    return _INITIALIZERS.get(value) if isinstance(value, str) else value


def regularizer(value: Any) -> Any:
    """A penalty; None for one that Keras 3 does not have."""
    if not isinstance(value, Mapping) or "name" not in value:
        return value
    config = {key: value[key] for key in ("l1", "l2") if key in value}
    return _keras("keras.regularizers", "L1L2", config) if config else None


def constraint(value: Any) -> Any:
    """A constraint; None for one that Keras 3 does not have."""
    if not isinstance(value, Mapping) or "name" not in value:
        return value
    class_name, names = _CONSTRAINTS.get(str(value["name"]).lower(), ("", {}))
    config = {new: value[old] for old, new in names.items() if old in value}
    return _keras("keras.constraints", class_name, config) if class_name else None


def data_format(value: Any) -> Any:
    """Where the channels stand."""
    return _ORDERINGS.get(value, value)


def padding(value: Any) -> Any:
    """How much a ZeroPadding layer adds: Keras 1 also took four numbers in a row, or named sides."""
    if isinstance(value, Mapping):
        left = [value.get("left_pad", 0), value.get("right_pad", 0)]
        is_flat = set(value) <= {"left_pad", "right_pad"}
        return left if is_flat else [[value.get("top_pad", 0), value.get("bottom_pad", 0)], left]
    if isinstance(value, list) and len(value) == 4:
        return [value[:2], value[2:]]
    return value


def without_output_shape(name: str, config: Json) -> Json:
    """A Conv2DTranspose without the shape that Keras 1 had to be told, where Keras 3 finds the same.

    Args:
        name: of the layer.
        config: of the layer, by the names of Keras 3.
    """
    shape = config.get("output_shape")
    kept = {key: value for key, value in config.items() if key != "output_shape"}
    if not isinstance(shape, list) or len(shape) != 4:
        return kept
    sizes = shape[2:] if data_format(config.get("data_format")) == "channels_first" else shape[1:3]
    strides, kernel = config.get("strides") or [1, 1], config["kernel_size"]
    for size, stride, length in zip(sizes, strides, kernel, strict=True):
        rest = 0 if config.get("padding") == "same" else max(length - stride, 0)
        if size is not None and (size - rest) % stride:
            raise FileError(
                f"layer '{name}' (Deconvolution2D of Keras 1) gives {shape}, a size that Conv2DTranspose of Keras 3 "
                "does not give with its strides",
                hint="replace it by a layer of Keras 3",
            )
    return kept


def _keras(module: str, class_name: str, config: Mapping[str, Any]) -> Json:
    return {"module": module, "class_name": class_name, "config": dict(config), "registered_name": None}
