"""Which operation of Keras computes what a function of TensorFlow does, and what its arguments become.

The functions are those that people call on the tensors of functional models. What has no exact counterpart is not here.
"""

from __future__ import annotations

import math
from dataclasses import field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json = dict[str, Any]
_OPS = "keras.src.ops"


@frozen
class Translation:
    """The counterpart of a function of TensorFlow, whose first argument is always the first one of the call.

    Args:
        operation: class in Keras.
        module: where Keras finds it.
        call: names of further arguments of the function, and what the operation's call calls them.
        config: names of arguments that Keras takes when the operation is made, likewise.
        defaults: arguments of the operation where the function names none.
        neutral: values of other arguments that change nothing, beside None, False and 0.
        fit: last changes to the arguments of the operation; None where it cannot do what they say.
    """

    operation: str
    module: str = f"{_OPS}.numpy"
    call: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    neutral: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    fit: Callable[[Json], Json | None] | None = None


def _sections(config: Json) -> Json:
    """TensorFlow counts or lists sizes, Keras counts or lists where to cut."""
    sizes = config["indices_or_sections"]
    return {**config, "indices_or_sections": [*accumulate(sizes)][:-1]} if isinstance(sizes, list) else config


def _norm(config: Json) -> Json:
    """TensorFlow bounds the sum of squares, Keras its root."""
    return {**config, "epsilon": math.sqrt(config["epsilon"])}


def _padding(config: Json) -> Json | None:
    mode = config["mode"].lower()
    return {**config, "mode": mode} if mode in ("constant", "reflect", "symmetric") else None


def _resizing(config: Json) -> Json | None:
    known = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5", "area")
    return config if config["interpolation"] in known else None


def _binary(operation: str) -> Translation:
    return Translation(operation=operation, call={"y": "x2", "b": "x2"})


def _unary(operation: str, module: str = "numpy", **options: Any) -> Translation:
    return Translation(operation=operation, module=f"{_OPS}.{module}", **options)


def _reduction(operation: str, module: str = "numpy") -> Translation:
    names = {"axis": "axis", "reduction_indices": "axis", "keepdims": "keepdims", "keep_dims": "keepdims"}
    return _unary(operation, module, config=names)


_AXIS = {"axis": "axis"}
_BINARY = {
    "add": "Add",
    "subtract": "Subtract",
    "multiply": "Multiply",
    "truediv": "TrueDivide",
    "divide": "TrueDivide",
    "floordiv": "FloorDivide",
    "floor_div": "FloorDivide",
    "floormod": "Mod",
    "mod": "Mod",
    "pow": "Power",
    "atan2": "Arctan2",
    "maximum": "Maximum",
    "minimum": "Minimum",
    "divide_no_nan": "DivideNoNan",
    "matmul": "Matmul",
    "greater": "Greater",
    "greater_equal": "GreaterEqual",
    "less": "Less",
    "less_equal": "LessEqual",
    "equal": "Equal",
    "not_equal": "NotEqual",
    "logical_and": "LogicalAnd",
    "logical_or": "LogicalOr",
}
_UNARY = {
    "tanh": "Tanh",
    "abs": "Absolute",
    "sqrt": "Sqrt",
    "square": "Square",
    "exp": "Exp",
    "expm1": "Expm1",
    "log": "Log",
    "log1p": "Log1p",
    "negative": "Negative",
    "sign": "Sign",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "reciprocal": "Reciprocal",
    "logical_not": "LogicalNot",
    "is_nan": "Isnan",
}
_ACTIVATIONS = {
    "relu": "Relu",
    "relu6": "Relu6",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "elu": "Elu",
    "selu": "Selu",
}
_REDUCTIONS = {
    "mean": "Mean",
    "sum": "Sum",
    "max": "Max",
    "min": "Min",
    "prod": "Prod",
    "any": "Any",
    "all": "All",
    "std": "Std",
    "variance": "Var",
}
_SILU = _unary("Silu", "nn", neutral={"beta": (1.0,)})

TRANSLATIONS: Mapping[str, Translation] = {
    **{name: _binary(operation) for name, operation in _BINARY.items()},
    **{name: _unary(operation) for name, operation in _UNARY.items()},
    **{name: _unary(operation, "nn") for name, operation in _ACTIVATIONS.items()},
    **{f"reduce_{name}": _reduction(operation) for name, operation in _REDUCTIONS.items()},
    "reduce_logsumexp": _reduction("Logsumexp", "math"),
    "erf": _unary("Erf", "math"),
    "rsqrt": _unary("Rsqrt", "math"),
    "swish": _SILU,
    "silu": _SILU,
    "gelu": _unary("Gelu", "nn", config={"approximate": "approximate"}, defaults={"approximate": False}),
    "leaky_relu": _unary("LeakyRelu", "nn", config={"alpha": "negative_slope"}, defaults={"negative_slope": 0.2}),
    "softmax": _unary("Softmax", "nn", config=_AXIS, defaults={"axis": -1}),
    "log_softmax": _unary("LogSoftmax", "nn", config=_AXIS, defaults={"axis": -1}),
    "l2_normalize": _unary(
        "Normalize",
        "nn",
        config={"axis": "axis", "epsilon": "epsilon"},
        defaults={"epsilon": 1e-12, "order": 2},
        fit=lambda config: _norm(config) if config.get("axis") is not None else None,
    ),
    "argmax": _unary("Argmax", config=_AXIS, defaults={"axis": 0}, neutral={"output_type": ("int64", "int32")}),
    "argmin": _unary("Argmin", config=_AXIS, defaults={"axis": 0}, neutral={"output_type": ("int64", "int32")}),
    "cumsum": _unary("Cumsum", config=_AXIS, defaults={"axis": 0}),
    "squeeze": _unary("Squeeze", config={"axis": "axis", "squeeze_dims": "axis"}),
    "expand_dims": _unary("ExpandDims", config={"axis": "axis", "dim": "axis"}),
    "reshape": _unary("Reshape", config={"shape": "newshape"}),
    "transpose": _unary("Transpose", config={"perm": "axes"}),
    "concat": _unary("Concatenate", config=_AXIS),
    "stack": _unary("Stack", config=_AXIS),
    "unstack": _unary("Unstack", "core", config={"num": "num", "axis": "axis"}),
    "split": _unary("Split", config={"num_or_size_splits": "indices_or_sections", "axis": "axis"}, fit=_sections),
    "tile": _unary("Tile", config={"multiples": "repeats"}),
    "repeat": _unary("Repeat", config={"repeats": "repeats", "axis": "axis"}),
    "reverse": _unary("Flip", config=_AXIS),
    "roll": _unary("Roll", config={"shift": "shift", "axis": "axis"}),
    "broadcast_to": _unary("BroadcastTo", config={"shape": "shape"}),
    "pad": _unary(
        "Pad",
        config={"paddings": "pad_width", "mode": "mode"},
        call={"constant_values": "constant_values"},
        defaults={"mode": "constant"},
        fit=_padding,
    ),
    "clip_by_value": _unary("Clip", config={"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "cast": _unary("Cast", "core", config={"dtype": "dtype"}),
    "one_hot": _unary("OneHot", "nn", config={"depth": "num_classes", "axis": "axis", "dtype": "dtype"}),
    "gather": _unary("Take", config=_AXIS, call={"indices": "indices"}, defaults={"axis": 0}),
    "where": _unary("Where", call={"x": "x1", "y": "x2"}),
    "stop_gradient": _unary("StopGradient", "core"),
    "identity": Translation(operation="Identity", module="keras.layers"),
    "add_n": Translation(operation="Add", module="keras.layers"),
    "getitem": _unary("GetItem", call={"slice_spec": "key"}),
    "depth_to_space": _unary(
        "DepthToSpace", "nn", config={"block_size": "block_size"}, neutral={"data_format": ("NHWC",)}
    ),
    "space_to_depth": _unary(
        "SpaceToDepth", "nn", config={"block_size": "block_size"}, neutral={"data_format": ("NHWC",)}
    ),
    "resize": _unary(
        "Resize",
        "image",
        config={"size": "size", "method": "interpolation", "antialias": "antialias"},
        defaults={"interpolation": "bilinear", "data_format": "channels_last"},
        fit=_resizing,
    ),
}
STACK_OF_ONE = _unary("ExpandDims", config=_AXIS, defaults={"axis": 0})
_ROOMS = ("", "math", "nn", "linalg", "image", "__operators__")
_RESIZE = "image"


def translation(symbol: str) -> Translation | None:
    """The counterpart of a public function of TensorFlow, as `math.multiply` or `compat.v1.transpose`."""
    room, _, name = symbol.removeprefix("tf.").removeprefix("compat.v1.").rpartition(".")
    if room not in _ROOMS or (name == "resize") != (room == _RESIZE):
        return None
    return TRANSLATIONS.get(name)
