"""The smallest numbers of several arrays: against a stable sort, over all types, with ties, and in small pieces."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest

from modelrecipe.edit import arithmetic
from modelrecipe.edit.smallest import Smallest

if TYPE_CHECKING:
    from collections.abc import Sequence

SHAPES = ((13, 7), (5,), (), (0, 3), (40, 11))
TYPES = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)


def sorted_away(arrays: Sequence[np.ndarray], share: float) -> np.ndarray:
    """All numbers in a row, with zero for those that come first in a stable sort by magnitude."""
    flat = np.concatenate([values.reshape(-1).astype(np.float64) for values in arrays])
    flat[np.argsort(np.abs(flat), kind="stable")[: round(share * flat.size)]] = 0
    return flat


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.77, 0.99])
@pytest.mark.parametrize("decimals", [16, 1])
@pytest.mark.parametrize("dtype", TYPES)
def test_the_smallest_of_all_go(dtype: type, decimals: int, share: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arithmetic, "PIECE", 37)
    rng = np.random.default_rng(decimals)
    arrays = [np.round(rng.normal(size=shape), decimals).astype(dtype) for shape in SHAPES]
    smallest = Smallest([partial(np.array, values) for values in arrays], share)
    found = [smallest.without(values, number) for number, values in enumerate(arrays)]
    assert [(item.shape, item.dtype) for item in found] == [(item.shape, item.dtype) for item in arrays]
    flat = np.concatenate([values.reshape(-1).astype(np.float64) for values in found])
    assert np.array_equal(flat, sorted_away(arrays, share))


def test_subnormal_numbers_and_both_zeros_are_ordered():
    tiny = np.array([1e-45, -0.0, -3e-45, 0.0, 1e-38, -2e-45], np.float32)
    found = Smallest([lambda: tiny], 0.5).without(tiny, 0)
    assert np.flatnonzero(found).tolist() == [2, 4, 5]


def test_arrays_are_looked_through_once_and_one_at_a_time():
    reads: list[int] = []
    arrays = [np.arange(1.0, 9.0, dtype=np.float32), np.arange(4.0, 12.0, dtype=np.float32)]

    def read(number: int) -> np.ndarray:
        reads.append(number)
        return arrays[number]

    smallest = Smallest([partial(read, number) for number in range(2)], 0.5)
    assert reads == []
    for _ in range(3):
        for number, values in enumerate(arrays):
            smallest.without(values, number)
    assert len(reads) <= 8
