"""Examples of some labels count more than others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.data.feed import Feed


@frozen
class WeightedFeed:
    """The batches of a feed with a weight for each example, by its label, times the weight that it has already.

    Args:
        feed: batches with one target: labels, or one-hot rows.
        class_weight: label to weight; 1 for all others.
    """

    feed: Feed
    class_weight: Mapping[str, float]

    def dataset(self, epoch: int, start: int = 0) -> Any:
        """See `Feed.dataset`."""
        size = 1 + max(int(label) for label in self.class_weight)
        table = np.ones(size, np.float32)
        for label, weight in self.class_weight.items():
            table[int(label)] = weight

        def weighted(x: Any, y: Any, given: Any = None) -> tuple[Any, Any, Any]:
            is_one_hot = y.shape.rank is not None and y.shape.rank > 1 and y.shape[-1] not in (1, None)
            labels = tf.argmax(y, axis=-1) if is_one_hot else tf.reshape(tf.cast(y, tf.int64), [-1])
            weights = tf.where(labels < size, tf.gather(table, tf.minimum(labels, size - 1)), 1.0)
            return x, y, weights if given is None else weights * tf.cast(given, tf.float32)

        return self.feed.dataset(epoch, start).map(weighted, num_parallel_calls=tf.data.AUTOTUNE)
