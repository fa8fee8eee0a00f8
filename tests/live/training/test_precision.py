"""`precision`: as plain Keras trains under that policy, with what Keras itself cannot do there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import pytest
from keras import layers

from tests.live.training.plain import batches, different, fit, network, trained, training, write_data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def at_float32_again() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


TEXT = "batch_size: 4, epochs: 2, precision: mixed_float16, optimizer: {class: SGD, config: {learning_rate: 0.1}}"


def test_half_precision_scales_the_loss_as_plain_keras_does(tmp_path: Path):
    write_data(tmp_path)
    step = training(TEXT)
    keras.config.set_dtype_policy("mixed_float16")
    wanted = fit(network(), batches(tmp_path, step), optimizer=keras.optimizers.SGD(0.1))
    assert type(wanted.optimizer).__name__ == "LossScaleOptimizer"
    keras.config.set_dtype_policy("float32")
    assert different(trained(tmp_path, network(), step), wanted) == []


class InFull(keras.regularizers.Regularizer):
    """What Keras' own L2 gives, in float32."""

    def __call__(self, x: Any) -> Any:
        total: Any = keras.ops.sum(keras.ops.square(keras.ops.cast(x, "float32")))
        return total / 2


def regularized(regularizer: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    enter = keras.Input((5,), name="enter")
    inner = layers.Dense(8, activation="relu", activity_regularizer=regularizer, name="first")(enter)
    return keras.Model(enter, layers.Dense(3, activation="softmax", name="last")(inner))


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_activity_regularizers_work_at_half_precision(precision: str, tmp_path: Path):
    """Keras itself cannot add what they give there to the loss."""
    write_data(tmp_path)
    step = training(TEXT.replace("mixed_float16", precision))
    keras.config.set_dtype_policy(precision)
    wanted = fit(regularized(InFull()), batches(tmp_path, step), optimizer=keras.optimizers.SGD(0.1))
    keras.config.set_dtype_policy("float32")
    found = trained(tmp_path, regularized(keras.regularizers.L2(0.5)), step)
    assert different(found, wanted) == []
    assert found.get_layer("first").activity_regularizer.get_config() == {"l2": 0.5}


def test_an_activity_regularizer_that_changes_meanwhile_works_at_half_precision(tmp_path: Path):
    change = "{at: batch 6, do: [{configure: {layers: first, config: {activity_regularizer: {class: L2, config: {l2: 0.5}}}}}]}"
    plain, changed = (
        trained(tmp_path, regularized(keras.regularizers.L2(0.25)), training(f"{TEXT}{more}"))
        for more in ("", f", during: [{change}]")
    )
    assert different(plain, changed) != []
