from __future__ import annotations

import numpy as np
import pytest

from modelrecipe.errors import CheckError
from modelrecipe.live.outputs import largest_difference
from tests import zoo


@pytest.mark.parametrize("name", ["chain", "dict_in_dict_out", "list_in_list_out", "integer_inputs", "sequential"])
def test_a_model_does_not_differ_from_itself(name: str):
    model = zoo.ZOO[name]()
    assert largest_difference(model, model, seed=0, batch=3) == 0.0


def test_the_largest_difference_is_that_of_the_outputs():
    import keras

    given = keras.Input((2,))
    one = keras.Model(given, keras.layers.Rescaling(1.0)(given))
    other = keras.Model(given, keras.layers.Rescaling(1.0, offset=0.25)(given))
    assert largest_difference(one, other, seed=0, batch=4) == pytest.approx(0.25, abs=1e-6)


def test_a_number_that_is_not_finite_is_an_infinite_difference_unless_both_have_it():
    import keras

    given = keras.Input((2,))
    one = keras.Model(given, keras.layers.Rescaling(1.0)(given))
    other = keras.Model(given, keras.layers.Rescaling(float("nan"))(given))
    assert largest_difference(one, other, seed=0, batch=1) == float("inf")
    assert largest_difference(other, other, seed=0, batch=1) == 0.0


def test_models_with_other_inputs_cannot_be_compared():
    import keras

    small, large = keras.Input((2,)), keras.Input((3,))
    with pytest.raises(CheckError) as refused:
        largest_difference(
            keras.Model(small, keras.layers.Dense(1)(small)),
            keras.Model(large, keras.layers.Dense(1)(large)),
            seed=0,
            batch=1,
        )
    assert str(refused.value) == "the models take different inputs: (None, 2) float32 and (None, 3) float32"


def test_a_subclassed_model_is_run_on_what_it_was_built_for():
    model = zoo.ZOO["subclassed"]()
    model(zoo.sample_inputs(model))
    assert largest_difference(model, model, seed=0, batch=2) == 0.0
    assert np.isfinite(largest_difference(model, model, seed=1, batch=2))


def test_a_model_that_refuses_the_sampled_inputs_is_told_with_the_reason():
    import keras

    given = keras.Input((None, None, 1))
    model = keras.Model(given, keras.layers.Conv2D(1, 32)(given), name="large_kernel")
    with pytest.raises(CheckError) as refused:
        largest_difference(model, model, seed=0, batch=1)
    assert str(refused.value) == (
        "'large_kernel' cannot be run on sampled inputs (1, 16, 16, 1): Computed output size would be negative: -15"
        " [input_size: 16, effective_filter_size: 32, stride: 1]"
    )
