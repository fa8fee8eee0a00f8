"""Shape rules of layers that move a window over an image or a series, or pad, cut and stretch it.

Knows no Keras. The formulas are those of `keras/src/ops/operation_utils.py` and
`keras/src/backend/common/backend_utils.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelrecipe.references import Shape
from modelrecipe.shapes.given import Given, Pairs, channels, demand, image, of_rank, positive, spatial, spread, whole

Rule = Callable[[Given, Sequence[Shape]], Shape]


def rank_of(name: str) -> int:
    """How many spatial axes a class has, by its name: 2 for `Conv2DTranspose`."""
    return int(next(letter for letter in name if letter.isdigit()))


def window(size: int | None, width: int, stride: int, padding: str) -> int | None:
    """How often a window of `width` fits along an axis of `size`."""
    if size is None:
        return None
    if padding in ("same", "causal"):
        return (size - 1) // stride + 1
    demand(padding == "valid" and size >= width)
    return (size - width) // stride + 1


def _windows(given: Given, shape: Shape, widths: Sequence[int], strides: Sequence[int]) -> list[int | None]:
    return [window(*axis, given.padding) for axis in zip(spatial(given, shape), widths, strides, strict=True)]


def widths(given: Given, rank: int) -> list[int]:
    """How far a kernel reaches along each axis, holes included."""
    sizes, holes = given.per_axis("kernel_size", rank), given.per_axis("dilation_rate", rank)
    return [(size - 1) * hole + 1 for size, hole in zip(sizes, holes, strict=True)]


def _convolved(given: Given, inputs: Sequence[Shape], depth: Callable[[int | None], int | None]) -> Shape:
    rank = rank_of(given.name)
    shape = of_rank(inputs, rank + 2)
    demand(given.get("activation") != "glu")  # halves the channels when it runs, which Keras' own rule does not know
    demand(rank == 1 or given.padding != "causal")
    sizes = _windows(given, shape, widths(given, rank), given.per_axis("strides", rank))
    return image(given, shape[0], sizes, depth(channels(given, shape)))


def convolution(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Conv1D to Conv3D, SeparableConv1D and 2D."""

    def depth(found: int | None) -> int:
        groups = given.whole("groups") if "groups" in given else 1
        demand(found is None or found % groups == 0)
        demand(given.whole("filters") % groups == 0)
        return given.whole("filters")

    return _convolved(given, inputs, depth)


def depthwise_convolution(given: Given, inputs: Sequence[Shape]) -> Shape:
    """DepthwiseConv1D and 2D."""
    multiplier = given.whole("depth_multiplier")
    return _convolved(given, inputs, lambda found: None if found is None else found * multiplier)


def transposed_convolution(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Conv1DTranspose to Conv3DTranspose."""
    rank = rank_of(given.name)
    shape = of_rank(inputs, rank + 2)
    demand(given.get("activation") != "glu" and given.padding in ("valid", "same"))
    strides, extra = given.per_axis("strides", rank), spread(given["output_padding"], rank)
    axes = zip(spatial(given, shape), widths(given, rank), strides, extra, strict=True)
    sizes = [_stretched(*axis, given.padding) for axis in axes]
    return image(given, shape[0], sizes, given.whole("filters"))


def _stretched(size: int | None, width: int, stride: int, extra: int | None, padding: str) -> int | None:
    if size is None:
        return None
    if padding == "same":
        return size * stride if extra is None else (size - 1) * stride + width % 2 + whole(extra)
    return (size - 1) * stride + width + (max(width, stride) - width if extra is None else whole(extra))


def pooling(given: Given, inputs: Sequence[Shape]) -> Shape:
    """MaxPooling and AveragePooling of any rank."""
    rank = rank_of(given.name)
    shape = of_rank(inputs, rank + 2)
    sizes = given.per_axis("pool_size", rank)
    strides = sizes if given["strides"] is None else given.per_axis("strides", rank)
    demand(given.padding in ("valid", "same"))
    return image(given, shape[0], _windows(given, shape, sizes, strides), channels(given, shape))


def global_pooling(given: Given, inputs: Sequence[Shape]) -> Shape:
    """GlobalMaxPooling and GlobalAveragePooling of any rank."""
    rank = rank_of(given.name)
    shape = of_rank(inputs, rank + 2)
    depth = channels(given, shape)
    return image(given, shape[0], (1,) * rank, depth) if given["keepdims"] else (shape[0], depth)


def _pairs(given: Given, key: str, rank: int) -> Pairs:
    """Amounts before and after each axis; one number counts for both ends, one pair of a 1D layer for its axis."""
    value = given[key]
    if rank == 1 and isinstance(value, list | tuple) and len(value) == 2:
        value = [value]
    ends = [(spread(axis, 2)) for axis in spread(value, rank)]
    demand(all(whole(end) >= 0 for axis in ends for end in axis))
    return tuple((first, last) for first, last in ends)


def _resized(given: Given, inputs: Sequence[Shape], sizes: Callable[[Shape], list[int | None]]) -> Shape:
    """The image with other spatial sizes; one-dimensional resizing layers know no data format but channels last."""
    shape = of_rank(inputs, rank_of(given.name) + 2)
    if "data_format" in given:
        return image(given, shape[0], sizes(spatial(given, shape)), channels(given, shape))
    return (shape[0], *sizes(shape[1:-1]), shape[-1])


def zero_padding(given: Given, inputs: Sequence[Shape]) -> Shape:
    """ZeroPadding of any rank."""
    pairs = _pairs(given, "padding", rank_of(given.name))
    return _resized(
        given,
        inputs,
        lambda old: [None if s is None else s + sum(pair) for s, pair in zip(old, pairs, strict=True)],
    )


def cropping(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Cropping of any rank; at least one row must be left."""
    pairs = _pairs(given, "cropping", rank_of(given.name))

    def sizes(old: Shape) -> list[int | None]:
        demand(all(size is None or size > sum(pair) for size, pair in zip(old, pairs, strict=True)))
        return [None if size is None else size - sum(pair) for size, pair in zip(old, pairs, strict=True)]

    return _resized(given, inputs, sizes)


def up_sampling(given: Given, inputs: Sequence[Shape]) -> Shape:
    """UpSampling of any rank."""
    factors = given.per_axis("size", rank_of(given.name))
    return _resized(
        given, inputs, lambda old: [None if s is None else s * f for s, f in zip(old, factors, strict=True)]
    )


def fixed_size(given: Given, inputs: Sequence[Shape]) -> Shape:
    """Resizing, CenterCrop, RandomCrop: height and width are arguments."""
    shape = of_rank(inputs, 4)
    return image(given, shape[0], (positive(given["height"]), positive(given["width"])), channels(given, shape))
