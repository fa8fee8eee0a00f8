"""What is read without libhdf5 is what h5py reads, or it is left to h5py."""

from __future__ import annotations

import random
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from modelrecipe.errors import FileError
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.plain_form import NotPlainError
from modelrecipe.formats.hdf5.plain_tree import names_of_plain, tree_of_plain
from modelrecipe.formats.hdf5.tensors import ContiguousSource
from modelrecipe.formats.hdf5.tree import names_of, tree_of
from modelrecipe.formats.hdf5.walk import tree_of_any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelrecipe.formats.hdf5.tensors import Group

TYPES = [f"{order}{kind}" for order in "<>" for kind in ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")]
OTHERS: dict[str, Callable[[h5py.File], Any]] = {
    "chunked": lambda file: file.create_dataset("x", data=np.ones(9), chunks=(3,)),
    "deflated": lambda file: file.create_dataset("x", data=np.ones(9), compression="gzip"),
    "resizable": lambda file: file.create_dataset("x", data=np.ones(9), maxshape=(None,)),
    "never written": lambda file: file.create_dataset("x", shape=(9,)),
    "with a value for holes": lambda file: file.create_dataset("x", data=np.ones(9), fillvalue=3.0),
    "bools": lambda file: file.create_dataset("x", data=np.array([True, False])),
    "complex": lambda file: file.create_dataset("x", data=np.ones(3, complex)),
    "text": lambda file: file.create_dataset("x", data="text"),
    "nothing": lambda file: file.create_dataset("x", dtype="f4"),
    "compound": lambda file: file.create_dataset("x", data=np.zeros(2, [("a", "f4"), ("b", "i2")])),
    "a type": lambda file: file.__setitem__("x", np.dtype("f8")),
    "in order of making": lambda file: file.create_group("g", track_order=True).__setitem__("x", np.ones(3)),
    "a soft link": lambda file: file.__setitem__("x", h5py.SoftLink("/y")),
    "an external link": lambda file: file.__setitem__("x", h5py.ExternalLink("other.h5", "/y")),
    "linked twice": lambda file: file.__setitem__("x", file.create_dataset("y", data=np.ones(3))),
    "a loop": lambda file: file.create_group("g").__setitem__("x", file),
    "a name that cannot be shown": lambda file: file.__setitem__("a\x07b", np.ones(3)),
    "a label of fixed size": lambda file: file.create_group("vars").attrs.__setitem__("name", np.bytes_("dense")),
    "a label that is a number": lambda file: file.create_group("vars").attrs.__setitem__("name", 3),
    "another attribute beside the label": lambda file: file.create_group("vars").attrs.update(name="a", note="b"),
}


def write(path: Path, content: Callable[[h5py.File], Any], **options: Any) -> Extent:
    with h5py.File(path, "w", **options) as file:
        content(file)
    return Extent.whole(path)


def layers(file: h5py.File, count: int = 40) -> None:
    """Groups as Keras makes them, with every type of numbers; of many layers, more than one node of a tree holds."""
    for number in range(count):
        own = file.create_group(f"layers/dense_{number}/vars")
        own.attrs["name"] = f"dense {'é' * number}"
        for slot, kind in enumerate(("f4", "i1", "u1", *TYPES)):
            own[str(slot)] = np.arange(3 * number, dtype=kind).reshape(3, number)
    file["optimizer/vars/0"] = np.float32(3)
    file["alone"] = np.ones((2, 1, 3), ">f8")
    for number in range(25 * count):
        file[f"many/{number}"] = np.float16(number)
    file.create_group("empty/vars")


def order_of(group: Group) -> tuple[Any, ...]:
    return tuple(group.tensors), tuple((name, order_of(inner)) for name, inner in group.groups.items())


def assert_same(extent: Extent, skip: tuple[str, ...] = ()) -> None:
    plain, any_form = tree_of_plain(extent, skip), tree_of_any(extent, skip)
    assert plain == any_form
    assert order_of(plain) == order_of(any_form)


@pytest.fixture
def plain(tmp_path: Path) -> Extent:
    return write(tmp_path / "m.h5", layers)


def test_groups_of_keras_are_plain(plain: Extent):
    assert_same(plain)


def test_what_is_skipped_is_not_looked_at(plain: Extent):
    assert_same(plain, ("optimizer", "many"))
    assert "many" not in tree_of(plain, ("many",)).groups


def test_names_at_the_root(plain: Extent):
    assert names_of_plain(plain) == {"layers", "optimizer", "alone", "many", "empty"}


def test_groups_that_shrank_are_plain(tmp_path: Path):
    def content(file: h5py.File) -> None:
        layers(file)
        for number in range(0, 900, 2):
            del file[f"many/{number}"]

    assert_same(write(tmp_path / "m.h5", content))


def test_an_empty_file(tmp_path: Path):
    assert_same(write(tmp_path / "m.h5", lambda file: None))


def test_a_member_of_a_zip(plain: Extent, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("before", b"12345")
        archive.write(plain.file, "m.h5")
        start = archive.getinfo("m.h5").header_offset + 30 + len("m.h5")
    whole = Extent.whole(tmp_path / "m.zip")
    assert_same(Extent(file=whole.file, stamp=whole.stamp, offset=start, size=plain.size))


@pytest.mark.parametrize("name", OTHERS)
def test_other_forms_are_left_to_the_library(name: str, tmp_path: Path):
    extent = write(tmp_path / "m.h5", OTHERS[name])
    with pytest.raises(NotPlainError):
        tree_of_plain(extent, ())
    assert told(tree_of, extent) == told(tree_of_any, extent)


def test_bare_bytes_are_left_to_the_library(tmp_path: Path):
    def content(file: h5py.File) -> None:
        file["x"] = np.arange(3).astype(ml_dtypes.bfloat16).view("V2")
        file["x"].attrs["dtype"] = "bfloat16"

    extent = write(tmp_path / "m.h5", content)
    with pytest.raises(NotPlainError):
        tree_of_plain(extent, ())
    assert tree_of(extent).tensors["x"].dtype == "bfloat16"


@pytest.mark.parametrize("options", [{"libver": "latest"}, {"userblock_size": 512}, {"track_order": True}])
def test_files_of_other_forms_are_left_to_the_library(options: dict[str, Any], tmp_path: Path):
    extent = write(tmp_path / "m.h5", lambda file: file.__setitem__("x", np.ones(3)), **options)
    with pytest.raises(NotPlainError):
        names_of_plain(extent)
    assert names_of(extent) == {"x"}


def test_damage_is_told_by_the_library(plain: Extent):
    whole = plain.file.read_bytes()
    plain.file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="is truncated"):
        tree_of(Extent.whole(plain.file))


def test_branches_without_leaves_end(plain: Extent):
    """A tree whose every branch leads to the same next one would have more ways than there is time."""
    whole = bytearray(plain.file.read_bytes())
    node = whole.index(b"TREE")
    whole += bytes(-len(whole) % 8)
    first = len(whole)
    for level in range(15, -1, -1):
        child = first + (16 - level) * (24 + 65 * 8)
        body = b"".join(int(number % 2 and child).to_bytes(8, "little") for number in range(65))
        whole += b"TREE" + bytes((0, level)) + (32 if level else 0).to_bytes(2, "little") + b"\xff" * 16 + body
    whole[node : node + 24 + 65 * 8] = whole[first : first + 24 + 65 * 8]
    whole[node + 5] = 15
    whole[40:48] = len(whole).to_bytes(8, "little")
    plain.file.write_bytes(whole)
    with pytest.raises(NotPlainError):
        tree_of_plain(Extent.whole(plain.file), ())


def test_numbers_among_headers_are_left_to_the_library(tmp_path: Path):
    """Else edited numbers would change headers, and the new file pass for a twin of the old one."""

    def content(file: h5py.File) -> None:
        file["x"] = np.arange(5.0)
        file.create_group("g")["y"] = np.arange(4.0)

    extent = write(tmp_path / "m.h5", content)
    source = tree_of_plain(extent, ()).tensors["x"].source
    assert isinstance(source, ContiguousSource)
    whole = bytearray(extent.file.read_bytes())
    place = whole.index(source.offset.to_bytes(8, "little") + source.size.to_bytes(8, "little"))
    for start in (whole.index(b"TREE"), whole.index(b"SNOD") - 8, whole.index(b"HEAP") - 39):
        whole[place : place + 8] = start.to_bytes(8, "little")
        extent.file.write_bytes(whole)
        moved = Extent.whole(extent.file)
        with pytest.raises(NotPlainError):
            tree_of_plain(moved, ())
        found = tree_of(moved).tensors["x"].source
        assert isinstance(found, ContiguousSource)
        assert found.offset == start


@pytest.mark.parametrize("seed", range(8))
def test_changed_bytes_are_noticed_or_mean_the_same(seed: int, tmp_path: Path):
    """Whatever stands in a file: what is read in place is what the library reads, and it is never more lenient."""
    path = tmp_path / "m.h5"
    extent = write(path, lambda file: layers(file, 3))
    whole = path.read_bytes()
    heads = np.ones(len(whole), bool)
    for tensor in tree_of_plain(extent, ()).below():
        if isinstance(tensor.source, ContiguousSource):
            heads[tensor.source.offset : tensor.source.offset + tensor.source.size] = False
    places = np.flatnonzero(heads).tolist()
    chance = random.Random(seed)
    seen = 0
    for _ in range(60):
        changed = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4))):
            place = chance.choice(places)
            changed[place] = chance.choice((changed[place] ^ 1 << chance.randrange(8), 0, 1, 255))
        path.write_bytes(changed)
        now = Extent.whole(path)
        try:
            found = tree_of_plain(now, ())
        except NotPlainError:
            seen += 1
            continue
        assert found == tree_of_any(now, ())
    assert seen


def test_shared_models_are_plain(shared_models: Path):
    found = [path for path in shared_models.iterdir() if path.suffix in (".h5", ".hdf5")]
    assert found
    for path in found:
        assert_same(Extent.whole(path))


def told(read: Callable[[Extent], Group], extent: Extent) -> object:
    """What is read, or the refusal."""
    try:
        return read(extent)
    except FileError as error:
        return str(error)
