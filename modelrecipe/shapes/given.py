"""What shape rules read: a configuration with its defaults filled in, and sizes checked as they are taken.

A rule that meets what it was not made for raises `MisfitError`, which the front door turns into "only Keras can tell".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelrecipe.catalog.entry import find

if TYPE_CHECKING:
    from modelrecipe.references import Shape

Pairs = tuple[tuple[int, int], ...]


class MisfitError(Exception):
    """Configuration and input shapes are not what the rule describes."""


class Given(Mapping[str, Any]):
    """The arguments of one layer, defaults filled in; what neither says is a misfit."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        entry = find(name)
        known = () if entry is None else entry.arguments
        self.name = name
        self._values = {a.name: a.default for a in known if not a.required} | {k: _plain(v) for k, v in config.items()}

    def __getitem__(self, key: str) -> Any:
        if key not in self._values:
            raise MisfitError(key)
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def get(self, key: str, default: Any = None) -> Any:
        """The argument, or `default` where the class has none of that name."""
        return self._values.get(key, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def whole(self, key: str) -> int:
        """An argument that is a whole number above 0."""
        return positive(self[key])

    def per_axis(self, key: str, rank: int) -> tuple[int, ...]:
        """An argument that is one whole number above 0, or one per axis."""
        return tuple(positive(size) for size in spread(self[key], rank))

    @property
    def padding(self) -> str:
        """The kind of padding, in lower case as Keras takes it."""
        demand(isinstance(self["padding"], str))
        return self["padding"].lower()

    @property
    def is_channels_first(self) -> bool:
        """Whether the channels come before the spatial axes; null means Keras' own default, channels last."""
        return str(self["data_format"] or "channels_last").lower() == "channels_first"


def _plain(value: Any) -> Any:
    """Keras' way to write a tuple as a list."""
    return value["items"] if isinstance(value, Mapping) and value.get("class_name") == "__tuple__" else value


def demand(condition: bool) -> None:
    """Stop the rule where `condition` does not hold.

    Raises:
        MisfitError: it does not hold.
    """
    if not condition:
        raise MisfitError


def whole(value: Any) -> int:
    """`value`, which must be a whole number."""
    demand(isinstance(value, int) and not isinstance(value, bool))
    return value


def positive(value: Any) -> int:
    """`value`, which must be a whole number above 0."""
    demand(whole(value) > 0)
    return value


def spread(value: Any, rank: int) -> tuple[Any, ...]:
    """One value for each of `rank` axes."""
    if isinstance(value, list | tuple):
        demand(len(value) in (1, rank))
        return tuple(value) * (rank if len(value) == 1 else 1)
    return (value,) * rank


def axis_in(axis: Any, rank: int) -> int:
    """An axis counted from the front."""
    demand(-rank <= whole(axis) < rank)
    return axis % rank


def axes_in(axes: Any, rank: int) -> tuple[int, ...]:
    """One axis or several, counted from the front."""
    return tuple(axis_in(axis, rank) for axis in (axes if isinstance(axes, list | tuple) else (axes,)))


def only(inputs: Sequence[Shape]) -> Shape:
    """The one input."""
    demand(len(inputs) == 1)
    return inputs[0]


def of_rank(inputs: Sequence[Shape], rank: int) -> Shape:
    """The one input, which must have that many axes."""
    shape = only(inputs)
    demand(len(shape) == rank)
    return shape


def known(size: int | None) -> int:
    """A size that must be known."""
    demand(size is not None)
    return size or 0


def spatial(given: Given, shape: Shape) -> tuple[int | None, ...]:
    """The sizes between batch and channels."""
    return shape[2:] if given.is_channels_first else shape[1:-1]


def channels(given: Given, shape: Shape) -> int | None:
    """How many channels; None where that is unknown."""
    return shape[1] if given.is_channels_first else shape[-1]


def image(given: Given, batch: int | None, sizes: Sequence[int | None], depth: int | None) -> Shape:
    """Batch, spatial sizes and channels put together in the layer's own order."""
    return (batch, depth, *sizes) if given.is_channels_first else (batch, *sizes, depth)
