"""The greedy soup: which models go in, in which order, and what it ends with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.counterparts import Other
from modelrecipe.edit.soup import greedy_soup
from modelrecipe.edit.values import Place
from modelrecipe.errors import EditError
from modelrecipe.graph import Graph, Layer
from modelrecipe.weights import Tensor, Weights

if TYPE_CHECKING:
    from collections.abc import Callable


def one_number(value: float) -> Checkpoint:
    """A model with one layer, whose only weight is that number."""
    layer = Layer(name="a", class_name="Scale", key="a")
    graph = Graph(kind="functional", layers=(layer,), inputs=[], outputs=[])
    tensor = Tensor(name="w", slot="vars/0", shape=(1,), dtype="float64", source=lambda: np.array([value]))
    return Checkpoint(model=Layer(name="m", class_name="Functional", graph=graph), weights=Weights({"a": (tensor,)}))


def number(checkpoint: Checkpoint) -> float:
    return float(checkpoint.weights.of("a")[0].read()[0])


def soup(
    score: Callable[[float], float], first: float, *others: float, is_more_better: bool = True
) -> tuple[float, list[int], list[int]]:
    """The weight of the soup, which models were kept, and in which order they were tried."""
    checkpoint = one_number(first)
    place = Place(path="a", layer=checkpoint.model.graph.layers[0], tensors=checkpoint.weights.of("a"))
    further = [Other(name=str(value), checkpoint=one_number(value)) for value in others]
    found, tasted = greedy_soup(
        checkpoint, [place], further, lambda version: score(number(version)), is_more_better=is_more_better
    )
    return number(found), [item.number for item in tasted if item.is_kept], [item.number for item in tasted]


def near(goal: float) -> Callable[[float], float]:
    return lambda value: -abs(value - goal)


def test_what_makes_the_mean_worse_stays_out():
    # 2 is best; with 4 the mean is 3, as good as 2.5 is bad: worse; with 1.5 it is 1.75
    assert soup(near(2.1), 4.0, 2.0, 2.3, 9.0) == (2.15, [1, 2], [1, 2, 0, 3])


def test_what_makes_it_better_goes_in_though_it_is_bad_alone():
    assert soup(near(0.0), 1.0, -1.5) == (-0.25, [0, 1], [0, 1])


def test_a_model_that_changes_nothing_goes_in():
    assert soup(lambda value: 1.0, 1.0, 2.0, 6.0) == (3.0, [0, 1, 2], [0, 1, 2])


def test_less_may_be_better():
    assert soup(lambda value: abs(value - 2.1), 4.0, 2.0, 2.3, 9.0, is_more_better=False)[1] == [1, 2]


def test_the_order_of_the_recipe_decides_among_equals_alone():
    values = [2.3, 9.0, 2.0, 4.0]
    whole = {soup(near(2.1), values[start], *values[start + 1 :], *values[:start])[0] for start in range(4)}
    assert whole == {2.15}
    assert soup(lambda value: -float(value > 5), 1.0, 3.0, 9.0)[2] == [0, 1, 2]


def test_a_model_without_a_score_comes_last_and_stays_out():
    assert soup(lambda value: math.nan if value > 5 else value, 9.0, 1.0, 2.0) == (2.0, [2], [2, 1, 0])


def test_no_score_at_all_is_refused():
    with pytest.raises(EditError) as caught:
        soup(lambda value: math.nan, 1.0, 2.0)
    assert str(caught.value) == "no model has a score that is a number; look at the data and the models"
