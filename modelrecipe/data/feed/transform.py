"""What is done to a tensor between its source and the model, in TensorFlow; `layout` says what comes out of it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from modelrecipe.data.layout import Wanted
    from modelrecipe.data.stock import Header

_FLOATS = ("bfloat16", "float16", "float32", "float64")


def tensorflow() -> Any:
    """TensorFlow, imported as quietly as Keras."""
    import_keras()
    return importlib.import_module("tensorflow")


def mapped(data: Any, function: Callable[..., Any], *, in_parallel: bool = True) -> Any:
    """A dataset with a function applied to every element, in their order.

    AutoGraph, which would rewrite the function and all that it calls, and put errors of its own in the place of
    ours, is kept out: none of them branches on a tensor.
    """
    tf = tensorflow()
    plain = tf.autograph.experimental.do_not_convert(function)
    return data.map(plain, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True) if in_parallel else data.map(plain)


def finish(item: Wanted, parts: Sequence[Any], before: Header, after: Header) -> Any:
    """A batch of a tensor as the model gets it.

    Args:
        item: which tensor.
        parts: a batch of each of its keys, or of all of them stacked.
        before: the tensor in the source.
        after: the tensor for the model.
    """
    tf = tensorflow()
    spec = item.spec
    value = parts[0] if len(parts) == 1 else tf.stack([tf.cast(part, before.dtype) for part in parts], axis=-1)
    if len(parts) == 1 and isinstance(spec.key, tuple) and len(value.shape) == 1:
        value = value[:, tf.newaxis]
    if item.classes:
        value = _numbered(tf, value, item.classes)
    if spec.shape is not None:
        value = tf.reshape(value, (-1, *spec.shape))
    if spec.one_hot is not None:
        value = tf.squeeze(value, -1) if len(value.shape) == len(after.shape) + 1 else value
        value = tf.one_hot(tf.cast(value, tf.int64), spec.one_hot, dtype=after.dtype)
    if spec.resize is not None:
        value = tf.image.resize(value, spec.resize)
    if spec.scale is not None or spec.offset is not None:
        value = tf.cast(value, after.dtype if after.dtype in _FLOATS else "float32")
        value = value if spec.scale is None else value * tf.cast(spec.scale, value.dtype)
        value = value if spec.offset is None else value + tf.cast(spec.offset, value.dtype)
    value = value if value.dtype.name == after.dtype else tf.cast(value, after.dtype)
    return tf.ensure_shape(value, (None, *after.shape))


def _numbered(tf: Any, labels: Any, classes: tuple[int | str, ...]) -> Any:
    known = tf.constant(list(classes), dtype=tf.string if labels.dtype == tf.string else tf.int64)
    labels = labels if labels.dtype == tf.string else tf.cast(labels, tf.int64)
    is_class = tf.equal(labels[..., tf.newaxis], known)
    return tf.where(tf.reduce_any(is_class, axis=-1), tf.argmax(is_class, axis=-1, output_type=tf.int32), -1)


def packer(wanted: Sequence[Wanted]) -> Callable[[Mapping[Wanted, Any]], tuple[Any, ...]]:
    """A function that gives tensors the structure of what Keras trains on: (x,), (x, y) or (x, y, sample_weight)."""

    def pack(values: Mapping[Wanted, Any]) -> tuple[Any, ...]:
        packed: list[Any] = []
        for role in ("x", "y", "sample_weight"):
            mine = [item for item in wanted if item.role == role]
            if len(mine) == 1 and mine[0].name is None:
                packed.append(values[mine[0]])
            elif mine:
                packed.append({item.name: values[item] for item in mine})
        return tuple(packed)

    return pack
