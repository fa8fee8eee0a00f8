"""Shape rules of layers without a window: dense, reshaping, merging, recurrent, attention, wrappers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelrecipe.catalog.variables import class_of
from modelrecipe.references import Shape
from modelrecipe.shapes.given import Given, MisfitError, axis_in, demand, known, of_rank, only, positive, whole

Front = Callable[[str, Mapping[str, Any], Sequence[Shape]], Shape | None]


def same(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Layers that work number by number on one tensor."""
    demand(given.get("activation") != "glu")
    return only(inputs)


def dense(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Dense: the last axis becomes `units`."""
    shape = only(inputs)
    demand(len(shape) >= 2 and given["activation"] != "glu")
    return (*shape[:-1], given.whole("units"))


def embedding(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Embedding: a vector for each number."""
    return (*only(inputs), given.whole("output_dim"))


def flatten(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Flatten: all axes but the batch as one."""
    batch, *sizes = only(inputs)
    return (batch, None if None in sizes else math.prod(known(size) for size in sizes))


def reshape(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Reshape: the batch stays, the rest is `target_shape`."""
    shape = only(inputs)
    return (shape[0], *reshaped(shape[1:], given["target_shape"]))


def reshaped(shape: Shape, target: Any) -> Shape:
    """`shape` as `target`, where one -1 stands for what is left over."""
    demand(isinstance(target, list | tuple))
    sizes = [None if size is None else whole(size) for size in target]
    demand(sizes.count(-1) <= 1 and all(size is None or size >= -1 for size in sizes))
    if None in shape or None in sizes:
        return tuple(None if size == -1 else size for size in sizes)
    total, rest = math.prod(map(known, shape)), math.prod(size for size in sizes if size is not None and size != -1)
    demand(rest > 0 and total % rest == 0 and (-1 in sizes or total == rest))
    return tuple(total // rest if size == -1 else size for size in sizes)


def permute(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Permute: axes counted from 1, the batch is not among them."""
    shape = only(inputs)
    demand(sorted(given["dims"]) == list(range(1, len(shape))))
    return (shape[0], *(shape[axis] for axis in given["dims"]))


def repeat_vector(given: Given, inputs: Sequence[Shape]) -> Shape:
    """RepeatVector: the vector `n` times."""
    batch, size = of_rank(inputs, 2)
    return (batch, given.whole("n"), size)


def merge(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Add, Multiply and the like; sizes of 1 are stretched. Unequal ranks are Keras' business."""
    demand(len(inputs) >= 2 and len({len(shape) for shape in inputs}) == 1)
    batches = {shape[0] for shape in inputs} - {None}
    demand(len(batches) <= 1)
    result = inputs[0][1:]
    for shape in inputs[1:]:
        result = tuple(_merged(*pair) for pair in zip(result, shape[1:], strict=True))
    return (batches.pop() if batches else None, *result)


def _merged(first: int | None, other: int | None) -> int | None:
    if first is None or other is None:
        return None
    demand(first == other or 1 in (first, other))
    return max(first, other) if 0 not in (first, other) else 0


def concatenate(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Concatenate: one axis grows, all others must agree."""
    return joined(inputs, given["axis"])


def joined(inputs: Sequence[Shape], axis: Any) -> Shape:
    """Tensors put together along an axis."""
    demand(len(inputs) >= 1 and len({len(shape) for shape in inputs}) == 1)
    place = axis_in(axis, len(inputs[0]))
    for number, sizes in enumerate(zip(*inputs, strict=True)):
        demand(number == place or len({size for size in sizes if size is not None}) <= 1)
    along = [shape[place] for shape in inputs]
    total = None if None in along else sum(known(size) for size in along)
    return (*inputs[0][:place], total, *inputs[0][place + 1 :])


def recurrent(given: Given, inputs: Sequence[Shape]) -> Shape:
    """SimpleRNN, LSTM, GRU. Initial states may follow the sequence."""
    return _sequence(given, inputs, given.whole("units"))


def rnn(given: Given, inputs: Sequence[Shape]) -> Shape:
    """RNN over built-in cells; the last one gives the output."""
    cell = given["cell"]
    cells = cell if isinstance(cell, list | tuple) else [cell]
    demand(len(cells) > 0)
    name, config = inner(cells[-1])
    if name == "StackedRNNCells":
        name, config = inner(config["cells"][-1])
    demand(name in ("SimpleRNNCell", "LSTMCell", "GRUCell"))
    return _sequence(given, inputs, Given(name, config).whole("units"))


def _sequence(given: Given, inputs: Sequence[Shape], units: int) -> Shape:
    demand(len(inputs) >= 1 and len(inputs[0]) == 3 and not given["return_state"])
    batch, length, _ = inputs[0]
    return (batch, length, units) if given["return_sequences"] else (batch, units)


def inner(value: Any) -> tuple[str, Mapping[str, Any]]:
    """Class and configuration of a serialised built-in layer."""
    name = class_of(value) if isinstance(value, Mapping) else None
    config = value.get("config") or {} if isinstance(value, Mapping) else {}
    if name is None or not isinstance(config, Mapping):
        raise MisfitError
    return name, config


def multi_head_attention(given: Given, inputs: Sequence[Shape]) -> Shape:
    """MultiHeadAttention without scores: as the query, unless `output_shape` says otherwise."""
    demand(len(inputs) in (2, 3) and len(inputs[0]) >= 3)
    wanted = given["output_shape"]
    if wanted is None:
        return inputs[0]
    return (*inputs[0][:-1], *(positive(size) for size in (wanted if isinstance(wanted, list | tuple) else [wanted])))


def query_attention(given: Given, inputs: Sequence[Shape]) -> Shape:
    """GroupQueryAttention without scores: as the query."""
    demand(len(inputs) in (2, 3) and len(inputs[0]) == 3 and inputs[0][-1] == inputs[1][-1])
    return inputs[0]


def attention(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Attention and AdditiveAttention without scores: the query's places, the value's size."""
    demand(len(inputs) in (2, 3))
    return (*inputs[0][:-1], inputs[1][-1])


def input_layer(given: Given, inputs: Sequence[Shape]) -> Shape:
    """InputLayer: what its configuration says."""
    if given["batch_shape"] is not None:
        return tuple(given["batch_shape"])
    demand(given["shape"] is not None)
    return (given["batch_size"], *given["shape"])


def wrapper_rules(front: Front) -> dict[str, Callable[[Given, Sequence[Shape]], Shape]]:
    """The rules of layers around a layer.

    Args:
        front: gives the output shape of the inner layer; None where only Keras can tell.
    """

    def found(value: Any, inputs: Sequence[Shape]) -> Shape:
        shape = front(*inner(value), inputs)
        if shape is None:
            raise MisfitError
        return shape

    def time_distributed(given: Given, inputs: Sequence[Shape]) -> Shape:
        shape = only(inputs)
        demand(len(shape) >= 3)
        batch, *rest = found(given["layer"], [(shape[0], *shape[2:])])
        return (batch, shape[1], *rest)

    def bidirectional(given: Given, inputs: Sequence[Shape]) -> Shape:
        demand(given["merge_mode"] in ("concat", "sum", "mul", "ave"))
        *rest, size = found(given["layer"], inputs[:1])
        return (*rest, known(size) * (2 if given["merge_mode"] == "concat" else 1))

    def spectral_normalization(given: Given, inputs: Sequence[Shape]) -> Shape:
        return found(given["layer"], inputs)

    return {
        "Bidirectional": bidirectional,
        "SpectralNormalization": spectral_normalization,
        "TimeDistributed": time_distributed,
    }
