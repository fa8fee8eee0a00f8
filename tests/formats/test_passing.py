from __future__ import annotations

import errno
import os
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from modelrecipe import new_file
from modelrecipe.errors import FileError
from modelrecipe.formats import passing, runs
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.tensors import ContiguousSource
from modelrecipe.formats.hdf5.tree import tree_of
from modelrecipe.formats.passing import Region, stream, verify
from modelrecipe.new_file import PAGE, NewFile
from modelrecipe.weights import Elementwise, Tensor, digest_array, hasher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIECE = 1 << 20
TYPES = ["float16", "bfloat16", "float8_e4m3fn", "float32", "float64", "int8", "uint16", "int64", "bool"]
SHAPES = [(), (1,), (7,), (3, 5, 11), (PIECE // 4 - 1,), (PIECE // 4,), (PIECE // 4 + 1,), (1031, 769)]


def turned(values: np.ndarray) -> np.ndarray:
    """An edit of one number at a time that every type can carry out."""
    return ~values if values.dtype.kind in "iub" else values * np.asarray(0.3, values.dtype)


def turned_in_place(values: np.ndarray) -> np.ndarray:
    values[...] = turned(values)
    return values


def numbers(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    kind = getattr(ml_dtypes, dtype, dtype)
    values = np.random.default_rng(len(shape)).integers(0, 100, shape)
    return np.asarray(values).astype(kind) if dtype == "bool" or "int" in dtype else np.asarray(values / 7).astype(kind)


def write(path: Path, datasets: dict[str, np.ndarray], **options: Any) -> Path:
    """An HDF5 file of these arrays, as Keras 3 stores them: types that HDF5 lacks as bytes with their name."""
    with h5py.File(path, "w") as handle:
        for name, values in datasets.items():
            if values.dtype.kind == "V" or values.dtype.name.startswith(("bfloat", "float8")):
                dataset = handle.create_dataset(name, data=values.view(f"V{values.dtype.itemsize}"), **options)
                dataset.attrs["dtype"] = values.dtype.name
            else:
                handle.create_dataset(name, data=values, **options)
    return path


def sources(extent: Extent) -> dict[str, ContiguousSource]:
    found = {item.path: item.source for item in tree_of(extent).below()}
    return {path: source for path, source in found.items() if isinstance(source, ContiguousSource)}


def tensor(source: ContiguousSource, *edits: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    return Tensor(name="w", slot="w", shape=source.shape, dtype=source.dtype, source=source, edits=edits)


def region(source: ContiguousSource, *edits: Callable[[np.ndarray], np.ndarray]) -> Region:
    return Region(offset=source.offset, source=source, tensor=tensor(source, *edits) if edits else None)


@pytest.fixture(autouse=True, params=["through the page cache", "past the page cache, in many runs"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "through the page cache":
        monkeypatch.setattr(new_file, "LARGE", 1)
        monkeypatch.setattr(new_file, "BLOCK", 4 * PAGE)
        monkeypatch.setattr(runs, "RUN", 3 * PAGE + 1)


def passed_through(
    base: Extent, regions: list[Region], original: Extent | None = None
) -> tuple[bytes, list[passing.Passed]]:
    """What is written, and what is told of it; the checksum is compared here."""
    target = base.file.with_name("written")
    with NewFile(target) as file:
        file.write(b"a header")
        streamed = stream(base, regions, file, original=original)
        file.write(b"and an end")
    written = target.read_bytes()
    content = written[8:-10]
    assert (written[:8], written[-10:]) == (b"a header", b"and an end")
    assert (streamed.size, streamed.crc) == (len(content), zlib.crc32(content))
    return content, streamed.passed


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", TYPES)
def test_an_edit_piece_by_piece_equals_that_of_the_whole(tmp_path: Path, dtype: str, shape: tuple[int, ...]):
    values = numbers(dtype, shape)
    extent = Extent.whole(write(tmp_path / "m.h5", {"a": values, "b": numbers("float32", (5,))}))
    source = sources(extent)["a"]
    by_piece, (one,) = passed_through(extent, [region(source, Elementwise(turned))])
    in_place = passed_through(extent, [region(source, Elementwise(turned_in_place))])
    whole, (other,) = passed_through(extent, [region(source, turned)])
    assert by_piece == whole == in_place[0]
    assert in_place[1] == [replace(one, region=in_place[1][0].region)]
    assert by_piece[source.offset : source.offset + source.size] == turned(values).tobytes()
    assert (one.before, one.after) == (other.before, other.after)
    assert one.before == digest_array(values, dtype)
    assert one.after == digest_array(turned(values), dtype)


@pytest.mark.parametrize(
    "edit",
    [Elementwise(turned), Elementwise(turned_in_place), turned],
    ids=["piece by piece", "in place", "whole"],
)
@pytest.mark.parametrize("stored", [">f4", ">f8", ">i2"])
def test_the_byte_order_of_the_file_is_kept_and_not_hashed(tmp_path: Path, stored: str, edit: Any):
    values = np.arange(PIECE // 4 + 3).astype(stored)
    extent = Extent.whole(write(tmp_path / "m.h5", {"a": values}))
    source = sources(extent)["a"]
    content, (told,) = passed_through(extent, [region(source, edit)])
    native = values.astype(values.dtype.newbyteorder("="))
    assert content[source.offset : source.offset + source.size] == turned(native).astype(stored).tobytes()
    assert (told.before, told.after) == (None, None)


def test_several_edits_are_applied_in_order(tmp_path: Path):
    values = np.arange(PIECE // 4 + 9, dtype="float32")
    extent = Extent.whole(write(tmp_path / "m.h5", {"a": values}))
    source = sources(extent)["a"]
    edits = (Elementwise(lambda x: x + 1), Elementwise(lambda x: x * 3), Elementwise(lambda x: x.astype("float64")))
    content, _ = passed_through(extent, [region(source, *edits)])
    assert content[source.offset : source.offset + source.size] == ((values + 1) * 3).tobytes()


def test_what_no_region_names_stays_byte_for_byte(tmp_path: Path):
    datasets = {f"g{n}/w": numbers("float32", (n * 1000 + 1,)) for n in range(9)}
    path = write(tmp_path / "m.h5", datasets)
    extent = Extent.whole(path)
    found = sources(extent)
    content, told = passed_through(extent, [region(source) for source in found.values()])
    assert content == path.read_bytes()
    assert {item.after for item in told} == {digest_array(values) for values in datasets.values()}
    assert all(item.before == item.after for item in told)
    assert passed_through(extent, [])[0] == path.read_bytes()
    chosen = found["g3/w"]
    content, _ = passed_through(extent, [region(chosen, Elementwise(turned))])
    assert content[: chosen.offset] == path.read_bytes()[: chosen.offset]
    assert content[chosen.offset + chosen.size :] == path.read_bytes()[chosen.offset + chosen.size :]


def test_a_tensor_may_come_from_another_file(tmp_path: Path):
    extent = Extent.whole(write(tmp_path / "m.h5", {"a": np.zeros(10, "float32")}))
    other = sources(Extent.whole(write(tmp_path / "o.h5", {"x": np.zeros(3), "a": np.arange(10, dtype=">f4")})))["a"]
    source = sources(extent)["a"]
    foreign = Region(offset=source.offset, source=source, tensor=tensor(other))
    content, (told,) = passed_through(extent, [foreign])
    assert content[source.offset : source.offset + source.size] == np.arange(10, dtype="float32").tobytes()
    assert told.after == digest_array(np.arange(10, dtype="float32"))


def test_numbers_around_the_tensors_may_come_from_a_copy(tmp_path: Path):
    values = np.arange(PIECE, dtype="float32")
    path = write(tmp_path / "m.h5", {"a": values})
    extent = replace(Extent.whole(path), crc=zlib.crc32(path.read_bytes()))
    source = sources(extent)["a"]
    copy = tmp_path / "copy.h5"
    head, tail = path.read_bytes()[: source.offset], path.read_bytes()[source.offset + source.size :]
    copy.write_bytes(head + bytes(source.size) + tail + b"and more")
    content, _ = passed_through(Extent.whole(copy), [region(source)], extent)
    assert content == path.read_bytes() + b"and more"


@pytest.mark.parametrize("place", ["head", "tensor", "end"])
def test_a_wrong_checksum_is_refused(tmp_path: Path, place: str):
    path = write(tmp_path / "m.h5", {"a": np.arange(PIECE, dtype="float32")})
    content = bytearray(path.read_bytes())
    crc = zlib.crc32(content)
    source = sources(Extent.whole(path))["a"]
    spot = {"head": source.offset - 1, "tensor": source.offset + PIECE, "end": len(content) - 1}[place]
    content[spot] ^= 1
    path.write_bytes(content)
    extent = replace(Extent.whole(path), crc=crc)
    for act in (lambda: passed_through(extent, [region(source)]), lambda: verify(extent)):
        with pytest.raises(FileError) as refused:
            act()
        assert str(refused.value) == f"'{path}' is damaged: the checksum of its weights does not match"


def test_a_right_checksum_is_verified(tmp_path: Path):
    path = write(tmp_path / "m.h5", {"a": np.arange(PIECE, dtype="float32")})
    verify(replace(Extent.whole(path), crc=zlib.crc32(path.read_bytes())))
    verify(Extent.whole(path))


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets something be done when the first piece is written."""

    def arrange(act: Callable[[], object]) -> None:
        left, took = [act], new_file.Part.took

        def writing(part: new_file.Part, count: int) -> None:
            if left:
                left.pop()()
            took(part, count)

        monkeypatch.setattr(new_file.Part, "took", writing)

    return arrange


@pytest.mark.parametrize("edits", [(), (Elementwise(turned),)], ids=["copied", "edited"])
@pytest.mark.parametrize("left", [0, 4096, 4 * PIECE + 4097])
def test_a_source_that_is_cut_meanwhile_is_refused(tmp_path: Path, left: int, edits: Any, meanwhile: Any):
    path = write(tmp_path / "m.h5", {"a": np.arange(4 * PIECE, dtype="float32")})
    extent = Extent.whole(path)
    regions = [region(sources(extent)["a"], *edits)]
    meanwhile(lambda: os.truncate(path, left))
    with pytest.raises(FileError) as refused:
        passed_through(extent, regions)
    assert str(refused.value) == f"'{path}' changed while it was read; run again"


def test_a_source_that_is_written_meanwhile_is_refused(tmp_path: Path, meanwhile: Any):
    path = write(tmp_path / "m.h5", {"a": np.arange(PIECE, dtype="float32")})
    extent = Extent.whole(path)
    regions = [region(sources(extent)["a"])]
    meanwhile(lambda: os.utime(path, ns=(1, 1)))
    with pytest.raises(FileError) as refused:
        passed_through(extent, regions)
    assert str(refused.value) == f"'{path}' changed while it was read; run again"


def test_a_copy_that_is_cut_meanwhile_is_refused(tmp_path: Path):
    path = write(tmp_path / "m.h5", {"a": np.arange(10, dtype="float32")})
    extent = Extent.whole(path)
    (tmp_path / "copy.h5").write_bytes(path.read_bytes())
    base = replace(Extent.whole(tmp_path / "copy.h5"), size=extent.size + 1)
    with pytest.raises(FileError) as refused:
        passed_through(base, [region(sources(extent)["a"])], extent)
    assert str(refused.value) == f"'{tmp_path / 'copy.h5'}' changed while it was read; run again"


def test_tensors_that_share_bytes_are_refused(tmp_path: Path):
    path = write(tmp_path / "m.h5", {"a": np.arange(100, dtype="float32")})
    extent = Extent.whole(path)
    one = sources(extent)["a"]
    other = replace(one, offset=one.offset + 4, shape=(2,))
    with pytest.raises(FileError) as refused:
        passed_through(extent, [region(one), region(other)])
    assert str(refused.value) == f"'{path}' is damaged: two of its tensors share bytes"


def test_what_refuses_to_be_written_ends_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    extent = Extent.whole(write(tmp_path / "m.h5", {f"w{n}": np.arange(PIECE, dtype="int8") for n in range(20)}))
    write_at = NewFile._write_at

    def full(file: NewFile, place: int, content: memoryview) -> int:
        if place > 3 * PIECE:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_at(file, place, content)

    monkeypatch.setattr(NewFile, "_write_at", full)
    before = threads()
    with pytest.raises(OSError, match="No space"):
        passed_through(extent, [region(source) for source in sources(extent).values()])
    assert threads() == before


def threads() -> int:
    import threading

    return threading.active_count()


def test_pieces_that_wait_to_be_hashed_are_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Many small tensors with bytes between them, and a hash that is slower than the disk."""

    class Slow:
        def __init__(self, dtype: str, shape: Any) -> None:
            self.state = hasher(dtype, shape)
            self.hexdigest = self.state.hexdigest

        def update(self, piece: Any) -> None:
            time.sleep(0.002)
            self.state.update(piece)

    monkeypatch.setattr(passing, "hasher", Slow)
    path = tmp_path / "m.bin"
    path.write_bytes(os.urandom(100 * 300))
    extent = Extent.whole(path)
    regions = [
        region(ContiguousSource(extent=extent, offset=100 * n, shape=(60,), stored="|u1", dtype="uint8"))
        for n in range(300)
    ]
    content, told = passed_through(extent, regions)
    assert content == path.read_bytes()
    assert [item.after for item in told] == [digest_array(item.region.source()) for item in told]


def test_memory_stays_small_however_large_the_tensor(tmp_path: Path):
    import tracemalloc

    extent = Extent.whole(write(tmp_path / "m.h5", {"a": np.ones(16 * PIECE, "float32")}))
    chosen = region(sources(extent)["a"], Elementwise(turned))
    passed_through(extent, [])  # what is done once
    with NewFile(tmp_path / "out") as file:
        tracemalloc.start()
        try:
            stream(extent, [chosen], file)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 20 * PIECE


def test_bytes_between_tensors_do_not_reach_those_that_wait_to_be_hashed(tmp_path: Path, monkeypatch: Any):
    content = np.random.default_rng(0).integers(0, 255, 4000, np.uint8).tobytes()
    for name in ("old.bin", "other.bin"):
        (tmp_path / name).write_bytes(content)
    old, other = (Extent.whole(tmp_path / name) for name in ("old.bin", "other.bin"))
    offsets = range(10, 3000, 60)
    regions = [
        Region(
            offset=offset, source=ContiguousSource(extent=old, offset=offset, shape=(20,), stored="|u1", dtype="uint8")
        )
        for offset in offsets
    ]

    class Late:
        def __init__(self, dtype: str, shape: Any) -> None:
            self.state = hasher(dtype, shape)
            self.hexdigest = self.state.hexdigest

        def update(self, piece: Any) -> None:
            time.sleep(0.01)
            self.state.update(piece)

    monkeypatch.setattr(passing, "hasher", Late)
    for base, original in ((old, None), (other, old)):
        _, passed = passed_through(base, regions, original)
        wanted = [digest_array(np.frombuffer(content[offset : offset + 20], np.uint8), "uint8") for offset in offsets]
        assert [item.after for item in passed] == wanted
