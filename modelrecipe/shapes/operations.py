"""Shape rules of bare operations. Constants that an operation takes beside tensors count as inputs of shape `()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.shapes.given import Given, axes_in, axis_in, demand, known, only, whole
from modelrecipe.shapes.layers import joined, reshaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.references import Shape

ELEMENTWISE = [
    "Abs",
    "Absolute",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Copy",
    "Cos",
    "Elu",
    "Erf",
    "Exp",
    "Expm1",
    "Floor",
    "Gelu",
    "HardShrink",
    "HardSigmoid",
    "HardSilu",
    "HardTanh",
    "LeakyRelu",
    "Log",
    "Log10",
    "Log1p",
    "Log2",
    "LogSigmoid",
    "LogSoftmax",
    "LogicalNot",
    "Negative",
    "Normalize",
    "OnesLike",
    "Reciprocal",
    "Relu",
    "Relu6",
    "Round",
    "Rsqrt",
    "Selu",
    "Sigmoid",
    "Sign",
    "Silu",
    "Sin",
    "SoftShrink",
    "Softmax",
    "Softplus",
    "Softsign",
    "SparsePlus",
    "SparseSigmoid",
    "Sparsemax",
    "Sqrt",
    "Square",
    "Squareplus",
    "StopGradient",
    "Tan",
    "Tanh",
    "TanhShrink",
    "Threshold",
    "ZerosLike",
    "Isnan",
    "Isinf",
    "Isfinite",
    "Flip",
]
REDUCTIONS = ["All", "Amax", "Amin", "Any", "Logsumexp", "Max", "Mean", "Median", "Min", "Prod", "Std", "Sum", "Var"]


def same(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Operations that work number by number on one tensor."""
    return only(inputs)


def elementwise(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Operations that work number by number on two or three tensors; sizes of 1 and missing axes are stretched."""
    demand(len(inputs) == (3 if given.name == "ops.Where" else 2))
    result = inputs[0]
    for shape in inputs[1:]:
        result = broadcast(result, shape)
    return result


def broadcast(first: Shape, other: Shape) -> Shape:
    """The shape that both are stretched to, by Keras' rule for sizes that are unknown."""
    rank = max(len(first), len(other))
    filled = [(1,) * (rank - len(shape)) + tuple(shape) for shape in (first, other)]
    return tuple(_stretched(*sizes) for sizes in zip(*filled, strict=True))


def _stretched(first: int | None, other: int | None) -> int | None:
    if first == 1:
        return other
    if first is None:
        return None if other == 1 else other
    demand(other in (1, None, first))
    return first


def reduction(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Mean, Sum and the like over one axis, several, or all."""
    shape = only(inputs)
    axes = range(len(shape)) if given["axis"] is None else axes_in(given["axis"], len(shape))
    if given["keepdims"]:
        return tuple(1 if number in axes else size for number, size in enumerate(shape))
    return tuple(size for number, size in enumerate(shape) if number not in axes)


def concatenate(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Concatenate along an axis."""
    return joined(inputs, given["axis"])


def stack(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Stack along a new axis."""
    demand(len(inputs) >= 1 and len(set(inputs)) == 1)
    place = axis_in(given["axis"], len(inputs[0]) + 1)
    return (*inputs[0][:place], len(inputs), *inputs[0][place:])


def reshape(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Reshape, the batch included."""
    target = given["newshape"]
    return reshaped(only(inputs), [target] if isinstance(target, int) else target)


def transpose(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Transpose: axes in another order, or all reversed."""
    shape = only(inputs)
    if given["axes"] is None:
        return shape[::-1]
    axes = axes_in(given["axes"], len(shape))
    demand(sorted(axes) == list(range(len(shape))))
    return tuple(shape[axis] for axis in axes)


def expand_dims(given: Given, inputs: Sequence[Shape]) -> Shape:
    """ExpandDims: one new axis of size 1."""
    shape = only(inputs)
    place = axis_in(whole(given["axis"]), len(shape) + 1)
    return (*shape[:place], 1, *shape[place:])


def squeeze(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Squeeze: axes of size 1 go."""
    shape = only(inputs)
    if given["axis"] is None:
        demand(None not in shape)
        return tuple(size for size in shape if size != 1)
    axes = axes_in(given["axis"], len(shape))
    demand(all(shape[axis] == 1 for axis in axes))
    return tuple(size for number, size in enumerate(shape) if number not in axes)


def swapaxes(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Swapaxes: two axes change places."""
    shape = list(only(inputs))
    first, other = axis_in(given["axis1"], len(shape)), axis_in(given["axis2"], len(shape))
    shape[first], shape[other] = shape[other], shape[first]
    return tuple(shape)


def matmul(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Matmul of tensors with at least two axes each."""
    demand(len(inputs) == 2 and all(len(shape) >= 2 for shape in inputs))
    left, right = inputs
    demand(None in (left[-1], right[-2]) or left[-1] == right[-2])
    return (*broadcast(left[:-2], right[:-2]), left[-2], right[-1])


def glu(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Glu: half of an axis gates the other half."""
    shape = only(inputs)
    place = axis_in(given["axis"], len(shape))
    demand(known(shape[place]) % 2 == 0)
    return (*shape[:place], known(shape[place]) // 2, *shape[place + 1 :])
