"""Functions of TensorFlow between the layers of functional models, as `tf_keras` takes them: the cases of
`test_tf_operations`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FUNCTIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "add-constant": lambda x, y: 2.5 + x,
    "subtract": lambda x, y: x - y,
    "subtract-from": lambda x, y: 1.0 - x,
    "subtract-list": lambda x, y: x - [1.0, 2.0, 3.0, 4.0],
    "multiply": lambda x, y: x * y * 3,
    "multiply-array": lambda x, y: x * tf.constant([[1.0, 2.0, 3.0, 4.0]]),
    "divide": lambda x, y: x / (y * y + 1.0),
    "divide-into": lambda x, y: 1.0 / (x * x + 1.0),
    "divide-by-number": lambda x, y: x / 127.5 - 1,
    "floor-divide": lambda x, y: x // 0.3,
    "modulo": lambda x, y: x % 0.7,
    "power": lambda x, y: (x * x) ** 1.5,
    "negative": lambda x, y: -abs(x),
    "matmul": lambda x, y: tf.matmul(x, tf.transpose(y, [0, 2, 1])),
    "compare": lambda x, y: (
        tf.cast(x > y, "float32") + tf.cast(tf.logical_and(x < 1.0, tf.not_equal(y, 2.0)), tf.float32)
    ),
    "where": lambda x, y: tf.where(x > 0.0, x, y),
    "where-constant": lambda x, y: tf.where(x > 0.0, x, 0.5),
    "maximum": lambda x, y: tf.maximum(x, y) + tf.minimum(x, 0.1),
    "no-nan": lambda x, y: tf.math.divide_no_nan(x, tf.nn.relu(y)),
    "activations": lambda x, y: tf.nn.relu(x) + tf.nn.relu6(y) + tf.sigmoid(x) + tf.tanh(y) + tf.nn.elu(x),
    "activations-2": lambda x, y: tf.nn.softplus(x) + tf.nn.softsign(y) + tf.nn.selu(x) + tf.nn.silu(y),
    "gelu": lambda x, y: tf.nn.gelu(x) + tf.nn.gelu(y, approximate=True),
    "leaky": lambda x, y: tf.nn.leaky_relu(x) + tf.nn.leaky_relu(y, alpha=0.05),
    "softmax": lambda x, y: tf.nn.softmax(x) + tf.nn.softmax(y, axis=1) + tf.nn.log_softmax(x),
    "unary": lambda x, y: tf.exp(x) + tf.math.log(tf.square(y) + 1.0) + tf.sqrt(tf.abs(x)) + tf.math.rsqrt(y * y + 1.0),
    "unary-2": lambda x, y: tf.sin(x) + tf.cos(y) + tf.floor(x) + tf.math.ceil(y) + tf.round(x) + tf.sign(y),
    "reduce": lambda x, y: tf.reduce_mean(x, axis=1) + tf.reduce_sum(y, axis=[1]) + tf.reduce_max(x, 1),
    "reduce-all": lambda x, y: x - tf.reduce_mean(x, axis=[1, 2], keepdims=True) + tf.reduce_min(y),
    "reduce-spread": lambda x, y: tf.math.reduce_std(x, axis=1) + tf.math.reduce_variance(y, axis=1),
    "logsumexp": lambda x, y: tf.reduce_logsumexp(x, axis=-1),
    "argmax": lambda x, y: tf.cast(tf.argmax(x, axis=-1), tf.float32) + tf.cast(tf.math.argmin(y, -1), tf.float32),
    "l2-normalize": lambda x, y: tf.math.l2_normalize(x, axis=-1) + tf.nn.l2_normalize(y, axis=1),
    "concat": lambda x, y: tf.concat([x, y, x], axis=-1),
    "concat-one": lambda x, y: tf.concat([x], axis=-1),
    "stack": lambda x, y: tf.stack([x, y], axis=1),
    "stack-one": lambda x, y: tf.stack([x], axis=1),
    "unstack": lambda x, y: tf.unstack(x, axis=1)[2] + tf.unstack(y, axis=1)[0],
    "split": lambda x, y: tf.split(x, 2, axis=-1)[1] + tf.split(y, [1, 2, 1], axis=-1)[1],
    "reshape": lambda x, y: tf.reshape(x, [-1, 24]),
    "transpose": lambda x, y: tf.transpose(x, perm=[0, 2, 1]),
    "expand": lambda x, y: tf.squeeze(tf.expand_dims(x, -1), axis=-1) + tf.squeeze(y[..., tf.newaxis]),
    "tile": lambda x, y: tf.tile(x, [1, 2, 1]) + tf.repeat(y, 2, axis=1),
    "reverse": lambda x, y: tf.reverse(x, axis=[1]) + tf.roll(y, shift=1, axis=1),
    "cumsum": lambda x, y: tf.cumsum(x, axis=1),
    "pad": lambda x, y: tf.pad(x, [[0, 0], [1, 2], [0, 0]]) + tf.pad(y, [[0, 0], [2, 1], [0, 0]], "REFLECT"),
    "pad-value": lambda x, y: tf.pad(x, [[0, 0], [1, 2], [0, 0]], constant_values=0.7),
    "clip": lambda x, y: tf.clip_by_value(x, -0.5, 0.7),
    "gather": lambda x, y: tf.gather(x, [2, 0], axis=1),
    "one-hot": lambda x, y: tf.one_hot(tf.argmax(x, axis=-1), 4),
    "slice": lambda x, y: x[:, 1:3] + y[:, ::3, :],
    "slice-index": lambda x, y: x[:, 2] + y[:, -1, ...],
    "slice-step": lambda x, y: x[..., 1::2],
    "slice-batch": lambda x, y: x[1:],
    "identity": lambda x, y: tf.identity(x) + tf.stop_gradient(y),
    "add-many": lambda x, y: tf.add_n([x, y, x]),
    "resize": lambda x, y: tf.image.resize(x[..., tf.newaxis], [3, 2]),
    "resize-nearest": lambda x, y: tf.image.resize(x[..., tf.newaxis], (12, 8), method="nearest"),
}
