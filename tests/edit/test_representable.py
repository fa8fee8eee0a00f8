"""What a type holds is told without numpy, as numpy would tell it."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from modelrecipe.edit.values import is_representable

NUMBERS = [
    *(
        0.0,
        1,
        -2,
        0.1,
        65504,
        65519.99,
        65520,
        65520.01,
        70_000,
        10**30,
        10**39,
        -(10**300),
        1.7e308,
        math.inf,
        math.nan,
    ),
    *(2.9e-8, 2.98e-8, 2.99e-8, 5.96e-8, 7e-46, 7.1e-46, 1.4e-45, 5e-324),
    *(3.4028234663852886e38, 3.4028235677973362e38, 3.4028235677973366e38),
]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("number", NUMBERS)
def test_numpy_says_the_same(number: float, dtype: str):
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(np.asarray(float(number)).astype(getattr(ml_dtypes, dtype, None) or np.dtype(dtype)))
    assert is_representable(number, dtype) is (math.isfinite(rounded) and (rounded != 0) == (number != 0))
