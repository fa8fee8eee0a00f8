"""The shapes of a layer's variables, from its configuration and the shapes of its inputs.

Each rule names every variable that its family can have; the catalog says which of them there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelrecipe.catalog.entry import find
from modelrecipe.catalog.variables import variables
from modelrecipe.references import Shape
from modelrecipe.shapes.given import Given, MisfitError, axes_in, channels, demand, known, only, positive
from modelrecipe.shapes.layers import inner
from modelrecipe.shapes.windows import rank_of

Sizes = tuple[int, ...]
VariableRule = Callable[[Given, Sequence[Shape]], Mapping[str, Sizes]]


def variable_shapes(
    class_name: str, config: Mapping[str, Any], inputs: Sequence[Shape | None]
) -> Mapping[str, Sizes] | None:
    """The shape of each variable, under the name that the catalog gives it.

    Args:
        class_name: as a model file has it.
        config: as Keras serialises it; what it lacks has its default.
        inputs: shapes of the tensors of the call, in order.

    Returns:
        Statistics included, random state not; empty for a layer without variables. None where only Keras can tell.
    """
    found = variables(class_name, config)
    entry = find(class_name)
    if found is None or (found and entry is None):
        return None
    if not found or entry is None:
        return {}
    rule = _RULES.get(entry.class_name)
    shapes = [tuple(shape) for shape in inputs if shape is not None]
    if rule is None or not shapes or len(shapes) < len(inputs):
        return None
    try:
        every = rule(Given(entry.class_name, config), shapes)
    except MisfitError:
        return None
    names = [variable.name for variable in found]
    return {name: every[name] for name in names} if all(name in every for name in names) else None


def _dense(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    units = given.whole("units")
    return {"kernel": (known(only(inputs)[-1]), units), "bias": (units,)}


def _depth(given: Given, inputs: Sequence[Shape]) -> tuple[Sizes, int]:
    """Kernel sizes, and how many channels come in."""
    rank = rank_of(given.name)
    shape = only(inputs)
    demand(len(shape) == rank + 2)
    return given.per_axis("kernel_size", rank), known(channels(given, shape))


def _convolution(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    sizes, depth = _depth(given, inputs)
    groups, filters = given.whole("groups"), given.whole("filters")
    demand(depth % groups == 0 and filters % groups == 0)
    return {"kernel": (*sizes, depth // groups, filters), "bias": (filters,)}


def _transposed_convolution(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    sizes, depth = _depth(given, inputs)
    return {"kernel": (*sizes, given.whole("filters"), depth), "bias": (given.whole("filters"),)}


def _depthwise_convolution(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    sizes, depth = _depth(given, inputs)
    multiplier = given.whole("depth_multiplier")
    return {"kernel": (*sizes, depth, multiplier), "bias": (depth * multiplier,)}


def _separable_convolution(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    sizes, depth = _depth(given, inputs)
    multiplier, filters = given.whole("depth_multiplier"), given.whole("filters")
    pointwise = (*(1 for _ in sizes), depth * multiplier, filters)
    return {"depthwise_kernel": (*sizes, depth, multiplier), "pointwise_kernel": pointwise, "bias": (filters,)}


def _embedding(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    sizes = (given.whole("input_dim"), given.whole("output_dim"))
    return {"embeddings": sizes, "reverse_embeddings": sizes[::-1]}


def _along_axes(*names: str, is_sorted: bool = True) -> VariableRule:
    """A rule for variables that all have the sizes of the layer's own `axis`."""

    def rule(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
        shape = only(inputs)
        axes = axes_in(given["axis"], len(shape))
        sizes = tuple(known(shape[axis]) for axis in (sorted(axes) if is_sorted else axes))
        return dict.fromkeys(names, sizes)

    return rule


def _normalization(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    shape = only(inputs)
    axes = () if given["axis"] is None else sorted(axes_in(given["axis"], len(shape)))
    sizes = tuple(known(shape[axis]) for axis in axes)
    return {"mean": sizes, "variance": sizes, "count": ()}


def _prelu(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    shape = only(inputs)
    shared = () if given["shared_axes"] is None else axes_in(given["shared_axes"], len(shape))
    return {"alpha": tuple(1 if axis in shared else known(size) for axis, size in enumerate(shape) if axis)}


def _recurrent(gates: int, prefix: str) -> VariableRule:
    """A rule for layers and cells with so many gates; the variables of a layer belong to its cell."""

    def rule(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
        units, size = given.whole("units"), known(inputs[0][-1])
        width = gates * units
        rows = (2, width) if given.get("reset_after") else (width,)
        return {f"{prefix}kernel": (size, width), f"{prefix}recurrent_kernel": (units, width), f"{prefix}bias": rows}

    return rule


def _heads(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    """MultiHeadAttention on query, value and key; the key is the value where it is not given."""
    demand(len(inputs) in (2, 3))
    query, value, key = (known(shape[-1]) for shape in (*inputs, inputs[1])[:3])
    heads, size = given.whole("num_heads"), given.whole("key_dim")
    depth = size if given["value_dim"] is None else given.whole("value_dim")
    wanted = query if given["output_shape"] is None else given["output_shape"]
    outputs = tuple(positive(item) for item in (wanted if isinstance(wanted, list | tuple) else [wanted]))
    return _projections(
        query=(query, heads, size),
        key=(key, heads, size),
        value=(value, heads, depth),
        gate=(query, heads, depth),
        attention_output=(heads, depth, *outputs),
    )


def _grouped_heads(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    demand(len(inputs) in (2, 3))
    query, value, key = (known(shape[-1]) for shape in (*inputs, inputs[1])[:3])
    size, heads, groups = (given.whole(key) for key in ("head_dim", "num_query_heads", "num_key_value_heads"))
    return _projections(
        query=(query, heads, size),
        key=(key, groups, size),
        value=(value, groups, size),
        gate=(query, heads, size),
        attention_output=(heads, size, query),
    )


def _projections(**kernels: Sizes) -> Mapping[str, Sizes]:
    """Kernels with their biases: an inner projection's bias has its kernel's sizes without the input's."""
    biases = {f"{name}/bias": sizes[2:] if name == "attention_output" else sizes[1:] for name, sizes in kernels.items()}
    return {f"{name}/kernel": sizes for name, sizes in kernels.items()} | biases


def _attention(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    return {"scale": (), "concat_score_weight": ()}


def _additive_attention(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    return {"scale": (known(inputs[0][-1]),)}


def _below(layer: Any, prefix: str, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    """The variables of an inner layer, their names lengthened as the catalog does."""
    name, config = inner(layer)
    found = variable_shapes(name, config, inputs)
    if found is None:
        raise MisfitError
    return {f"{prefix}/{key}": sizes for key, sizes in found.items()}


def _wrapped(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    """TimeDistributed sees one step, SpectralNormalization the whole; inner names start with the layer's own."""
    shape = only(inputs)
    steps = given.name == "TimeDistributed"
    demand(not steps or len(shape) >= 3)
    seen = [(*shape[:1], *shape[2:])] if steps else [shape]
    own = variables(given.name, given) or ()
    label = own[-1].name.split("/", maxsplit=1)[0] if own else ""
    found = _below(given["layer"], label, seen)
    kernel = next((sizes for key, sizes in found.items() if key.endswith(("/kernel", "/embeddings"))), ())
    return {**found, "kernel": kernel, "embeddings": kernel, "vector_u": (1, *kernel[-1:])}


def _bidirectional(given: Given, inputs: Sequence[Shape]) -> Mapping[str, Sizes]:
    """Both directions have the shapes of their own layer."""
    backward = given["layer"] if given["backward_layer"] is None else given["backward_layer"]
    shapes: dict[str, Sizes] = {}
    for variable in variables(given.name, given) or ():
        label = variable.name.split("/", maxsplit=1)[0]
        layer = backward if variable.slot.startswith("backward_layer/") else given["layer"]
        shapes.update(_below(layer, label, inputs[:1]))
    return shapes


def _rows(families: Mapping[str, VariableRule]) -> dict[str, VariableRule]:
    return {name: rule for names, rule in families.items() for name in names.split()}


_STATISTICS = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")
_RULES: Mapping[str, VariableRule] = _rows(
    {
        "AdditiveAttention": _additive_attention,
        "Attention": _attention,
        "BatchNormalization": _along_axes("gamma", "beta", *_STATISTICS),
        "Bidirectional": _bidirectional,
        "Conv1D Conv2D Conv3D": _convolution,
        "Conv1DTranspose Conv2DTranspose Conv3DTranspose": _transposed_convolution,
        "Dense": _dense,
        "DepthwiseConv1D DepthwiseConv2D": _depthwise_convolution,
        "Embedding ReversibleEmbedding": _embedding,
        "GRU": _recurrent(3, "gru_cell/"),
        "GRUCell": _recurrent(3, ""),
        "GroupNormalization LayerNormalization": _along_axes("gamma", "beta"),
        "GroupQueryAttention": _grouped_heads,
        "LSTM": _recurrent(4, "lstm_cell/"),
        "LSTMCell": _recurrent(4, ""),
        "MultiHeadAttention": _heads,
        "Normalization": _normalization,
        "PReLU": _prelu,
        "RMSNormalization": _along_axes("scale"),
        "SeparableConv1D SeparableConv2D": _separable_convolution,
        "SimpleRNN": _recurrent(1, "simple_rnn_cell/"),
        "SimpleRNNCell": _recurrent(1, ""),
        "SpectralNormalization TimeDistributed": _wrapped,
    }
)
