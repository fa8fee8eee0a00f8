"""A node of a TensorFlow graph, which `TensorFlowOpLayer` of TensorFlow 1.14 to 2.3 holds, as a function's call."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from modelrecipe.frozen import frozen
from modelrecipe.old_calls import CONSTANT, iter_entries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, Any]
_TYPES = {
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_HALF": "float16",
    "DT_BFLOAT16": "bfloat16",
    "DT_INT8": "int8",
    "DT_INT16": "int16",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_UINT8": "uint8",
    "DT_BOOL": "bool",
}
_LISTS = ("ConcatV2", "Pack")


@frozen
class NodeForm:
    """How a node of a TensorFlow graph is the call of a function.

    Args:
        symbol: the function.
        inputs: what the function calls the node's inputs after the first; the last may be a constant of the operation.
        attributes: of the node, and what the function calls them.
    """

    symbol: str
    inputs: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


_REDUCING = NodeForm(symbol="", inputs=("axis",), attributes={"keep_dims": "keepdims"})
NODES: Mapping[str, NodeForm] = {
    **{
        node: NodeForm(symbol=symbol, inputs=("y",))
        for node, symbol in {
            "Add": "add",
            "AddV2": "add",
            "Sub": "subtract",
            "Mul": "multiply",
            "RealDiv": "truediv",
            "Div": "divide",
            "FloorDiv": "floordiv",
            "FloorMod": "floormod",
            "Pow": "pow",
            "Maximum": "maximum",
            "Minimum": "minimum",
            "Greater": "greater",
            "GreaterEqual": "greater_equal",
            "Less": "less",
            "LessEqual": "less_equal",
            "Equal": "equal",
            "NotEqual": "not_equal",
            "LogicalAnd": "logical_and",
            "LogicalOr": "logical_or",
        }.items()
    },
    **{
        node: NodeForm(symbol=symbol)
        for node, symbol in {
            "Abs": "abs",
            "Sqrt": "sqrt",
            "Rsqrt": "rsqrt",
            "Square": "square",
            "Exp": "exp",
            "Log": "log",
            "Log1p": "log1p",
            "Neg": "negative",
            "Sign": "sign",
            "Sin": "sin",
            "Cos": "cos",
            "Floor": "floor",
            "Ceil": "ceil",
            "Round": "round",
            "Reciprocal": "reciprocal",
            "Identity": "identity",
            "StopGradient": "stop_gradient",
            "LogicalNot": "logical_not",
            "Erf": "erf",
            "Tanh": "tanh",
            "Relu": "relu",
            "Relu6": "relu6",
            "Sigmoid": "sigmoid",
            "Softplus": "softplus",
            "Elu": "elu",
            "Softsign": "softsign",
            "Selu": "selu",
            "Softmax": "softmax",
            "LogSoftmax": "log_softmax",
        }.items()
    },
    **{
        node: replace(_REDUCING, symbol=f"reduce_{node.lower()}")
        for node in ("Mean", "Sum", "Max", "Min", "Prod", "Any", "All")
    },
    "LeakyRelu": NodeForm(symbol="leaky_relu", attributes={"alpha": "alpha"}),
    "MatMul": NodeForm(
        symbol="matmul", inputs=("b",), attributes={"transpose_a": "transpose_a", "transpose_b": "transpose_b"}
    ),
    **{
        node: NodeForm(symbol="matmul", inputs=("b",), attributes={"adj_x": "adjoint_a", "adj_y": "adjoint_b"})
        for node in ("BatchMatMul", "BatchMatMulV2")
    },
    "Reshape": NodeForm(symbol="reshape", inputs=("shape",)),
    "Transpose": NodeForm(symbol="transpose", inputs=("perm",)),
    "ExpandDims": NodeForm(symbol="expand_dims", inputs=("axis",)),
    "Squeeze": NodeForm(symbol="squeeze", attributes={"squeeze_dims": "axis"}),
    "Tile": NodeForm(symbol="tile", inputs=("multiples",)),
    "Pad": NodeForm(symbol="pad", inputs=("paddings",)),
    "PadV2": NodeForm(symbol="pad", inputs=("paddings", "constant_values")),
    "MirrorPad": NodeForm(symbol="pad", inputs=("paddings",), attributes={"mode": "mode"}),
    "ConcatV2": NodeForm(symbol="concat", inputs=("axis",)),
    "Pack": NodeForm(symbol="stack", attributes={"axis": "axis"}),
    "Cast": NodeForm(symbol="cast", attributes={"DstT": "dtype"}),
    "ClipByValue": NodeForm(symbol="clip_by_value", inputs=("clip_value_min", "clip_value_max")),
    "GatherV2": NodeForm(symbol="gather", inputs=("indices", "axis")),
    "StridedSlice": NodeForm(symbol="getitem", inputs=("begin", "end", "strides")),
}


@frozen
class Function:
    """A public function of TensorFlow with its arguments.

    Args:
        symbol: its name, as `math.multiply`.
        first: the first argument, a structure of entries of tensors and constants.
        arguments: the others by name; a tensor is `[layer, call, index]`.
    """

    symbol: str
    first: Any
    arguments: Mapping[str, Any]


def function_of_node(config: Json, inbound: Any) -> Function | None:
    """The function that the node computes; None where it is not known.

    Args:
        config: of the layer: `node_def` as JSON, and `constants` by the number of the input.
        inbound: the layer's call; its tensors are the node's other inputs, in order.
    """
    node = config.get("node_def")
    form = NODES.get(node.get("op", "")) if isinstance(node, dict) else None
    constants = {int(key): value for key, value in (config.get("constants") or {}).items()}
    if form is None or not isinstance(node, dict):
        return None
    tensors = [entry[:3] for entry in iter_entries(inbound)]
    waiting = iter(tensors)
    inputs = [
        [CONSTANT, -1, constants[number]] if number in constants else next(waiting)
        for number in range(len(tensors) + len(constants))
    ]
    if not inputs:
        return None
    attributes = {
        form.attributes[key]: _value(value) for key, value in node.get("attr", {}).items() if key in form.attributes
    }
    if node["op"] == "StridedSlice":
        return _slicing(inputs, {key: _value(value) for key, value in node.get("attr", {}).items()})
    count = len(inputs) - len(form.inputs) if node["op"] in _LISTS else 1
    return _function(form, inputs, count, attributes)


def _function(form: NodeForm, inputs: Sequence[list[Any]], count: int, attributes: Json) -> Function | None:
    first, further = inputs[:count], inputs[count:]
    if len(further) > len(form.inputs):
        return None
    named = {name: _plain(entry) for name, entry in zip(form.inputs, further, strict=False)}
    return Function(
        symbol=form.symbol,
        first=[*first[0]] if count == 1 and form.symbol not in ("concat", "stack") else [*first],
        arguments={**{key: value for key, value in attributes.items() if value != []}, **named},
    )


def _plain(entry: list[Any]) -> Any:
    return entry[2] if entry[0] == CONSTANT else entry


def _value(attribute: Mapping[str, Any]) -> Any:
    """An attribute of a node in plain terms; the JSON of protocol buffers writes 64 bit integers as texts."""
    kind, value = next(iter(attribute.items()), ("", ""))
    if kind == "type":
        return _TYPES.get(str(value), value)
    if kind == "i":
        return int(value)
    if kind == "list" and isinstance(value, dict):
        return [int(item) for item in value.get("i", ())]
    return value


def _slicing(inputs: Sequence[list[Any]], attributes: Json) -> Function | None:
    """A strided slice with fixed ends, whose bits say which ends count (tensorflow, `strided_slice`)."""
    ends = [_plain(entry) for entry in inputs[1:]]
    if len(ends) != 3 or any(entry[0] != CONSTANT for entry in inputs[1:]):
        return None

    def is_set(mask: str, place: int) -> bool:
        return bool(int(attributes.get(mask, 0)) >> place & 1)

    spec: list[Any] = []
    for place, (begin, end, stride) in enumerate(zip(*ends, strict=True)):
        if is_set("ellipsis_mask", place):
            spec.append({"class_name": "__ellipsis__"})
        elif is_set("new_axis_mask", place):
            spec.append(None)
        elif is_set("shrink_axis_mask", place):
            spec.append(begin)
        else:
            spec.append(
                {
                    "start": None if is_set("begin_mask", place) else begin,
                    "stop": None if is_set("end_mask", place) else end,
                    "step": stride,
                }
            )
    return Function(symbol="__operators__.getitem", first=[*inputs[0]], arguments={"slice_spec": spec})
