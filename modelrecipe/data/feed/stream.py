"""Examples that come one after the other: a `tf.data.Dataset`, whose order is its own.

It has no random access: what comes before the first wanted batch is read and thrown away, and shuffling is through a
buffer, seeded anew for every epoch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.data.feed.rows import structured
from modelrecipe.data.feed.transform import mapped, tensorflow
from modelrecipe.data.stock import Header, Stock
from modelrecipe.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelrecipe.data.feed.rows import Route
    from modelrecipe.data.survey import Survey

BUFFER = 10_000
"""Examples among which the next one is drawn; a smaller data set is shuffled as a whole."""
_ROLES = ("x", "y", "sample_weight")


def flattened(element: Any) -> dict[str, Any]:
    """The tensors of an example under their keys: x, y and sample_weight of a tuple, else the keys of a mapping.

    Mappings inside a tuple give `x/name`.
    """
    if isinstance(element, dict):
        return {str(key): value for key, value in element.items()}
    parts = element if isinstance(element, tuple | list) else (element,)
    if len(parts) > len(_ROLES):
        hint = "give (x, y), (x, y, sample_weight) or a mapping"
        raise DataError(f"the examples are tuples of {len(parts)}, which has no meaning", hint=hint)
    found: dict[str, Any] = {}
    for role, part in zip(_ROLES, parts, strict=False):
        inner = part.items() if isinstance(part, dict) else None
        found |= {role: part} if inner is None else {f"{role}/{name}": value for name, value in inner}
    return found


def stream_of(data: Any, *, batched: bool) -> tuple[Any, Stock]:
    """A dataset of examples by key, and what it has; one that does not know its length is read once to count.

    Raises:
        DataError: it has no end, or elements that are no plain tensors.
    """
    tf = tensorflow()
    options = tf.data.Options()
    options.deterministic = True
    data = data.unbatch() if batched else data
    keyed = mapped(data, _by_key, in_parallel=False).with_options(options)
    headers = {key: _header(tf, key, spec) for key, spec in keyed.element_spec.items()}
    length = int(keyed.cardinality())
    if length == tf.data.INFINITE_CARDINALITY:
        raise DataError("the dataset has no end", hint="remove its repeat()")
    if length == tf.data.UNKNOWN_CARDINALITY:
        length = int(keyed.reduce(np.int64(0), lambda count, _: count + 1))
    headers = {key: replace(header, length=length) for key, header in headers.items()}
    return keyed, Stock(headers=headers, is_cheap=False, read=lambda key: _read(keyed, key))


def _header(tf: Any, key: str, spec: Any) -> Header:
    if not isinstance(spec, tf.TensorSpec) or spec.shape.rank is None:
        raise DataError(f"'{key}' is no tensor with a known number of sizes", hint="make it one in the dataset")
    return Header(length=None, shape=tuple(spec.shape.as_list()), dtype=spec.dtype.name)


def _read(keyed: Any, key: str) -> NDArray[Any]:
    pieces = [piece.numpy() for piece in mapped(keyed, lambda part: part[key]).batch(1024)]
    return np.concatenate(pieces) if pieces else np.zeros(0)


def _by_key(*parts: Any) -> dict[str, Any]:
    """An example, which `tf.data` hands over with a tuple taken apart."""
    return flattened(parts[0] if len(parts) == 1 else parts)


class StreamRows:
    """The examples of a dataset."""

    def __init__(self, keyed: Any, found: Survey) -> None:
        self._keyed, self._found = keyed, found

    def batches(self, route: Route) -> Any:
        """See `Rows.batches`."""
        tf = tensorflow()
        data: Any = self._keyed
        if len(route.selection) < (self._found.length or 0):
            is_mine = np.zeros(self._found.length or 0, bool)
            is_mine[route.selection] = True
            is_mine = tf.constant(is_mine)
            chosen = data.enumerate().filter(lambda number, _: is_mine[number])
            data = mapped(chosen, lambda _, part: part, in_parallel=False)
        if route.shuffling is not None:
            seed = int(route.shuffling.randint(2**31 - 1))
            size = min(BUFFER, len(route.selection))
            data = data.shuffle(size, seed=seed, reshuffle_each_iteration=False)
        data = data.batch(route.size, drop_remainder=route.is_even).skip(route.start)
        data = mapped(data, lambda part: structured(self._found, part), in_parallel=False)
        return data.apply(tf.data.experimental.assert_cardinality(route.count - route.start))
