"""One training step on several devices, which comes to what one device would make of the whole batch.

Keras' own way (3.15) differs quietly: the mean over devices counts a smaller share of the last batch as much as a
larger one; gradients are clipped, and looked at for infinity, before they are summed; accumulation fails; every device
drops the same units; statistics of BatchNormalization are those of the first device. Here

    gradient = sum over devices of (n_r / n) * gradient of the mean over its n_r examples

is summed before the optimizer sees it, random layers draw apart, and statistics move by the mean of all devices.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable

_APART = 1_000_003
"""Between the seeds of two devices."""


class _Share(threading.local):
    """What a device's examples count; TensorFlow traces each device in a thread of its own."""

    now: Any = None


def is_shared(strategy: Any) -> bool:
    """Whether several devices train."""
    return strategy.num_replicas_in_sync > 1


def _each_part(strategy: Any, step: Callable[[Any, Any], None], batch: Any) -> None:
    """Run a step on all devices, each with its part of a batch.

    Args:
        strategy: the devices.
        step: is given the examples of a device, and their share of all, times the number of devices.
        batch: the whole batch, on every machine.
    """
    values = tf.nest.flatten(batch)[0]
    whole = values.shape[0] if values.shape[0] is not None else tf.shape(values)[0]  # Keras counts known sizes alone
    count = strategy.num_replicas_in_sync

    def part(place: Any) -> Any:
        number = place.replica_id_in_sync_group
        first, last = whole * number // count, whole * (number + 1) // count
        share = tf.cast(last - first, tf.float32) * count / tf.cast(whole, tf.float32)
        return tf.nest.map_structure(lambda values: values[first:last], batch), share

    strategy.run(step, args=strategy.experimental_distribute_values_from_function(part))


def training_on_all(model: Any) -> Callable[[Any], Any]:
    """The model's training step as a function of a whole batch."""

    def step(examples: Any, share: Any) -> None:
        moving = [item.value for item in model.non_trainable_variables if tf.as_dtype(item.dtype).is_floating]
        before = [tf.identity(variable) for variable in moving]
        model.optimizer.shares.now = share
        model.train_step(examples)
        changes = [tf.convert_to_tensor(variable) - value for variable, value in zip(moving, before, strict=True)]
        if not changes:
            return
        scaled = [change * tf.cast(share, change.dtype) for change in changes]
        means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, scaled)
        for variable, value, change in zip(moving, before, means, strict=True):
            variable.assign(tf.where(change == 0, value, value + change))

    def on_all(batch: Any) -> Any:
        _each_part(model.distribute_strategy, step, batch)
        return tf.constant(0)

    return on_all


def testing_on_all(model: Any) -> Callable[[Any], None]:
    """The model's step in inference mode as a function of a whole batch."""

    def step(examples: Any, share: Any) -> None:
        del share  # metrics count examples
        if tf.nest.flatten(examples)[0].shape[0] != 0:  # Keras cannot take the mean loss of none
            model.test_step(examples)

    return lambda batch: _each_part(model.distribute_strategy, step, batch)


def share_model(model: Any, batch: Any) -> None:
    """Make a compiled model fit for several devices.

    Args:
        model: is given the variables of its metrics as well, which Keras would make at its first batch.
        batch: any one.
    """
    model._symbolic_build(data_batch=batch)
    _share_optimizer(model.optimizer)
    for layer in model._flatten_layers(include_self=False):
        for generator in getattr(layer, "_seed_generators", ()):
            generator.next = _apart(generator.next)


def _share_optimizer(optimizer: Any) -> None:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    scale, apply = optimizer.scale_loss, optimizer.apply
    shares = _Share()

    def scaled(loss: Any) -> Any:
        return scale(loss) * tf.cast(shares.now, loss.dtype)

    def summed(grads: Any, trainable_variables: Any = None) -> None:
        present = [gradient for gradient in grads if gradient is not None]
        context = tf.distribute.get_replica_context()
        sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, present) if present else ())
        apply([None if gradient is None else next(sums) for gradient in grads], trainable_variables)

    optimizer.shares, optimizer.scale_loss, optimizer.apply = shares, scaled, summed
    inner._all_reduce_sum_gradients = lambda pairs: pairs
    if inner.gradient_accumulation_steps:
        inner._backend_apply_gradients = _accumulating(inner)


def _accumulating(optimizer: Any) -> Callable[[Any, Any], None]:
    """Keras' update of an optimizer that accumulates, decided on for all devices at once.

    TensorFlow takes no decision on one device about what all of them do together.
    """
    steps = optimizer.gradient_accumulation_steps

    def update(grads: Any, variables: Any) -> None:
        kept = [optimizer._accumulated_gradients[optimizer._get_variable_index(item)] for item in variables]
        means = [(gradient + other) / steps for gradient, other in zip(grads, kept, strict=True)]
        optimizer._apply_weight_decay(variables)
        optimizer._backend_update_step(optimizer._clip_gradients(means), variables, optimizer.learning_rate)
        optimizer._backend_reset_gradient_accumulators()

    def keep(grads: Any, variables: Any) -> None:
        kept = [optimizer._accumulated_gradients[optimizer._get_variable_index(item)] for item in variables]
        for gradient, other in zip(grads, kept, strict=True):
            other.assign(other + gradient)

    def apply(grads: Any, variables: Any) -> None:
        def everywhere(strategy: Any, *grads: Any) -> None:
            each = strategy.extended.call_for_each_replica
            tf.cond(
                tf.equal((optimizer._iterations.value + 1) % steps, 0),
                lambda: each(lambda *mine: update(mine, variables), args=grads),
                lambda: each(lambda *mine: keep(mine, variables), args=grads),
            )

        tf.distribute.get_replica_context().merge_call(everywhere, args=tuple(grads))
        if optimizer.use_ema:
            optimizer._update_model_variables_moving_average(optimizer._trainable_variables)

    return apply


def _apart(plain: Callable[..., Any]) -> Callable[..., Any]:
    """A seed generator's draw, another one on each device; on the first, what one device would draw."""

    def draw(ordered: bool = True) -> Any:
        seed = plain(ordered)
        context = tf.distribute.get_replica_context()
        number = 0 if context is None else context.replica_id_in_sync_group
        return seed + tf.stack([tf.cast(number, seed.dtype) * tf.cast(_APART, seed.dtype), tf.zeros((), seed.dtype)])

    return draw
