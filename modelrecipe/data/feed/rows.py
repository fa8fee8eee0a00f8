"""Examples that can be reached by number: arrays in memory or in mapped files, and records of TFRecord files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from modelrecipe.data.feed.transform import finish, mapped, packer, tensorflow
from modelrecipe.data.survey import stacked
from modelrecipe.data.values import refuse_gaps
from modelrecipe.errors import Problems, RecipeError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from modelrecipe.data.kinds import Feature
    from modelrecipe.data.layout import Wanted
    from modelrecipe.data.records import RecordIndex
    from modelrecipe.data.survey import Survey

SMALL = 256 * 2**20
"""Bytes of all tensors up to which they are prepared once, and put in order once in every epoch."""


@frozen
class Route:
    """Which batches of an epoch are wanted.

    Args:
        selection: numbers of the examples of this part.
        shuffling: puts them into another order; None for the order of the source.
        size: examples in a batch.
        start: the first batch.
        count: number of all batches of the epoch.
        is_even: whether every batch is full.
    """

    selection: NDArray[np.int64]
    shuffling: np.random.RandomState | None
    size: int
    start: int
    count: int
    is_even: bool

    def order(self) -> NDArray[np.int64]:
        """The examples from the first wanted batch on."""
        chosen = self.selection if self.shuffling is None else self.shuffling.permutation(self.selection)
        return chosen[self.start * self.size : self.count * self.size]


class Rows(Protocol):
    """The examples of one source."""

    def batches(self, route: Route) -> Any:
        """A `tf.data.Dataset` of batches, structured as Keras trains on them."""
        ...


def array_rows(found: Survey, at: tuple[str | int, ...] = ()) -> Rows:
    """The rows of a source of arrays: prepared in memory where they are small, else gathered batch by batch.

    Raises:
        RecipeError: the arrays cannot be read, or hold numbers that are not finite.
    """
    raw: dict[Wanted, NDArray[Any]] = {}
    problems: list[RecipeError] = []
    for item in found.wanted:
        try:
            raw[item] = stacked(item, found.stock)
            refuse_gaps(raw[item], item.label, item.at)
        except RecipeError as error:
            error.at = (*at, *error.at)
            problems.append(error)
    if problems:
        raise problems[0] if len(problems) == 1 else Problems(problems)
    if sum(_size(found, item) for item in raw) <= SMALL:
        return MemoryRows(found, _prepared(found, raw))
    return FetchedRows(
        fetch=lambda numbers: [_native(values[numbers]) for values in raw.values()],
        dtypes=[found.before[item].dtype for item in raw],
        finish=lambda parts: _finished(found, dict(zip(raw, parts, strict=True))),
    )


def _size(found: Survey, item: Wanted) -> int:
    after = found.after[item]
    width = 64 if after.dtype == "string" else 2 if after.dtype == "bfloat16" else np.dtype(after.dtype).itemsize
    return (found.length or 0) * width * int(np.prod([size or 1 for size in after.shape]))


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Values in a form that TensorFlow takes: the machine's byte order, and texts as objects."""
    if values.dtype.kind in "US":
        return values.astype(object)
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))


def _prepared(found: Survey, raw: Mapping[Wanted, NDArray[Any]]) -> dict[Wanted, NDArray[Any]]:
    tf = tensorflow()
    with tf.device("CPU:0"):
        return {
            item: finish(item, [tf.constant(_native(values))], found.before[item], found.after[item]).numpy()
            for item, values in raw.items()
        }


def _finished(found: Survey, parts: Mapping[Wanted, Any]) -> tuple[Any, ...]:
    """Tensors of one array each, as the model gets them."""
    values: dict[Wanted, Any] = {}
    for item, part in parts.items():
        part.set_shape((None, *found.before[item].shape))
        values[item] = finish(item, [part], found.before[item], found.after[item])
    return packer(found.wanted)(values)


class MemoryRows:
    """Tensors as the model gets them, in memory: an epoch's order is one copy, and a batch a slice of it."""

    def __init__(self, found: Survey, arrays: Mapping[Wanted, NDArray[Any]]) -> None:
        self._arrays = arrays
        self._pack = packer(found.wanted)

    def batches(self, route: Route) -> Any:
        """See `Rows.batches`."""
        tf = tensorflow()
        order = route.order()
        full = len(order) // route.size
        head, tail = order[: full * route.size], order[full * route.size :]
        with tf.device("CPU:0"):
            whole = self._pack(
                {
                    item: values[head].reshape(full, route.size, *values.shape[1:])
                    for item, values in self._arrays.items()
                }
            )
            data = tf.data.Dataset.from_tensor_slices(whole)
            if route.is_even:
                return data
            # Also where nothing is left over, so that every epoch has batches of one and the same unknown size.
            rest = self._pack({item: values[tail] for item, values in self._arrays.items()})
            return data.concatenate(tf.data.Dataset.from_tensors(rest).take(1 if len(tail) else 0))


class FetchedRows:
    """Examples that Python fetches by number, a batch at a time; TensorFlow does the rest."""

    def __init__(
        self,
        *,
        fetch: Callable[[NDArray[np.int64]], list[NDArray[Any]]],
        dtypes: list[str],
        finish: Callable[[Any], tuple[Any, ...]],
    ) -> None:
        self._fetch, self._dtypes, self._finish = fetch, dtypes, finish

    def batches(self, route: Route) -> Any:
        """See `Rows.batches`."""
        tf = tensorflow()

        def load(numbers: Any) -> tuple[Any, ...]:
            # Not stateful: the same numbers give the same examples, so that batches may be fetched side by side.
            parts = tf.numpy_function(self._fetch, [numbers], self._dtypes, stateful=False)
            return self._finish(parts)

        data = tf.data.Dataset.from_tensor_slices(route.order()).batch(route.size, drop_remainder=route.is_even)
        return mapped(data, load)


def record_rows(index: RecordIndex, features: Mapping[str, Feature], found: Survey) -> Rows:
    """The rows of TFRecord files, each read by where it lies."""
    parse = parser(features)

    def finished(parts: Any) -> tuple[Any, ...]:
        return structured(found, parse(parts[0]))

    return FetchedRows(fetch=lambda numbers: [_objects(index.read(numbers))], dtypes=["string"], finish=finished)


def structured(found: Survey, parsed: Mapping[str, Any]) -> tuple[Any, ...]:
    """Batches by key, as the model gets them."""
    return packer(found.wanted)(
        {
            item: finish(item, [parsed[key] for key in item.keys], found.before[item], found.after[item])
            for item in found.wanted
        }
    )


def read_feature(index: RecordIndex, features: Mapping[str, Feature], key: str) -> NDArray[Any]:
    """One feature of all records, for labels."""
    parse = parser({key: features[key]})
    numbers = np.arange(len(index))
    pieces = [numbers[start : start + 1024] for start in range(0, len(numbers), 1024)]
    return np.concatenate([parse(_objects(index.read(piece)))[key].numpy() for piece in pieces])


def _objects(records: list[bytes]) -> NDArray[Any]:
    """Bytes of any length; as an array of texts they would lose zeros at their ends."""
    result = np.empty(len(records), object)
    result[:] = records
    return result


def parser(features: Mapping[str, Feature]) -> Callable[[Any], dict[str, Any]]:
    """A function from a batch of serialised examples to a batch of each feature."""
    tf = tensorflow()

    def stored(feature: Feature) -> Any:
        if feature.encoding != "value":
            return tf.io.FixedLenFeature((), tf.string)
        kind = "string" if feature.dtype == "string" else "float32" if "float" in feature.dtype else "int64"
        return tf.io.FixedLenFeature(feature.shape, kind)

    def decoded(feature: Feature, value: Any) -> Any:
        if feature.encoding == "raw":
            return tf.reshape(tf.io.decode_raw(value, feature.dtype), (-1, *feature.shape))
        if feature.encoding == "image":
            wanted = tf.TensorSpec(feature.shape, tf.uint8)
            return tf.map_fn(lambda item: _image(tf, feature, item), value, fn_output_signature=wanted)
        return tf.cast(value, feature.dtype)

    def parse(serialised: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(serialised, {name: stored(feature) for name, feature in features.items()})
        return {name: decoded(feature, parsed[name]) for name, feature in features.items()}

    return parse


def _image(tf: Any, feature: Feature, content: Any) -> Any:
    image = tf.io.decode_image(content, channels=feature.shape[2], expand_animations=False)
    if feature.resize is not None:
        image = tf.image.resize(image, feature.shape[:2], method=feature.resize)
        image = tf.saturate_cast(tf.round(image), tf.uint8)
    return tf.ensure_shape(image, feature.shape)
