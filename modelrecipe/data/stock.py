"""What a source of examples has, as far as it can be told without TensorFlow: keys, lengths, shapes, types, files."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import DataError, did_you_mean
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_NUMBERS = "biuf"
_TEXTS = "SU"


@frozen
class Header:
    """One tensor of a source.

    Args:
        length: number of examples; None where only reading them all would tell.
        shape: sizes of one example; None for a size that varies.
        dtype: type of the numbers, `string` for texts.
    """

    length: int | None
    shape: tuple[int | None, ...]
    dtype: str


@frozen
class Stock:
    """A source of examples.

    Args:
        noun: what its keys are called in messages: `key`, `column`, `feature`.
        headers: its tensors; None where only TensorFlow can tell.
        refused: what is wrong with tensors that nobody can train on, should one be named.
        read: gives all numbers of a tensor; None where only TensorFlow can.
        is_cheap: whether reading targets and weights just to look at them is worth it.
        roots: files and folders that hold it, with the files that are read.
        bounds: lowest and highest value of tensors that are known without being read.
        class_names: what the numbers of the labels stand for, where the source says.
        notes: what a reader of a plan should know.
    """

    noun: str = "key"
    headers: Mapping[str, Header] | None = None
    refused: Mapping[str, DataError] = field(default_factory=dict)
    read: Callable[[str], NDArray[Any]] | None = None
    is_cheap: bool = True
    roots: tuple[tuple[Path, tuple[Path, ...]], ...] = ()
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def header(self, key: str) -> Header:
        """The tensor of a key, where the headers are known.

        Raises:
            DataError: there is none, or nobody can train on it.
        """
        headers = self.headers or {}
        if key in self.refused:
            raise DataError(self.refused[key].message, hint=self.refused[key].hint)
        if key not in headers:
            hint = did_you_mean(key, headers) or f"it has: {', '.join(list(headers)[:12])}"
            raise DataError(f"there is no {self.noun} '{key}'", hint=hint)
        return headers[key]


def header_of(name: str, shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> Header:
    """The header of an array whose first axis counts the examples.

    Raises:
        DataError: it is a single value, or holds something else than numbers and texts.
    """
    if dtype.kind == "O" or dtype.hasobject:
        hint = "save it as an array of numbers or texts"
        raise DataError(f"'{name}' holds Python objects, which are never unpickled", hint=hint)
    is_wide = dtype.kind in _NUMBERS and dtype.itemsize > 8
    if dtype.kind not in _NUMBERS + _TEXTS or dtype.names is not None or is_wide:
        raise DataError(f"'{name}' holds {dtype}, which TensorFlow cannot train on", hint="save it as plain numbers")
    if not shape:
        raise DataError(f"'{name}' is a single value, not one for each example", hint="name another key")
    return Header(
        length=shape[0],
        shape=tuple(shape[1:]),
        dtype="string" if dtype.kind in _TEXTS else dtype.newbyteorder("=").name,
    )


def stock_of_arrays(arrays: Mapping[str, NDArray[Any]]) -> Stock:
    """Arrays in memory as a source."""
    headers: dict[str, Header] = {}
    refused: dict[str, DataError] = {}
    for name, array in arrays.items():
        try:
            headers[name] = header_of(name, array.shape, array.dtype)
        except DataError as error:
            refused[name] = error
    return Stock(headers=headers, refused=refused, read=arrays.__getitem__)
