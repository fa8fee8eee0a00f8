"""Learning rates: schedules as functions of the batch, and optimizers in which some variables have their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelrecipe.training.settings import Rate


def schedule(rate: Rate, total: int) -> Any:
    """A rate as Keras' optimizers take it: a number, or a schedule of the batch number.

    Args:
        rate: what the recipe says.
        total: batches of the training.
    """
    if rate.schedule == "constant" and not rate.warmup:
        return rate.value
    keras = import_keras()

    class Course(keras.optimizers.schedules.LearningRateSchedule):
        """Computed anew in every batch, from its number alone, so that nothing is lost when a training is resumed."""

        def __call__(self, step: Any) -> Any:
            return course(rate, total, keras.ops.cast(step, "float32"), keras.ops)

        def get_config(self) -> dict[str, Any]:
            return {"rate": rate.value, "total": total}

    return Course()


def course(rate: Rate, total: int, step: Any, ops: Any) -> Any:
    """The rate of a batch.

    Args:
        rate: what the recipe says.
        total: batches of the training, T.
        step: how many batches went before, t.
        ops: `keras.ops`, or another room with its functions.
    """
    if rate.schedule == "slanted_triangular":
        # Howard & Ruder 2018, equation 3.
        cut = max(1, math.floor(total * rate.cut))
        rising = step / cut
        falling = 1 - (step - cut) / (cut * (1 / rate.cut - 1)) if rate.cut < 1 else rising
        share = ops.clip(ops.where(step < cut, rising, falling), 0.0, 1.0)
        return rate.value * (1 + share * (rate.ratio - 1)) / rate.ratio
    left = max(1, total - rate.warmup)
    done = ops.clip((step - rate.warmup) / left, 0.0, 1.0)
    if rate.schedule == "cosine":
        value = rate.end + (rate.value - rate.end) * (1 + ops.cos(math.pi * done)) / 2
    elif rate.schedule == "linear":
        value = rate.end + (rate.value - rate.end) * (1 - done)
    else:
        value = ops.ones_like(done) * rate.value
    return ops.where(step < rate.warmup, rate.value * (step + 1) / rate.warmup, value) if rate.warmup else value


def grouped(optimizer: type, of_variable: Mapping[int, Callable[[Any, Any], Any]]) -> type:
    """An optimizer class in which some variables have a rate of their own.

    Decoupled weight decay follows the rate, as in AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2).

    Args:
        optimizer: a class of Keras.
        of_variable: `id` of a variable of Keras to a function of the optimizer's rate and iteration that gives its own.
    """

    def rate_of(self: Any, variable: Any, rate: Any) -> Any:
        # While it updates, Keras hands out TensorFlow's variables, which have other names; every optimizer of Keras
        # finds its own state by this index.
        own = of_variable.get(id(self._trainable_variables[self._get_variable_index(variable)]))
        return rate if own is None else own(rate, self._iterations)

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        optimizer.update_step(self, gradient, variable, rate_of(self, variable, learning_rate))

    def decay(self: Any, variables: Any) -> None:
        ops = import_keras().ops
        for variable in variables if self.weight_decay is not None else ():
            if self._use_weight_decay(variable):
                rate = ops.cast(rate_of(self, variable, self.learning_rate), variable.dtype)
                variable.assign(variable - variable * ops.cast(self.weight_decay, variable.dtype) * rate)

    return type(optimizer.__name__, (optimizer,), {"update_step": update_step, "_apply_weight_decay": decay})
