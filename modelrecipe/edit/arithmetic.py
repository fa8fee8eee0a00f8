"""Calculating with whole tensors in pieces, so that float64 is never held at full length.

Everything is taken in float64 and cast once. Knows arrays alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

PIECE = 1 << 18
"""Numbers of one piece: 2 MB in float64."""


def pieces(values: NDArray[np.generic]) -> Iterator[NDArray[np.generic]]:
    """The numbers in row-major order, a few at a time."""
    flat = np.ascontiguousarray(values).reshape(-1)
    for start in range(0, flat.size, PIECE):
        yield flat[start : start + PIECE]


def by_pieces(
    function: Callable[..., NDArray[np.float64]], first: NDArray[np.generic], *others: NDArray[np.generic]
) -> NDArray[np.generic]:
    """The numbers that `function` makes of those at the same place in every array: in float64, and cast once.

    Args:
        function: takes a piece of every array, as float64.
        first: gives shape and type of the result.
        others: arrays of the same shape.
    """
    result = np.empty(first.size, first.dtype)
    start = 0
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for parts in zip(*(pieces(values) for values in (first, *others)), strict=True):
            result[start : start + parts[0].size] = function(*(part.astype(np.float64) for part in parts))
            start += parts[0].size
    return result.reshape(first.shape)


def overflows(before: NDArray[np.generic], after: NDArray[np.generic]) -> bool:
    """Whether a number that was finite is not any more."""
    return any(
        bool((np.isfinite(old) & ~np.isfinite(new)).any())
        for old, new in zip(pieces(before), pieces(after), strict=True)
    )


def multiplied(values: NDArray[np.generic], factor: NDArray[np.generic]) -> NDArray[np.generic]:
    """The numbers times a factor of their own type; where it can, in their place.

    Raises:
        OverflowError: a number that was finite is not any more.
    """
    tells = values.dtype.kind == "f"  # types of NumPy's own notice it on the way; bfloat16 and the like do not
    try:
        with np.errstate(over="raise" if tells else "ignore"):
            result = np.multiply(values, factor, out=values if tells else None)
    except FloatingPointError as error:
        raise OverflowError from error
    if not tells and overflows(values, result):
        raise OverflowError
    return result


def is_finite(values: NDArray[np.generic]) -> bool:
    """Whether all numbers are."""
    return all(bool(np.isfinite(piece).all()) for piece in pieces(values))


def inner_product(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """The sum of products of the numbers at the same place."""
    products = (
        float(np.dot(a.astype(np.float64), b.astype(np.float64)))
        for a, b in zip(pieces(one), pieces(other), strict=True)
    )
    return math.fsum(products)


def standard_deviation(values: NDArray[np.generic]) -> float:
    """The root of the mean squared deviation from the mean; of no number, 0."""
    if not values.size:
        return 0.0
    mean = math.fsum(float(piece.astype(np.float64).sum()) for piece in pieces(values)) / values.size
    squares = (float(np.square(piece.astype(np.float64) - mean).sum()) for piece in pieces(values))
    return math.sqrt(math.fsum(squares) / values.size)


def norms(values: NDArray[np.generic], axes: tuple[int, ...] | None) -> NDArray[np.float64]:
    """The root of the sum of squares over `axes`, which stay as axes of size 1; over all where None is given."""
    spread = tuple(range(values.ndim)) if axes is None else tuple(axis % values.ndim for axis in axes)
    shape = tuple(1 if axis in spread else size for axis, size in enumerate(values.shape))
    if not values.size:
        return np.zeros(shape)
    if not values.ndim:
        return np.abs(values.astype(np.float64))
    squares = np.zeros(shape)
    rows = max(1, PIECE * values.shape[0] // values.size)
    for start in range(0, values.shape[0], rows):
        part = np.square(values[start : start + rows].astype(np.float64)).sum(axis=spread, keepdims=True)
        if 0 in spread:
            squares += part
        else:
            squares[start : start + rows] = part
    return np.sqrt(squares)


def scaled(values: NDArray[np.generic], factors: NDArray[np.float64]) -> NDArray[np.generic]:
    """The numbers times factors of the same rank, sizes 1 being stretched; a factor of 1 keeps the bits."""
    if not values.ndim:
        return (values.astype(np.float64) * factors).astype(values.dtype)
    result = np.empty(values.shape, values.dtype)
    rows = max(1, PIECE * values.shape[0] // max(1, values.size))
    for start in range(0, values.shape[0], rows):
        part = slice(start, start + rows)
        result[part] = values[part].astype(np.float64) * (factors if factors.shape[0] == 1 else factors[part])
    return result


def resolution(dtype: np.dtype[np.generic]) -> float:
    """The distance from 1 to the next larger number of a type."""
    return float(ml_dtypes.finfo(dtype).eps)


def add_to(summed: NDArray[np.float64], values: NDArray[np.generic], factor: float) -> None:
    """Add the numbers times a factor to those of `summed`, a flat array of as many."""
    start = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for piece in pieces(values):
            summed[start : start + piece.size] += factor * piece.astype(np.float64)
            start += piece.size
