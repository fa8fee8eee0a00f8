"""TFRecord files: where each record lies, told by their headers, so that any can be read without those before it.

Compressed ones are unpacked into temporary files for that.

A record is its length in 8 bytes, a checksum of these, the data, and a checksum of the data
(https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
"""

from __future__ import annotations

import glob
import mmap
import struct
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from modelrecipe.data.inflating import Inflated
from modelrecipe.data.stock import Header, Stock
from modelrecipe.errors import DataError, FileError, did_you_mean
from modelrecipe.files import beginning, cannot_read, check_regular
from modelrecipe.formats.tensorflow.crc32c import crc32c, masked
from modelrecipe.formats.tensorflow.protobuf_wire import Message, WireError
from modelrecipe.frozen import frozen
from modelrecipe.measures import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from modelrecipe.data.kinds import Records

_HEAD, _FOOT = 12, 4
_COMPRESSED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""How GZIP and ZLIB begin."""
_FEATURES, _FEATURE = 1, 1
"""Field numbers: `Example.features`, and of these the map `Features.feature`."""


@frozen(kw_only=False)
class RecordIndex:
    """Every record of some files.

    Args:
        files: the files, in the order of their records.
    """

    files: tuple[Path, ...]

    @cached_property
    def unpacked(self) -> Mapping[int, Inflated]:
        """The content of those files that are compressed, by number."""
        return {number: Inflated(path) for number, path in enumerate(self.files) if _is_compressed(path)}

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        parts = [_spans(number, path, self.unpacked.get(number)) for number, path in enumerate(self.files)]
        return np.concatenate(parts) if parts else np.zeros((0, 3), np.int64)

    def __len__(self) -> int:
        return len(self._table)

    def read(self, numbers: NDArray[np.int64]) -> list[bytes]:
        """The records with these numbers, in this order; each file is opened once."""
        found: list[bytes] = [b""] * len(numbers)
        wanted = self._table[numbers]
        for file in np.unique(wanted[:, 0]):
            with self._reading(int(file)) as read:
                for place in np.flatnonzero(wanted[:, 0] == file):
                    _, offset, size = wanted[place].tolist()
                    found[place] = read(offset, size)
        return found

    @contextmanager
    def _reading(self, number: int) -> Iterator[Callable[[int, int], bytes]]:
        """What reads a file from an offset on."""
        if number in self.unpacked:
            yield self.unpacked[number].read
            return
        with self.files[number].open("rb") as stream:

            def read(offset: int, size: int) -> bytes:
                stream.seek(offset)
                return stream.read(size)

            yield read


def record_files(source: Records, folder: Path) -> tuple[Path, ...]:
    """The files that a source names, each pattern's matches sorted.

    Raises:
        FileError: a file is missing, or a pattern matches none.
    """
    patterns = (source.files,) if isinstance(source.files, str) else source.files
    found: list[Path] = []
    for pattern in patterns:
        if not glob.has_magic(pattern):
            check_regular(folder / pattern)
            found.append(folder / pattern)
            continue
        matches = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207 - it may be absolute
        if not matches:
            raise FileError(f"no file matches '{folder / pattern}'", hint="mend the pattern", at=("files",))
        found += [folder / name for name in matches]
    return tuple(dict.fromkeys(found))


def record_stock(source: Records, folder: Path) -> Stock:
    """The features of TFRecord files, of which only lengths and the first record are read.

    Raises:
        FileError: a file is missing, damaged or no TFRecord file.
        DataError: a feature is not in the first record.
    """
    files = record_files(source, folder)
    index = RecordIndex(files)
    count = len(index)
    if count:
        names = _feature_names(index.read(np.zeros(1, np.int64))[0], files[0])
        for name in source.features:
            if name not in names:
                hint = did_you_mean(name, names) or "it has: " + ", ".join(sorted(names)[:12])
                raise DataError(f"there is no feature '{name}' in '{files[0]}'", hint=hint, at=("features", name))
    headers = {
        name: Header(length=count, shape=feature.shape, dtype="uint8" if feature.encoding == "image" else feature.dtype)
        for name, feature in source.features.items()
    }
    packed = [path.name for number, path in enumerate(files) if number in index.unpacked]
    notes = (f"unpacked into temporary files: {quoted(packed)}",) if packed else ()
    roots = tuple((path, (path,)) for path in files)
    return Stock(noun="feature", headers=headers, is_cheap=False, roots=roots, notes=notes)


def _feature_names(record: bytes, path: Path) -> Collection[str]:
    try:
        return Message(memoryview(record)).message(_FEATURES).mapping(_FEATURE)
    except WireError as error:
        raise FileError(f"'{path}' holds no tf.train.Example: {error.message}") from error


def _spans(number: int, path: Path, unpacked: Inflated | None) -> NDArray[np.int64]:
    """File, offset and size of every record in one file."""
    try:
        check_regular(path)
        size = path.stat().st_size if unpacked is None else unpacked.size
        if not size:
            return np.zeros((0, 3), np.int64)
        with path.open("rb") as stream:
            descriptor = stream.fileno() if unpacked is None else unpacked.fileno()
            with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
                if not _is_head(data[:_HEAD]):
                    raise FileError(f"'{path}' is no TFRecord file", hint="write one with tf.io.TFRecordWriter")
                return np.asarray(_walk(number, path, data, size), np.int64).reshape(-1, 3)
    except OSError as error:
        raise cannot_read(path, error) from error


def _is_compressed(path: Path) -> bool:
    head = beginning(path, _HEAD)
    return head[:2] in _COMPRESSED and not _is_head(head)


def _is_head(head: bytes) -> bool:
    """Whether a length is followed by its checksum."""
    is_whole = len(head) == _HEAD
    return is_whole and masked(crc32c(np.frombuffer(head[:8], np.uint8))) == int.from_bytes(head[8:], "little")


def _walk(number: int, path: Path, data: mmap.mmap, size: int) -> list[tuple[int, int, int]]:
    spans: list[tuple[int, int, int]] = []
    position = 0
    while position < size:
        length = struct.unpack_from("<Q", data, position)[0] if size - position >= _HEAD else size
        end = position + _HEAD + length + _FOOT
        if end > size:
            raise FileError(f"'{path}' is cut off in record {len(spans)}", hint="write it anew")
        spans.append((number, position + _HEAD, length))
        position = end
    return spans
