"""TensorFlow checkpoints: an `.index` file of names and headers, and the numbers in `.data-00000-of-00001` beside it.

Headers are read now, numbers when they are asked for, each with its checksum. Without TensorFlow; source:
`tensorflow/core/util/tensor_bundle` and `tensor_bundle.proto`. Knows neither Keras nor object graphs.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import TYPE_CHECKING, Literal

import ml_dtypes
import numpy as np

from modelrecipe.errors import FileError
from modelrecipe.files import read_bytes
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.tensors import StoredTensor
from modelrecipe.formats.tensorflow.crc32c import crc32c, masked
from modelrecipe.formats.tensorflow.prefix import INDEX, find_prefix
from modelrecipe.formats.tensorflow.protobuf_wire import Message, WireError, as_text, read_varint
from modelrecipe.formats.tensorflow.sstable import read_table
from modelrecipe.formats.tensorflow.tensor_slices import Piece, SlicedSource, slice_key
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_LARGEST_INDEX = 1 << 28
_LARGEST_TEXT = 1 << 28
_MOST_SHARDS = 10_000
_MOST_DIMENSIONS = 32
_MOST_NUMBERS = 1 << 56
_MOST_PIECES = 4096
_STRING = 7
_HEADER = b""
DTYPES: Mapping[int, str] = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
}
"""Numbers of `types.proto` that mean plain numbers of a whole count of bytes."""


@frozen
class BundleSource:
    """Reads one tensor from a shard, and compares its checksum.

    Args:
        extent: the shard.
        offset: the first byte.
        size: how many.
        shape: sizes.
        stored: numpy's code of the stored type, byte order included.
        dtype: as Keras names it.
        crc: the masked checksum that the index records.
    """

    extent: Extent
    offset: int
    size: int
    shape: tuple[int, ...]
    stored: str
    dtype: str
    crc: int

    def __call__(self) -> NDArray[np.generic]:
        """The numbers, in the machine's byte order.

        Raises:
            FileError: the file changed, or its bytes are not those that were written.
        """
        raw = read_checked(self.extent, self.offset, self.size, self.crc)
        if np.dtype(self.stored).kind == "V":
            return raw.view(getattr(ml_dtypes, self.dtype)).reshape(self.shape)
        values = raw.view(self.stored)
        return values.astype(values.dtype.newbyteorder("="), copy=False).reshape(self.shape)


def read_checked(extent: Extent, offset: int, size: int, crc: int) -> NDArray[np.uint8]:
    """Bytes of a shard whose checksum is right.

    Raises:
        FileError: it is not, or the file changed.
    """
    with extent.open() as file:
        file.seek(extent.start + offset)
        raw = np.fromfile(file, np.uint8, size)
    if raw.size != size:
        raise FileError(f"'{extent.file}' changed while it was read", hint="run again")
    if masked(crc32c(raw)) != crc:
        raise FileError(f"'{extent.file}' is damaged: bytes {offset} to {offset + size} have another checksum")
    return raw


@frozen
class Bundle:
    """The headers of a checkpoint.

    Args:
        prefix: the path without `.index`.
        tensors: everything that is numbers, under its name.
        texts: how to read those scalars that are bytes, under their names: shard, offset, size.
    """

    prefix: Path
    tensors: Mapping[str, StoredTensor] = field(default_factory=dict)
    texts: Mapping[str, tuple[Extent, int, int]] = field(default_factory=dict)

    def text(self, name: str) -> memoryview | None:
        """A stored scalar of bytes; None where there is none of that name.

        Raises:
            FileError: it is damaged.
        """
        if name not in self.texts:
            return None
        extent, offset, size = self.texts[name]
        with extent.open() as file:
            file.seek(extent.start + offset)
            raw = memoryview(file.read(size))
        try:
            # A length, its masked checksum, and the bytes (`WriteStringTensor` of tensor_bundle.cc).
            length, position = read_varint(raw, 0)
        except WireError as error:
            raise FileError(f"'{extent.file}' is damaged: {error.message}") from error
        if length != len(raw) - position - 4:
            raise FileError(f"'{extent.file}' is damaged: '{name}' is not as long as it says")
        return raw[position + 4 :]


def read_bundle(path: Path) -> Bundle:
    """The headers of a checkpoint; see `tf_prefix` for what `path` may be.

    Raises:
        FileError: it is missing, damaged, or lacks a data file.
    """
    prefix = find_prefix(path)
    index = prefix.parent / f"{prefix.name}{INDEX}"
    try:
        return _Reader(prefix).read(memoryview(read_bytes(index, _LARGEST_INDEX)))
    except WireError as error:
        raise FileError(f"'{index}' is damaged: {error.message}") from error


class _Reader:
    """Goes through the index once, with the shards at hand."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.shards: dict[int, Extent] = {}
        self.count = 0
        self.order: Literal["<", ">"] = "<"
        self.entries: dict[bytes, Message] = {}

    def read(self, index: memoryview) -> Bundle:
        self.entries = {key: Message(value) for key, value in read_table(index)}
        if _HEADER not in self.entries:
            raise WireError("it has no header")
        header = self.entries[_HEADER]
        self.count = header.integer(1)
        self.order = ">" if header.integer(2) == 1 else "<"
        if not 0 < self.count <= _MOST_SHARDS:
            raise WireError(f"it speaks of {self.count} data files")
        tensors: dict[str, StoredTensor] = {}
        texts: dict[str, tuple[Extent, int, int]] = {}
        for key, entry in self.entries.items():
            if key.startswith(b"\0") or key == _HEADER:
                continue  # a part of another tensor
            name = as_text(memoryview(key))
            kind, shape = entry.integer(1), shape_of(entry.message(2))
            if kind in DTYPES:
                tensors[name] = self.tensor(name, entry, DTYPES[kind], shape)
            elif kind == _STRING and not shape:
                texts[name] = self.text(name, entry)
        return Bundle(prefix=self.prefix, tensors=tensors, texts=texts)

    def text(self, name: str, entry: Message) -> tuple[Extent, int, int]:
        if entry.integer(5) > _LARGEST_TEXT:
            raise WireError(f"'{name}' in it is larger than {_LARGEST_TEXT} bytes")
        return self.place(name, entry)

    def tensor(self, name: str, entry: Message, dtype: str, shape: tuple[int, ...]) -> StoredTensor:
        pieces = entry.messages(7)
        source = self.joined(name, pieces, dtype, shape) if pieces else self.source(name, entry, dtype, shape)
        return StoredTensor(path=name, shape=shape, dtype=dtype, source=source)

    def source(self, name: str, entry: Message, dtype: str, shape: tuple[int, ...]) -> BundleSource:
        is_odd = hasattr(ml_dtypes, dtype)
        plain = np.dtype(getattr(ml_dtypes, dtype) if is_odd else dtype)
        if is_odd and plain.itemsize > 1 and self.order == ">":
            raise WireError(f"'{name}' in it is {dtype} of a machine with another byte order")
        extent, offset, size = self.place(name, entry)
        if size != math.prod(shape) * plain.itemsize:
            raise WireError(f"'{name}' in it has {size} bytes, which is not what {shape} of {dtype} takes")
        stored = f"V{plain.itemsize}" if is_odd else plain.newbyteorder(self.order).str
        return BundleSource(
            extent=extent, offset=offset, size=size, shape=shape, stored=stored, dtype=dtype, crc=entry.integer(6)
        )

    def joined(self, name: str, slices: list[Message], dtype: str, shape: tuple[int, ...]) -> SlicedSource:
        """A variable that was written in parts, as partitioned variables of TensorFlow 1 are."""
        pieces: list[Piece] = []
        if len(slices) > _MOST_PIECES:
            raise WireError(f"'{name}' in it has more than {_MOST_PIECES} parts")
        for item in slices:
            piece = Piece.of(item, shape)
            entry = self.entries.get(slice_key(name, item))
            if entry is None or DTYPES.get(entry.integer(1)) != dtype or shape_of(entry.message(2)) != piece.shape:
                raise WireError(f"a part of '{name}' is missing in it")
            pieces.append(piece.with_source(self.source(name, entry, dtype, piece.shape)))
        return SlicedSource(name=name, shape=shape, dtype=dtype, pieces=tuple(pieces))

    def place(self, name: str, entry: Message) -> tuple[Extent, int, int]:
        shard, offset, size = entry.integer(3), entry.integer(4), entry.integer(5)
        if shard >= self.count:
            raise WireError(f"'{name}' in it lies in data file {shard} of {self.count}")
        extent = self.shards[shard] = self.shards.get(shard) or self.shard(shard)
        if offset + size > extent.size:
            raise FileError(f"'{extent.file}' is truncated: '{name}' reaches past its end")
        return extent, offset, size

    def shard(self, number: int) -> Extent:
        file = self.prefix.parent / f"{self.prefix.name}.data-{number:05}-of-{self.count:05}"
        try:
            return Extent.whole(file)
        except FileError as error:
            raise FileError(
                f"'{self.prefix.name}{INDEX}' tells of '{file.name}', which is not there",
                hint="a checkpoint is all its files: put that one beside it",
            ) from error


def shape_of(message: Message) -> tuple[int, ...]:
    """A `TensorShapeProto` whose sizes are all known.

    Raises:
        WireError: they are not.
    """
    sizes = tuple(item.signed(1) for item in message.messages(2))
    is_absurd = len(sizes) > _MOST_DIMENSIONS or math.prod(size for size in sizes if size) > _MOST_NUMBERS
    if message.integer(3) or any(size < 0 for size in sizes) or is_absurd:
        raise WireError("a tensor in it has no definite shape")
    return sizes
