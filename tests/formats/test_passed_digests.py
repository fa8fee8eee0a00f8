"""Digests that rode along with a write are those of the written file, read again: over the whole zoo."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modelrecipe import formats
from modelrecipe.engine.digest import TensorDigests, content_digest, named_tensors
from modelrecipe.errors import FileError
from modelrecipe.weights import Elementwise, Weights
from tests import zoo
from tests.formats.edits import freeze, rename
from tests.running import slow_unless

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from modelrecipe.checkpoint import Checkpoint

QUICK = (
    "bfloat16",
    "compiled_and_trained",
    "mixed_float16",
    "nested_three_deep",
    "quantized_int8",
    "residual",
    "shared_at_depths",
    "text_vectorization",
)


def turned(values: np.ndarray) -> np.ndarray:
    """Another number for each, of any type, each from itself alone."""
    return ~values if values.dtype.kind in "iub" else -values


def change(checkpoint: Checkpoint, count: int | None = None) -> Checkpoint:
    """The first `count` tensors, or all, with other numbers; every other edit looks at its tensor as a whole."""
    number = 0
    changed: dict[str, tuple] = {}
    for key, tensors in checkpoint.weights.items():
        mine = []
        for tensor in tensors:
            is_meant = count is None or number < count
            mine.append(tensor.map(Elementwise(turned) if number % 2 else turned) if is_meant else tensor)
            number += 1
        changed[key] = tuple(mine)
    return replace(checkpoint, weights=Weights(changed))


def freeze_first(checkpoint: Checkpoint) -> Checkpoint:
    listed = [] if checkpoint.is_opaque else list(checkpoint.layers())
    return freeze(checkpoint, listed[0].path, flag=False) if listed else checkpoint


def rename_first(checkpoint: Checkpoint) -> Checkpoint:
    listed = [] if checkpoint.is_opaque else list(checkpoint.layers())
    found = [item for item in listed if checkpoint.weights.of(item.layer.key) and "/" not in item.path]
    return rename(checkpoint, {found[0].path: "quite_another_name"}) if found else checkpoint


RECIPES: dict[str, Callable[[Checkpoint], Checkpoint]] = {
    "nothing": lambda checkpoint: checkpoint,
    "all changed": change,
    "one changed": lambda checkpoint: change(checkpoint, 1),
    "renamed": rename_first,
    "frozen": freeze_first,
    "all at once": lambda checkpoint: freeze_first(rename_first(change(checkpoint))),
}


def saved(name: str, path: Path) -> Path:
    """The model as Keras saves it; skips what the old format cannot hold."""
    model = zoo.ZOO[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.save(path)
            formats.read_checkpoint(path)
        except (NotImplementedError, TypeError, ValueError, RuntimeError, FileError) as error:
            if path.suffix == ".h5":
                pytest.skip(f"not for the old format: {error}")
            raise
    return path


def read_again(edited: Checkpoint, target: Path, format: str) -> Checkpoint:
    if format == "weights_h5":
        return replace(edited, weights=formats.read_weights(target, edited.model))
    return formats.read_checkpoint(target)


def numbers(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The bytes of every tensor under the path that its layer has now."""
    return {f"{path}/{t.name}": t.read().tobytes() for path, tensors in named_tensors(checkpoint) for t in tensors}


@pytest.mark.parametrize(("source", "format"), [("keras", "keras"), ("keras", "weights_h5"), ("h5", "h5")])
@pytest.mark.parametrize("name", [pytest.param(name, marks=slow_unless(name in QUICK)) for name in zoo.RELOADABLE])
def test_what_rode_along_is_what_the_written_file_says(name: str, source: str, format: str, tmp_path: Path):
    path = saved(name, tmp_path / f"m.{source}")
    before = path.read_bytes()
    checkpoint = formats.read_checkpoint(path)
    if not formats.can_rewrite(checkpoint, format):
        pytest.skip("needed a repair")
    for recipe, edit in RECIPES.items():
        edited = edit(checkpoint)
        target = tmp_path / f"out.{format}"
        passed = formats.rewrite(edited, target, format)
        written = read_again(edited, target, format)
        assert numbers(written) == numbers(edited), recipe
        digests = TensorDigests()
        digests.learn(passed, written)
        assert content_digest(written, digests) == content_digest(written, TensorDigests()), recipe
        for one in (written, edited, checkpoint):
            for tensors in one.weights.values():
                assert [digests.of(tensor) for tensor in tensors] == [tensor.digest() for tensor in tensors], recipe
        assert path.read_bytes() == before


@pytest.mark.slow
def test_it_holds_for_real_files(shared_models: Path, tmp_path: Path):
    tried = 0
    for path in sorted(item for item in shared_models.iterdir() if item.suffix in (".keras", ".h5", ".hdf5")):
        try:
            checkpoint = formats.read_checkpoint(path)
        except FileError:  # weights alone
            continue
        format = "keras" if path.suffix == ".keras" else "h5"
        if not formats.can_rewrite(checkpoint, format):
            continue
        tried += 1
        for recipe in ("nothing", "all changed", "one changed"):
            edited = RECIPES[recipe](checkpoint)
            target = tmp_path / f"out.{format}"
            digests = TensorDigests()
            passed = formats.rewrite(edited, target, format)
            written = read_again(edited, target, format)
            digests.learn(passed, written)
            assert numbers(written) == numbers(edited), (path.name, recipe)
            assert content_digest(written, digests) == content_digest(written, TensorDigests()), (path.name, recipe)
    assert tried > 0
