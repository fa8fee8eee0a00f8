from __future__ import annotations

import shutil
import zipfile
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from modelrecipe import formats
from modelrecipe.errors import FileError
from modelrecipe.files import atomic_output
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.tree import tree_of
from modelrecipe.formats.rewriting import Rewriting
from modelrecipe.new_file import NewFile
from modelrecipe.weights import Elementwise, Tensor, digest_array
from tests import zoo
from tests.formats.edits import freeze, halve, rename

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelrecipe.formats.passing import Passed

PIECE = 1 << 20
PLAIN: dict[str, Any] = {
    "a/float32": np.arange(PIECE // 4 + 77, dtype="float32"),
    "a/scalar": np.float64(3),
    "a/none": np.zeros((0, 5), "float32"),
    "b/float16": np.arange(333, dtype="float16").reshape(3, 111),
    "b/big": np.arange(501, dtype=">f4"),
    "b/int8": np.arange(100, dtype="int8"),
    "b/flag": np.array([True, False, True]),
    "b/double": np.arange(1001.0),
    "c/one": np.array([1.5], "float32"),
}
OTHERS: dict[str, dict[str, Any]] = {
    "chunked": {"chunks": (100,)},
    "deflated": {"chunks": (1000,), "compression": "gzip", "shuffle": True},
    "checked": {"chunks": (512,), "fletcher32": True},
}
OPTIMIZER = "optimizer"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One dataset of every kind, in one piece and not, and an optimizer between them."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as handle:
        for name, values in PLAIN.items():
            handle[name] = values
            handle[name].attrs["note"] = f"of {name}"
        bfloat = np.arange(999).astype(ml_dtypes.bfloat16)
        handle["b/bfloat16"] = bfloat.view("V2")
        handle["b/bfloat16"].attrs["dtype"] = "bfloat16"
        for n in range(4):
            handle[f"{OPTIMIZER}/vars/{n}"] = np.full(4096, n, "float32")
        for name, options in OTHERS.items():
            handle.create_dataset(f"d/{name}", data=np.arange(5000, dtype="float32"), **options)
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((9,))
        made = h5py.h5d.create(handle["d"].id, b"compact", h5py.h5t.IEEE_F32LE, space, compact)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(9, dtype="float32"))
        handle["e/last"] = np.arange(7, dtype="float32")
        handle.attrs["top"] = "first"
    return path


def tensors(extent: Extent) -> dict[str, Tensor]:
    found = list(tree_of(extent).below())
    return {
        item.path: Tensor(name=item.path, slot=item.path, shape=item.shape, dtype=item.dtype, source=item.source)
        for item in found
    }


def content(path: Path) -> dict[str, bytes]:
    return {name: tensor.read().tobytes() for name, tensor in tensors(Extent.whole(path)).items()}


def turned(values: np.ndarray) -> np.ndarray:
    return ~values if values.dtype.kind in "iub" else values * np.asarray(0.3, values.dtype)


def write(rewriting: Rewriting, extent: Extent, target: Path) -> list[Passed]:
    with rewriting.applied(extent, target.parent) as prepared, NewFile(target) as sink:
        return prepared.write(sink).passed


def every(extent: Extent, edit: Callable[[np.ndarray], np.ndarray] = turned) -> dict[str, Tensor]:
    return {path: tensor.map(edit) for path, tensor in tensors(extent).items() if not path.startswith(f"{OPTIMIZER}/")}


def expected(extent: Extent, edited: dict[str, Tensor]) -> dict[str, bytes]:
    return {path: edited.get(path, tensor).read().tobytes() for path, tensor in tensors(extent).items()}


def assert_digests_are_true(told: list[Passed], path: Path) -> None:
    """Each digest that rode along is that of the dataset which stands at its place in the written file."""
    by_place = {
        tensor.source.offset: tensor  # type: ignore[union-attr]
        for tensor in tensors(Extent.whole(path)).values()
        if hasattr(tensor.source, "offset")
    }
    assert {item.region.offset for item in told} == set(by_place)
    for item in told:
        tensor = by_place[item.region.offset]
        if item.after is not None:
            assert item.after == digest_array(tensor.read(), tensor.dtype), tensor.name


@pytest.mark.parametrize("edit", [Elementwise(turned), turned], ids=["piece by piece", "whole"])
@pytest.mark.parametrize("chosen", ["all", "in one piece", "deflated", "none"])
def test_edits_of_datasets_of_every_kind(file: Path, chosen: str, edit: Any):
    extent = Extent.whole(file)
    edited = every(extent, edit)
    if chosen != "all":
        named = {"deflated": {"d/deflated"}, "none": set()}.get(chosen, {*PLAIN, "b/bfloat16"} - {"a/none"})
        edited = {path: tensor for path, tensor in edited.items() if path in named}
    target = file.with_name("out.h5")
    told = write(Rewriting(edited=edited), extent, target)
    assert content(target) == expected(extent, edited)
    assert_digests_are_true(told, target)
    with h5py.File(target) as handle:
        assert {name: handle[name].attrs["note"] for name in PLAIN} == {name: f"of {name}" for name in PLAIN}
        assert handle["d/deflated"].compression == "gzip"
        assert handle["b/big"].dtype == np.dtype(">f4")
    if chosen == "none":
        assert target.read_bytes() == file.read_bytes()


def test_piece_by_piece_and_whole_give_one_file(file: Path):
    extent = Extent.whole(file)
    for name, edit in (("one.h5", Elementwise(turned)), ("two.h5", turned)):
        write(Rewriting(edited=every(extent, edit)), extent, file.with_name(name))
    assert content(file.with_name("one.h5")) == content(file.with_name("two.h5"))


@pytest.mark.parametrize("edits", [False, True])
def test_dropped_groups_leave_no_room_and_all_else_stays(file: Path, edits: bool):
    extent = Extent.whole(file)
    edited = every(extent, Elementwise(turned)) if edits else {}
    target = file.with_name("out.h5")
    told = write(Rewriting(edited=edited, dropped=frozenset({OPTIMIZER})), extent, target)
    wanted = expected(extent, edited)
    assert content(target) == {path: values for path, values in wanted.items() if not path.startswith(OPTIMIZER)}
    assert_digests_are_true(told, target)
    with h5py.File(target) as handle:
        assert (handle.attrs["top"], list(handle)) == ("first", ["a", "b", "c", "d", "e"])
        assert handle["a/float32"].attrs["note"] == "of a/float32"
    assert target.stat().st_size < file.stat().st_size - 4 * 4096 * 4


def change_much(handle: h5py.File) -> None:
    """Longer and shorter attributes, new ones, and moved groups: what renames of layers do."""
    handle.attrs["top"] = "x" * 40_000
    handle["a/float32"].attrs["note"] = ""
    for number in range(30):
        handle["b"].attrs[f"n{number}"] = "y" * 500
    handle.move("c/one", "c/other")
    handle.move("a", "renamed")


MOVED = {
    "c/one": "c/other",
    **{name: name.replace("a/", "renamed/") for name in ("a/float32", "a/scalar", "a/none")},
}


@pytest.mark.parametrize("edits", [False, True])
def test_changes_of_names_and_attributes_move_no_number(file: Path, edits: bool):
    extent = Extent.whole(file)
    edited = every(extent, Elementwise(turned)) if edits else {}
    target = file.with_name("out.h5")
    told = write(Rewriting(edited=edited, changes=(change_much,), moved=MOVED), extent, target)
    assert content(target) == {MOVED.get(path, path): values for path, values in expected(extent, edited).items()}
    assert_digests_are_true(told, target)
    with h5py.File(target) as handle:
        assert handle.attrs["top"] == "x" * 40_000
        assert handle["renamed/float32"].attrs["note"] == ""


def test_the_copy_for_changes_has_holes_where_tensors_lie(tmp_path: Path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as handle:
        handle["w"] = np.ones(16 * PIECE, "int8")
    extent = Extent.whole(path)
    seen: list[int] = []

    def look(handle: h5py.File) -> None:
        seen.append(handle["w"][()].sum())  # type: ignore[index]

    with Rewriting(changes=(look,)).applied(extent, tmp_path) as prepared:
        assert prepared.original == extent
        assert prepared.base.file.stat().st_blocks * 512 < PIECE
        with NewFile(tmp_path / "out.h5") as sink:
            prepared.write(sink)
    assert seen == [0]
    assert content(tmp_path / "out.h5") == content(path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["m.h5", "out.h5"]


@pytest.mark.parametrize("kind", ["plain", "dropped", "changes", "scattered"])
def test_a_damaged_checksum_is_refused_whatever_the_way(file: Path, kind: str):
    extent = replace(Extent.whole(file), crc=zlib.crc32(file.read_bytes()) ^ 1)
    rewriting = {
        "plain": Rewriting(),
        "dropped": Rewriting(dropped=frozenset({OPTIMIZER})),
        "changes": Rewriting(changes=(change_much,), moved=MOVED),
        "scattered": Rewriting(edited={"d/deflated": tensors(extent)["d/deflated"].map(turned)}),
    }[kind]
    with pytest.raises(FileError) as refused:
        write(rewriting, extent, file.with_name("out.h5"))
    assert str(refused.value) == f"'{file}' is damaged: the checksum of its weights does not match"


# What follows is about whole models.


def zipped(path: Path, target: Path, compression: int) -> Path:
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return target


def with_other_layout(path: Path, target: Path, **options: Any) -> Path:
    """The same model with every dataset stored otherwise."""
    inner = target.with_suffix(".h5")
    with zipfile.ZipFile(path) as old:
        inner.write_bytes(old.read("model.weights.h5"))
        with h5py.File(inner, "r+") as handle:
            names: list[str] = []
            handle.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            for name in names:
                values, attributes = handle[name][()], dict(handle[name].attrs)  # type: ignore[index]
                del handle[name]
                made = handle.create_dataset(name, data=values, **(options if values.shape else {}))
                made.attrs.update(attributes)
        with zipfile.ZipFile(target, "w") as new:
            for name in old.namelist():
                new.writestr(name, inner.read_bytes() if name == "model.weights.h5" else old.read(name))
    inner.unlink()
    return target


def weights_of(path: Path) -> dict[str, bytes]:
    checkpoint = formats.read_checkpoint(path)
    return {f"{key}:{t.name}": t.read().tobytes() for key in checkpoint.weights for t in checkpoint.weights.of(key)}


@pytest.mark.parametrize("form", ["deflated zip", "chunked", "compressed"])
@pytest.mark.parametrize("name", ["compiled_and_trained", "mixed_bfloat16", "nested_three_deep"])
def test_files_stored_otherwise_give_the_numbers_of_the_plain_one(
    save: Callable[..., Path], tmp_path: Path, name: str, form: str
):
    plain = save(zoo.ZOO[name]())
    other = tmp_path / "other.keras"
    if form == "deflated zip":
        zipped(plain, other, zipfile.ZIP_DEFLATED)
    else:
        with_other_layout(plain, other, chunks=True, **({"compression": "gzip"} if form == "compressed" else {}))
    written = []
    for path in (plain, other):
        checkpoint = formats.read_checkpoint(path)
        key = next(k for k in checkpoint.weights if checkpoint.weights.of(k)[0].name.endswith("kernel"))
        edited = halve(checkpoint, key, checkpoint.weights.of(key)[0].name)
        target = tmp_path / f"out-{path.name}"
        formats.rewrite(edited, target, "keras")
        written.append(weights_of(target))
    assert written[0] == written[1] != weights_of(plain)


def damaged(path: Path) -> Path:
    """One bit of a number is another, and the zip's checksum is what it was."""
    with zipfile.ZipFile(path) as archive:
        extent_of = archive.getinfo("model.weights.h5")
    checkpoint = formats.read_checkpoint(path)
    source = next(iter(checkpoint.weights.values()))[0].source
    assert source is not None
    content = bytearray(path.read_bytes())
    place = source.extent.start + source.offset  # type: ignore[attr-defined]
    assert place > extent_of.header_offset
    content[place] ^= 1
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["nothing", "one changed", "frozen", "renamed", "weights alone"])
def test_nothing_is_written_of_a_damaged_file(save: Callable[..., Path], tmp_path: Path, kind: str):
    path = damaged(save(zoo.ZOO["compiled_and_trained"]()))
    checkpoint = formats.read_checkpoint(path)
    first = next(item for item in checkpoint.layers() if checkpoint.weights.of(item.layer.key))
    edited = {
        "one changed": lambda: halve(checkpoint, first.layer.key, checkpoint.weights.of(first.layer.key)[0].name),
        "frozen": lambda: freeze(checkpoint, first.path),
        "renamed": lambda: rename(checkpoint, {first.path: "another"}),
    }.get(kind, lambda: checkpoint)()
    target = tmp_path / ("out.weights.h5" if kind == "weights alone" else "out.keras")
    with pytest.raises(FileError) as refused, atomic_output(target) as temporary:
        formats.rewrite(edited, temporary, "weights_h5" if kind == "weights alone" else "keras")
    assert str(refused.value) == f"'{path}' is damaged: the checksum of its weights does not match"
    assert [item.name for item in tmp_path.iterdir()] == ["m.keras"]


@pytest.mark.parametrize("kind", ["replaced", "gone"])
def test_a_model_that_changed_since_it_was_read_is_refused(save: Callable[..., Path], tmp_path: Path, kind: str):
    path = save(zoo.ZOO["chain"]())
    checkpoint = formats.read_checkpoint(path)
    if kind == "gone":
        path.unlink()
    else:
        shutil.copyfile(path, tmp_path / "copy.keras")
        (tmp_path / "copy.keras").replace(path)
    with pytest.raises(FileError) as refused:
        formats.rewrite(checkpoint, tmp_path / "out.keras", "keras")
    said = "does not exist" if kind == "gone" else "changed while it was read; run again"
    assert str(refused.value) == f"'{path}' {said}"
    assert not (tmp_path / "out.keras").exists()
