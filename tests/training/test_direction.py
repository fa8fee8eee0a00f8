"""Whether more of a measure is better, by its name."""

from __future__ import annotations

import pytest

from modelrecipe.training.direction import is_more_better

MORE = [
    "accuracy",
    "val_accuracy",
    "sparse_top_k_categorical_accuracy",
    "auc_1",
    "mean_io_u",
    "head_f1_score",
    "precision_2",
]
LESS = ["loss", "val_loss", "mean_squared_error", "mae", "head_loss", "false_positives"]


@pytest.mark.parametrize("name", [*MORE, *LESS])
def test_the_name_tells(name: str):
    assert is_more_better(name) is (name in MORE)


@pytest.mark.parametrize("name", ["accuracy", "loss", "something_else"])
def test_the_recipe_may_say_otherwise(name: str):
    assert is_more_better(name, "max")
    assert not is_more_better(name, "min")
