"""A law: what is streamed past Keras equals what Keras builds, loads and saves, bit for bit."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

from modelrecipe import formats
from modelrecipe.engine.digest import TensorDigests, architecture_digest, content_digest
from modelrecipe.errors import EditError, Problems, SelectorError
from modelrecipe.graph import walk
from tests import zoo
from tests.formats.edits import contents
from tests.running import differences, load, names, same_bits, slow_unless, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe import Outcome
    from modelrecipe.checkpoint import Checkpoint

QUICK = (
    "chain",
    "compiled_and_trained",
    "frozen_nested",
    "masked_lstm",
    "mixed_float16",
    "nested_three_deep",
    "sequential",
    "shared_at_depths",
)
MODELS = [name for name in zoo.FUNCTIONAL if name in zoo.RELOADABLE and name not in zoo.KERAS_CHANGES_WEIGHTS]
SOME = "expect: '0..999'"
RECIPES = {
    "values": (f"rescale: {{layers: {{type: [Dense, Conv2D, Embedding], has: kernel, {SOME}}}, factor: -0.75}}",),
    "flags": (f"freeze: {{layers: {{first: 2, {SOME}}}}}",),
    "names": (f"rename: {{layers: {{type: [Dense, Conv2D, BatchNormalization], {SOME}}}, to: 'new_{{name}}'}}",),
}
RECIPES["all at once"] = tuple(step for steps in RECIPES.values() for step in steps)
RECIPES["whole tensors"] = (
    f"noise: {{layers: {{has: kernel, {SOME}}}, weights: kernel, stddev: 0.1, relative: true}}",
    f"prune: {{layers: {{has: kernel, {SOME}}}, sparsity: 0.6, scope: global}}",
    f"clip: {{layers: {{has: kernel, {SOME}}}, weights: kernel, norm: 0.5}}",
)
HELD_TWICE = ("one_layer_wrapped_and_bare",)
"""The wrapper repeats the layer's name, which Keras reads from the first of both places alone: streaming leaves it."""


def flags(checkpoint: Checkpoint) -> dict[str, bool]:
    return {item.path: item.is_effectively_trainable for item in walk(checkpoint.model)}


def written(recipe: str, source: str, folder: Path, ending: str) -> Outcome | None:
    """Carry a recipe out; None where it finds nothing to change in this model."""
    made = write_recipe(folder, f"load: {source}", *RECIPES[recipe], f"save: out.{ending}")
    try:
        return made.run(force=True)
    except (SelectorError, EditError, Problems):
        return None


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("name", "ending"),
    [
        *(pytest.param(name, "keras", marks=slow_unless(name in QUICK)) for name in MODELS),
        # The old format holds few of the others, and lists weights otherwise when Keras writes it.
        *(pytest.param(name, "h5") for name in QUICK),
    ],
)
def test_the_streamed_file_equals_the_built_one(
    name: str, recipe: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if name in HELD_TWICE and any(step.startswith("rename") for step in RECIPES[recipe]):
        pytest.skip("the name that Keras does not read differs")
    source = f"m.{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            zoo.ZOO[name]().save(tmp_path / source)
            load(tmp_path / source)
        except Exception as error:  # whatever Keras says of the old format
            if ending == "keras":
                raise
            pytest.skip(f"Keras itself cannot: {error}")
    found: list[tuple[Checkpoint, object]] = []
    for how in ("streamed", "built"):
        with monkeypatch.context() as patched:
            if how == "built":
                patched.setattr(formats, "can_rewrite", lambda checkpoint, kind: False)
            outcome = written(recipe, source, tmp_path, ending)
        if outcome is None:
            pytest.skip("the recipe changes nothing here")
        if outcome.outputs[0].how != how:
            pytest.skip("this model is always built")
        target = tmp_path / f"out.{ending}"
        target.replace(tmp_path / f"{how}.{ending}")
        found.append((formats.read_checkpoint(tmp_path / f"{how}.{ending}"), load(tmp_path / f"{how}.{ending}")))
    (streamed, live), (built, expected) = found
    assert contents(streamed) == contents(built)
    assert flags(streamed) == flags(built)
    assert architecture_digest(streamed) == architecture_digest(built)
    assert content_digest(streamed, TensorDigests()) == content_digest(built, TensorDigests())
    assert differences(expected, live) == []
    assert names(expected) == names(live)
    assert all(same_bits(a.numpy(), b.numpy()) for a, b in zip(expected.weights, live.weights, strict=True))
