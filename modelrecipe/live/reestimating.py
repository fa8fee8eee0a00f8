"""Moving statistics of BatchNormalization, taken anew from data.

Layers that are meant normalise by the statistics of each batch, as in training; all others work in inference mode. So
what a layer sees depends on no moving statistics of those that are estimated with it, and one pass is enough for all.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from modelrecipe.errors import BuildError, EditError
from modelrecipe.live.construct import foreign_code, reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data.feed import Feed
    from modelrecipe.live.workshop import Workshop


@dataclass
class _Watched:
    """A layer that is made to normalise by its batches, and sums of the statistics that it takes of them.

    Args:
        layer: a live BatchNormalization that nobody else has.
        examples: how many there are in the batch, while it is looked at.
        count, mean, variance: how many examples so far, and the sums of the batches' statistics times their examples.
    """

    layer: Any
    examples: Any = None
    count: Any = field(init=False)
    mean: Any = field(init=False)
    variance: Any = field(init=False)

    def __post_init__(self) -> None:
        layer, call = self.layer, self.layer.call
        shape = tuple(layer.moving_mean.shape)
        self.count = tf.Variable(tf.zeros((), tf.float64))
        self.mean = tf.Variable(tf.zeros(shape, tf.float64))
        self.variance = tf.Variable(tf.zeros(shape, tf.float64))
        layer.moving_mean.assign(np.zeros(shape))
        layer.moving_variance.assign(np.ones(shape))
        layer.momentum = 0.0  # so that what it keeps is what it took of the last batch
        layer.trainable = True  # a frozen one takes no statistics

        def watched(inputs: Any, training: Any = None, mask: Any = None) -> Any:
            del training  # whatever the model is called with, or the call in its graph says
            outputs = call(inputs, training=True, mask=mask)
            self.count.assign_add(self.examples)
            self.mean.assign_add(tf.cast(layer.moving_mean.value, tf.float64) * self.examples)
            self.variance.assign_add(tf.cast(layer.moving_variance.value, tf.float64) * self.examples)
            return outputs

        layer.call = watched


def reestimated(
    workshop: Workshop, document: Checkpoint, paths: Mapping[str, str], feed: Feed, batches: int | None
) -> dict[str, dict[str, NDArray[np.generic]]]:
    """Mean and variance of layers as one pass over data gives them.

    That is the mean over all calls of the layer, of the mean of each batch and of its variance, in which a batch
    counts as much as it has examples; taken in float64. For batches of one size it is what momentum k / (k + 1) after
    batch k would give.

    Args:
        workshop: builds the model.
        document: the model; it is not touched.
        paths: key of each BatchNormalization to where it stands.
        feed: the batches.
        batches: how many of them; None for all.

    Returns:
        For each key, numbers by the variables' names, in their types.

    Raises:
        BuildError: the model cannot be run on the data.
        EditError: a layer sees no data, or numbers that are not finite.
    """
    built = workshop.lend(document)
    watched = {key: _Watched(built.layers[key]) for key in paths}

    def look(x: Any) -> None:
        examples = tf.cast(tf.shape(tf.nest.flatten(x)[0])[0], tf.float64)
        for item in watched.values():
            item.examples = examples
        built.model(x, training=False)

    run: Any = tf.function(tf.autograph.experimental.do_not_convert(look), reduce_retracing=True)
    refusal = foreign_code(lambda error: BuildError(f"the model cannot be run on the data: {reason(error)}"))
    with refusal, warnings.catch_warnings():
        # Keras remarks on the form of the inputs, which is the one that the recipe names.
        warnings.simplefilter("ignore", UserWarning)
        for batch in itertools.islice(feed.dataset(0), batches):
            run(batch[0])
    return {key: _statistics(item, paths[key], key) for key, item in watched.items()}


def _statistics(watched: _Watched, path: str, key: str) -> dict[str, NDArray[np.generic]]:
    count = float(watched.count)
    if not count:
        raise EditError(f"'{path}' is called by nothing, so it sees no data", hint="leave it out", layer=key)
    found: Sequence[tuple[str, Any, Any]] = (
        ("moving_mean", watched.mean, watched.layer.moving_mean),
        ("moving_variance", watched.variance, watched.layer.moving_variance),
    )
    statistics = {name: (sums.numpy() / count).astype(_numpy_type(variable)) for name, sums, variable in found}
    if not all(np.isfinite(values.astype(np.float64)).all() for values in statistics.values()):
        raise EditError(
            f"the statistics of '{path}' on the data are not finite", hint="look at the data and the weights", layer=key
        )
    return statistics


def _numpy_type(variable: Any) -> Any:
    return tf.as_dtype(variable.dtype).as_numpy_dtype
