"""Named, lazy tensors: what a model file holds beside its architecture.

A `Tensor` knows its name, shape and type, and reads its numbers only when asked. Edits are functions that wait until
then. This room knows neither file formats nor Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, cast

from blake3 import blake3

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@frozen
class Tensor:
    """One variable of a layer.

    Args:
        name: within its layer: `kernel`, or `query/kernel` for a variable of an inner layer.
        slot: where the file keeps it, relative to its layer: `vars/0` and `query_dense/vars/0` in Keras 3 files, the
            recorded weight name in old HDF5 files. The live model is filled by it.
        shape: sizes; None for a new variable whose size only Keras can tell.
        dtype: as Keras names it (`float32`, `bfloat16`); None likewise.
        is_trainable: whether gradient descent may change it; False for moving statistics and random state.
        source: reads the stored numbers; None for a new variable, which Keras initialises.
        edits: functions that are applied to the numbers in order, each keeping shape and dtype.
    """

    name: str
    slot: str
    shape: tuple[int, ...] | None
    dtype: str | None
    is_trainable: bool = True
    source: Callable[[], NDArray[np.generic]] | None = field(default=None, compare=False, repr=False)
    edits: tuple[Callable[[NDArray[np.generic]], NDArray[np.generic]], ...] = field(default=(), repr=False)

    @property
    def size(self) -> int | None:
        """How many numbers it holds; None where the shape is not known yet."""
        return None if self.shape is None else math.prod(self.shape)

    @property
    def is_random_state(self) -> bool:
        """Whether it is the state of a random generator, which Keras counts as no parameter."""
        return "seed_generator" in self.slot or self.name.endswith("seed_generator_state")

    @property
    def is_edited(self) -> bool:
        """Whether the numbers will differ from the stored ones."""
        return bool(self.edits)

    @property
    def is_elementwise(self) -> bool:
        """Whether every edit looks at one number at a time, so that they can be applied piece by piece."""
        return all(isinstance(edit, Elementwise) for edit in self.edits)

    def map(self, function: Callable[[NDArray[np.generic]], NDArray[np.generic]]) -> Tensor:
        """The same variable with `function` applied to its numbers when they are read; see `Elementwise`."""
        return replace(self, edits=(*self.edits, function))

    def edited(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """`values` after all edits, in the type they came in."""
        import numpy as np  # verbs that read no numbers do without

        for edit in self.edits:
            values = np.asarray(edit(values)).astype(values.dtype, copy=False)
        return values

    def edit(self, values: NDArray[np.generic]) -> None:
        """Put all edits into `values` itself, each of which is `Elementwise`."""
        for edit in self.edits:
            new = cast("Elementwise", edit).function(values)
            if new is not values:
                values[...] = new

    def read(self) -> NDArray[np.generic]:
        """The numbers, edits included.

        Raises:
            ValueError: the variable is new, so only the live model holds its numbers.
        """
        if self.source is None:
            raise ValueError(f"'{self.name}' is new and has no stored numbers")
        return self.edited(self.source())

    def digest(self) -> str:
        """The digest of type, shape and numbers, edits included; see `hasher`."""
        return digest_array(self.read(), self.dtype)


@frozen(kw_only=False)
class Elementwise:
    """An edit that gives each number's new value from that number alone, whatever array it comes in.

    Args:
        function: gives the new values, in the same shape; it may put them into the array that it takes, and give that
            back, which spares memory.
    """

    function: Callable[[NDArray[np.generic]], NDArray[np.generic]]

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """The new values; the old ones stay."""
        return self.function(values.copy())


def hasher(dtype: str, shape: Sequence[int]) -> blake3:
    """A BLAKE3 hash that waits for the bytes of a tensor, little-endian in row-major order; type and shape are in it.

    BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs) gives 256 bits as SHA-256 does, at several times its speed.
    """
    return blake3(f"{dtype}{list(shape)}".encode())


def digest_array(values: NDArray[np.generic], dtype: str | None = None) -> str:
    """The digest of type, shape and numbers; see `hasher`."""
    import numpy as np

    state = hasher(dtype or str(values.dtype), values.shape)
    state.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return state.hexdigest()


@frozen(kw_only=False)
class Weights(Mapping[str, tuple[Tensor, ...]]):
    """The tensors of each layer, under the layer's key (`Layer.key`), in the order of the file."""

    tensors: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)

    def __getitem__(self, key: str) -> tuple[Tensor, ...]:
        return self.tensors[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    @property
    def are_stored(self) -> bool:
        """Whether all numbers are there, and none waits for Keras to initialise it."""
        return all(tensor.source is not None for tensors in self.tensors.values() for tensor in tensors)

    def of(self, key: str) -> tuple[Tensor, ...]:
        """The tensors of a layer; none where it has no variables."""
        return self.tensors.get(key, ())

    def having(self, key: str, tensors: Iterable[Tensor]) -> Weights:
        """The same weights with those of one layer replaced."""
        return self.having_all({key: tensors})

    def having_all(self, changed: Mapping[str, Iterable[Tensor]]) -> Weights:
        """The same weights with those of several layers replaced."""
        return Weights({**self.tensors, **{key: tuple(tensors) for key, tensors in changed.items()}})

    def without(self, keys: Iterable[str]) -> Weights:
        """The same weights without the named layers."""
        dropped = set(keys)
        return Weights({key: tensors for key, tensors in self.tensors.items() if key not in dropped})

    def total(self, keys: Iterable[str] | None = None) -> int | None:
        """How many numbers the layers hold together; None when a size is not known yet."""
        sizes = [
            tensor.size
            for key in (self if keys is None else keys)
            for tensor in self.of(key)
            if not tensor.is_random_state
        ]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def matches_weight(tensor: Tensor, pattern: str) -> bool:
    """Whether `pattern` names the variable: its name, its last component, or a glob over either.

    Example:
        `kernel` names `kernel` and `query/kernel`; `query/*` names `query/kernel` and `query/bias`.
    """
    return fnmatchcase(tensor.name, pattern) or fnmatchcase(tensor.name.rpartition("/")[2], pattern)
