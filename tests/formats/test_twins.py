"""Headers of a file that was written in the layout of another are those of the other, or are gone through."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5 import tree, twins
from modelrecipe.formats.hdf5.plain_tree import tree_of_plain
from modelrecipe.formats.hdf5.tensors import ContiguousSource
from modelrecipe.formats.hdf5.tree import tree_of
from modelrecipe.formats.hdf5.twins import tree_of_twin

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def first(tmp_path: Path) -> Extent:
    with h5py.File(tmp_path / "first.h5", "w") as file:
        for number in range(5):
            own = file.create_group(f"layers/dense_{number}/vars")
            own.attrs["name"] = f"dense_{number}"
            own["0"] = np.full((4, 100 * number), number, "float32")
            own["1"] = np.full(4, number, ">f8")
        file["optimizer/vars/0"] = np.ones(7)
    return Extent.whole(tmp_path / "first.h5")


def twin_of(first: Extent, path: Path, change: dict[int, int] | None = None) -> Extent:
    """A copy with other numbers, and with other bytes where `change` says so."""
    shutil.copy(first.file, path)
    with h5py.File(path, "r+") as file:
        for number in range(1, 5):
            file[f"layers/dense_{number}/vars/0"][...] = -1
    content = bytearray(path.read_bytes())
    for place, byte in (change or {}).items():
        content[place] ^= byte
    path.write_bytes(content)
    return Extent.whole(path)


def test_other_numbers_do_not_matter(first: Extent, tmp_path: Path):
    second = twin_of(first, tmp_path / "second.h5")
    found = tree_of_twin(second, first, tree_of(first))
    assert found == tree_of(second)
    source = found.groups["layers"].groups["dense_2"].groups["vars"].tensors["0"].source
    assert isinstance(source, ContiguousSource)
    assert (source.extent, source().min()) == (second, -1)


def test_any_other_byte_does(first: Extent, tmp_path: Path):
    known = tree_of(first)
    regions = [item.source for item in known.below() if isinstance(item.source, ContiguousSource)]
    numbers = {place for source in regions for place in range(source.offset, source.offset + source.size)}
    around = [place for place in range(first.size) if place not in numbers]
    for place in around[:: len(around) // 50]:
        second = twin_of(first, tmp_path / "second.h5", {place: 1})
        assert tree_of_twin(second, first, known) is None


def test_groups_that_are_skipped_are_compared_too(first: Extent, tmp_path: Path):
    known = tree_of(first, {"optimizer"})
    assert tree_of_twin(twin_of(first, tmp_path / "second.h5"), first, known) is not None
    with h5py.File(tmp_path / "third.h5", "w") as file:
        file["optimizer/vars/0"] = np.ones(7)
    whole = tree_of(first).groups["optimizer"].groups["vars"].tensors["0"].source
    assert isinstance(whole, ContiguousSource)
    assert tree_of_twin(twin_of(first, tmp_path / "fourth.h5", {whole.offset: 1}), first, known) is None


def test_a_file_of_another_size_is_none(first: Extent, tmp_path: Path):
    second = twin_of(first, tmp_path / "second.h5")
    with second.file.open("ab") as file:
        file.write(b"\0")
    assert tree_of_twin(Extent.whole(second.file), first, tree_of(first)) is None


def test_much_around_the_numbers_is_not_compared(first: Extent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(twins, "_MOST_BYTES", 10)
    assert tree_of_twin(twin_of(first, tmp_path / "second.h5"), first, tree_of(first)) is None


def test_headers_of_a_twin_are_not_gone_through(first: Extent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    known = tree_of(first, {"optimizer"})
    monkeypatch.setattr(tree, "tree_of_plain", None)
    assert tree_of(twin_of(first, tmp_path / "second.h5"), {"optimizer"}).groups.keys() == known.groups.keys()


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_file_that_is_there_no_more_has_no_twin(first: Extent, tmp_path: Path, is_gone: bool):
    tree_of(first)
    second = twin_of(first, tmp_path / "second.h5")
    if is_gone:
        first.file.unlink()
    else:
        first.file.write_bytes(b"")
    assert tree_of(second).groups["layers"].groups.keys() == {f"dense_{number}" for number in range(5)}


def test_another_file_is_read(first: Extent, tmp_path: Path):
    tree_of(first)
    with h5py.File(tmp_path / "second.h5", "w") as file:
        file["a"] = np.ones(3)
    second = Extent.whole(tmp_path / "second.h5")
    assert tree_of(second) == tree_of_plain(second, ())
