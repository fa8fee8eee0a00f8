"""Which examples are drawn: disjoint, covering, stratified, and the same in every version and on every machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrecipe.data.selection import divide, random_stream
from modelrecipe.errors import DataError

SHARES = st.floats(0.01, 0.99)
DRAWN = ([0, 1, 2, 3, 4, 5], [7, 8])
SHUFFLED = [3, 7, 4, 2, 5, 1, 0, 6]


@given(st.integers(2, 300), SHARES, st.integers(0, 2**32 - 1))
def test_parts_are_disjoint_and_cover_everything(count: int, share: float, seed: int):
    if not 1 <= round(share * count) < count:
        return
    parts = divide(np.arange(count) * 3, seed=seed, validation=share)
    assert parts.validation is not None
    assert len(parts.validation) == round(share * count)
    assert sorted([*parts.training, *parts.validation]) == [3 * number for number in range(count)]
    assert (np.diff(parts.training) > 0).all()
    assert (np.diff(parts.validation) > 0).all()


@given(st.lists(st.integers(0, 4), min_size=2, max_size=200), SHARES, st.integers(0, 2**32 - 1))
def test_stratified_parts_keep_the_shares_of_labels(labels: list[int], share: float, seed: int):
    count = len(labels)
    if not 1 <= round(share * count) < count:
        return
    kinds = np.asarray(labels)
    parts = divide(np.arange(count), seed=seed, validation=share, labels=kinds)
    assert parts.validation is not None
    size = round(share * count)
    assert len(parts.validation) == size
    assert sorted([*parts.training, *parts.validation]) == list(range(count))
    for kind in set(labels):
        wanted = labels.count(kind) * size / count
        assert abs((kinds[parts.validation] == kind).sum() - wanted) < 1


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_a_part_that_is_taken_has_its_size(size: int, seed: int):
    assert len(divide(np.arange(200), seed=seed, take=size).training) == size


def test_the_draw_never_changes():
    parts = divide(np.arange(10), seed=7, take=8, validation=0.25)
    assert parts.validation is not None
    assert (parts.training.tolist(), parts.validation.tolist()) == DRAWN
    assert random_stream(7, "shuffle", 3).permutation(8).tolist() == SHUFFLED


def test_another_seed_or_purpose_draws_otherwise():
    draws = [
        random_stream(*key).permutation(50).tolist() for key in ((1, "a"), (2, "a"), (1, "b"), (1, "a", 0), (1, "a", 1))
    ]
    assert len({tuple(draw) for draw in draws}) == 5


def test_amounts_that_leave_nothing_are_refused():
    with pytest.raises(DataError) as caught:
        divide(np.arange(3), seed=0, take=0.1)
    assert caught.value.told() == "0.1 of 3 examples is none; write a larger share"
