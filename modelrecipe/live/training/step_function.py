"""The compiled training step: some batches in a row, without coming back to Python.

The step itself is Keras' own (`Model.train_step`), so that losses, metrics, mixed precision and custom models are as in
`Model.fit`. How many batches a call takes is told at the call, so that it ends exactly where something has to happen.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from modelrecipe.live.training.replicas import is_shared, testing_on_all, training_on_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@contextmanager
def untold_tracing() -> Iterator[None]:
    """Without TensorFlow's remarks on functions that are made anew, as each model and each change of flags asks for."""
    logger, level = tf.get_logger(), tf.get_logger().level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def training_function(model: Any, held: Sequence[tuple[Any, Any]], *, jit: bool) -> Callable[[Any, int], None]:
    """A function of a data iterator and a number of batches, which trains the model on them.

    Args:
        model: a compiled Keras model.
        held: variables with masks of zeros and ones: what is zero there is zero after every update.
        jit: compile the step with XLA.
    """
    strategy = model.distribute_strategy
    of_all = training_on_all(model) if is_shared(strategy) else None

    # What a step gives back is of no use here, but a graph that lacks it is rewritten otherwise (grappler), and then
    # its last bits are not those of `Model.fit`.
    def one(data: Any) -> Any:
        return model.train_step(data)

    compiled = tf.function(_as_written(one), reduce_retracing=True, jit_compile=jit)

    def step(iterator: Any) -> Any:
        batch = next(iterator)
        results = strategy.run(compiled, args=(batch,)) if of_all is None else of_all(batch)
        for variable, mask in held:
            variable.assign(variable * mask)
        return tf.nest.map_structure(lambda item: strategy.experimental_local_results(item)[0], results)

    return _in_blocks(_as_written(step))


_as_written: Any = tf.autograph.experimental.do_not_convert
"""Keeps AutoGraph, which would rewrite Python's branches and loops, from a function."""


def _in_blocks(step: Callable[[Any], Any]) -> Callable[[Any, int], None]:
    """A function of a data iterator and a number of batches, from one of a data iterator."""

    def several(iterator: Any, count: Any) -> Any:
        def body(done: Any, _: Any) -> Any:
            return done + 1, step(iterator)

        return tf.while_loop(
            lambda done, _: done < count, body, (tf.constant(1), step(iterator)), parallel_iterations=1
        )

    block: Any = tf.function(_as_written(several), reduce_retracing=True)
    single: Any = tf.function(step, reduce_retracing=True)

    def run(iterator: Any, count: int) -> None:
        if count == 1:
            single(iterator)
        else:
            block(iterator, tf.constant(count))

    return run


def _without_result(step: Callable[[Any], Any]) -> Callable[[Any], None]:
    def run(data: Any) -> None:
        step(data)

    return run


def testing_function(model: Any) -> Callable[[Any], Any]:
    """A function of one batch, which adds it to the model's metrics in inference mode."""
    strategy = model.distribute_strategy
    of_all = testing_on_all(model) if is_shared(strategy) else None

    # The loss of each of several outputs counts a batch by its size only where that is known when it is traced (keras,
    # `CompileLoss.call`), so that the last, smaller batch has a trace of its own.
    def one(data: Any) -> None:
        if of_all is None:
            strategy.run(_without_result(model.test_step), args=(data,))
        else:
            of_all(data)

    return tf.function(_as_written(one))
