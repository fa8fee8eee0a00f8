"""What passes through a live model into a file is what a model that was filled would have saved."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np
import pytest

from modelrecipe import formats
from modelrecipe.graph import walk
from modelrecipe.live import build, filling, lending, private, save, state
from modelrecipe.live.gaps import Gaps
from modelrecipe.live.workshop import Workshop
from tests import zoo
from tests.running import slow_unless

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("chain", "compiled_and_trained", "list_of_cells", "self_attention", "text_vectorization", "sequential")
MODELS = [name for name in zoo.FUNCTIONAL if name in zoo.RELOADABLE and name not in zoo.KERAS_CHANGES_WEIGHTS]
everywhere = pytest.mark.parametrize("name", [pytest.param(name, marks=slow_unless(name in QUICK)) for name in MODELS])


def workshop(folder: Path) -> Workshop:
    """A new one, for which automatic names of inner layers are counted anew."""
    keras.utils.clear_session(free_memory=False)
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return Workshop(scratch=scratch, seed=0, progress=lambda text: None)


def content(path: Path) -> tuple[list[str], dict[str, bytes], Any, dict[str, Any]]:
    """Members, assets, the configuration without numbers of objects, and every group and dataset of the weights."""
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
        assets = {name: archive.read(name) for name in members if name.startswith("assets/")}
        config = without_ids(json.loads(archive.read("config.json")))
        weights = io.BytesIO(archive.read("model.weights.h5"))
    found: dict[str, Any] = {}
    with h5py.File(weights) as handle:
        handle.visititems(lambda name, item: found.update({name: described(item)}))
    return members, assets, config, found


def described(item: Any) -> Any:
    attributes = {key: str(value) for key, value in item.attrs.items()}
    if isinstance(item, h5py.Dataset):
        return attributes, item.shape, item.dtype.str, np.asarray(item[()]).tobytes()
    return attributes


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key != "shared_object_id"}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


@everywhere
def test_the_file_is_the_one_that_keras_saves_of_the_filled_model(name: str, tmp_path: Path):
    zoo.ZOO[name]().save(tmp_path / "m.keras")
    checkpoint = formats.read_checkpoint(tmp_path / "m.keras")
    passed, _ = workshop(tmp_path).save(checkpoint, tmp_path / "lent.keras", "keras")
    filled = workshop(tmp_path).live(checkpoint)
    if checkpoint.origin is not None and checkpoint.origin.compile_config:
        save.compile_like(filled, checkpoint.origin.compile_config)
    filled.save(tmp_path / "filled.keras")
    assert content(tmp_path / "lent.keras") == content(tmp_path / "filled.keras")
    assert passed or not checkpoint.weights


def datasets(path: Path) -> dict[str, Any]:
    """Every group and dataset of a file of weights."""
    found: dict[str, Any] = {}
    with h5py.File(path) as handle:
        handle.visititems(lambda name, item: found.update({name: described(item)}))
    return found


@pytest.mark.parametrize("name", ["attention_by_keyword", "bfloat16", "chain", "nested_three_deep", "residual"])
def test_weights_alone_are_those_that_keras_saves_of_the_filled_model(name: str, tmp_path: Path):
    zoo.ZOO[name]().save(tmp_path / "m.keras")
    checkpoint = formats.read_checkpoint(tmp_path / "m.keras")
    passed, _ = workshop(tmp_path).save(checkpoint, tmp_path / "lent.weights.h5", "weights_h5")
    workshop(tmp_path).live(checkpoint).save_weights(tmp_path / "filled.weights.h5")
    assert datasets(tmp_path / "lent.weights.h5") == datasets(tmp_path / "filled.weights.h5")
    assert passed


def test_variables_of_a_model_that_is_written_never_hold_numbers(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    checkpoint = formats.read_checkpoint(tmp_path / "m.keras")
    shop = workshop(tmp_path)
    shop.save(checkpoint, tmp_path / "out.keras", "keras")
    (built,) = shop._built.values()
    assert all(private.is_empty(variable) for variable in built.model.weights)


def test_of_a_compiled_model_only_what_trains_holds_numbers(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.layers[1].trainable = False
    model.compile(optimizer="adam", loss="mse")
    model.save(tmp_path / "m.keras")
    shop = workshop(tmp_path)
    shop.save(formats.read_checkpoint(tmp_path / "m.keras"), tmp_path / "out.keras", "keras")
    (built,) = shop._built.values()
    assert built.model.trainable_weights
    assert not any(private.is_empty(variable) for variable in built.model.trainable_weights)
    assert all(private.is_empty(variable) for variable in built.model.non_trainable_weights)


def test_a_training_configuration_that_keras_cannot_read_costs_no_second_filling(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.layers[1].trainable = False
    model.compile(optimizer="adam", loss="mse")
    model.save(tmp_path / "m.keras")
    checkpoint = formats.read_checkpoint(tmp_path / "m.keras")
    assert checkpoint.origin is not None
    gone = {"module": "gone", "class_name": "Gone", "config": {}, "registered_name": "Gone"}
    compiled = {**(checkpoint.origin.compile_config or {}), "loss": gone}
    checkpoint = replace(checkpoint, origin=replace(checkpoint.origin, compile_config=compiled))
    said: list[str] = []
    shop = workshop(tmp_path)
    shop.progress = said.append
    passed, note = shop.save(checkpoint, tmp_path / "out.keras", "keras")
    assert (note or "").startswith("written uncompiled: Keras cannot read the source's training configuration (")
    assert said.count("filling in the weights") == 1
    assert len(passed) == len(model.weights)
    again = keras.saving.load_model(tmp_path / "out.keras")
    assert not again.compiled
    zoo.assert_same_outputs(model, again, zoo.sample_inputs(model))


def test_a_model_that_was_written_can_still_be_filled_and_trained(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.save(tmp_path / "m.keras")
    checkpoint = formats.read_checkpoint(tmp_path / "m.keras")
    shop = workshop(tmp_path)
    shop.save(checkpoint, tmp_path / "out.keras", "keras")
    live = shop.live(checkpoint)
    inputs = zoo.sample_inputs(model)
    zoo.assert_same_outputs(model, live, inputs)
    live.compile(optimizer="sgd", loss="mse")
    before = [weight.numpy() for weight in live.trainable_weights]
    targets = [np.ones(output.shape) for output in keras.tree.flatten(live(inputs))]
    live.fit(inputs, targets[0] if len(targets) == 1 else targets, verbose=0)
    assert all((a != b.numpy()).any() for a, b in zip(before, live.trainable_weights, strict=True))


@everywhere
def test_without_private_ways_the_file_is_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    zoo.ZOO[name]().save(tmp_path / "m.keras")
    checkpoint = formats.read_checkpoint(tmp_path / "m.keras")
    workshop(tmp_path).save(checkpoint, tmp_path / "one.keras", "keras")
    monkeypatch.setattr(build, "can_defer", lambda: False)
    monkeypatch.setattr(save, "_writes_folders", lambda: False)
    workshop(tmp_path).save(checkpoint, tmp_path / "other.keras", "keras")
    assert content(tmp_path / "one.keras") == content(tmp_path / "other.keras")


def test_the_model_is_filled_where_nothing_can_be_lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = zoo.ZOO["chain"]()
    model.save(tmp_path / "m.keras")
    checkpoint = formats.read_checkpoint(tmp_path / "m.keras")

    def refuse(loans: lending.Loans, variable: Any) -> None:
        raise ValueError("no variable is shown")

    monkeypatch.setattr(lending.Loans, "value", refuse)
    workshop(tmp_path).save(checkpoint, tmp_path / "out.keras", "keras")
    zoo.assert_same_outputs(model, keras.saving.load_model(tmp_path / "out.keras"), zoo.sample_inputs(model))


def test_this_keras_lets_variables_wait_for_their_numbers():
    assert private.can_defer()


def test_without_gaps_the_file_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    checkpoint = formats.read_checkpoint(tmp_path / "m.keras")
    workshop(tmp_path).save(checkpoint, tmp_path / "one.keras", "keras")
    monkeypatch.setattr(save, "written_by", lambda gaps, file: contextlib.nullcontext())
    workshop(tmp_path).save(checkpoint, tmp_path / "other.keras", "keras")
    assert content(tmp_path / "one.keras") == content(tmp_path / "other.keras")


def lent_out(name: str, folder: Path) -> tuple[Any, build.Built, lending.Loans]:
    """A model of the zoo as a document, and built of it without any numbers of its own."""
    zoo.ZOO[name]().save(folder / "m.keras")
    checkpoint = formats.read_checkpoint(folder / "m.keras")
    built = build.build(checkpoint.model, seed=0, filled=[item.layer.key for item in walk(checkpoint.model)])
    loans = lending.Loans()
    filling.fill_all(built, checkpoint, loans)
    return checkpoint, built, loans


@pytest.mark.parametrize("name", ["chain", "bfloat16"])
def test_all_that_passes_through_leaves_gaps(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(loans: lending.Loans, variable: Any) -> None:
        raise AssertionError(f"'{variable.path}' goes through Keras")

    monkeypatch.setattr(lending.Loans, "value", refuse)
    _, built, loans = lent_out(name, tmp_path)
    gaps = Gaps(loans)
    with lending.lent(loans):
        save.save_passing(built.model, tmp_path / "out.keras", "keras", gaps)
    assert {part.stored.path for part in gaps.parts} == {f"/{path}" for path in stored(tmp_path / "out.keras")}


def stored(path: Path) -> set[str]:
    """The paths of all datasets of weights."""
    return {name for name, item in content(path)[3].items() if isinstance(item, tuple)}


def test_a_layer_may_look_at_what_it_saved(tmp_path: Path):
    """A gap is filled as soon as anybody reads it, or goes when it is dropped."""
    checkpoint, built, loans = lent_out("chain", tmp_path)
    layer = next(layer for layer in built.model.layers if len(layer.weights) > 1)
    plain = type(layer).save_own_variables
    seen: list[Any] = []

    class Looking(type(layer)):
        def save_own_variables(self, store: Any) -> None:
            plain(self, store)
            seen.append(store["0"])
            del store["1"]
            store["1"] = self.weights[1]

    Looking.__name__ = type(layer).__name__  # which names the group
    layer.__class__ = Looking
    gaps = Gaps(loans)
    with lending.lent(loans):
        save.save_passing(built.model, tmp_path / "out.keras", "keras", gaps)
    assert len(gaps.parts) == len(built.model.weights) - 1
    layer.__class__ = Looking.__base__
    live = workshop(tmp_path).live(checkpoint)
    assert np.array_equal(seen[0], live.get_layer(layer.name).weights[0])
    live.save(tmp_path / "filled.keras")
    assert content(tmp_path / "out.keras")[3] == content(tmp_path / "filled.keras")[3]


def test_a_file_that_a_layer_writes_for_itself_has_its_numbers(tmp_path: Path):
    _, built, loans = lent_out("chain", tmp_path)
    layer = next(layer for layer in built.model.layers if len(layer.weights) > 1)

    class Keeping(type(layer)):
        def save_assets(self, folder: str) -> None:
            state._hold([self]).save_weights(f"{folder}/own.weights.h5")

    Keeping.__name__ = type(layer).__name__
    layer.__class__ = Keeping
    with lending.lent(loans):
        save.save_passing(built.model, tmp_path / "out.keras", "keras", Gaps(loans))
    _, assets, _, weights = content(tmp_path / "out.keras")
    (own,) = assets.values()
    with h5py.File(io.BytesIO(own)) as handle:
        kernel = np.asarray(handle["held_0/vars/0"])
    assert kernel.any()
    assert kernel.tobytes() in [item[3] for item in weights.values() if isinstance(item, tuple)]
