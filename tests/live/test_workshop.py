"""Live models that are built once and lent out: each time with the numbers and flags of the document, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe import apply
from modelrecipe.formats import read_checkpoint
from tests.running import edit, load, refuse, run, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path


def _chain() -> keras.Model:
    given = keras.Input((4,), name="x")
    return keras.Model(given, layers.Dense(2, name="head")(layers.Dense(4, name="d")(given)))


def _frozen_backbone() -> keras.Model:
    inside = keras.Input((4,))
    backbone = keras.Model(inside, layers.BatchNormalization(name="norm")(layers.Dense(4)(inside)), name="backbone")
    backbone.trainable = False
    given = keras.Input((4,), name="x")
    return keras.Model(given, layers.Dense(2, name="head")(backbone(given)))


def test_a_new_layer_does_not_inherit_what_an_earlier_branch_made_of_it(tmp_path: Path):
    _chain().save(tmp_path / "m.keras")
    insert = "insert: {after: d, layer: {class: Dense, config: {units: 4}, name: new}}"
    rescale = "rescale: {layers: new, factor: 2}"
    run(
        tmp_path,
        *("load: m.keras", insert, "save: a.keras", rescale, "save: b.keras"),
        *("load: m.keras", insert, "save: c.keras", rescale, "save: d.keras"),
    )
    a, b, c, d = (load(tmp_path / f"{name}.keras").get_layer("new").kernel.numpy() for name in "abcd")
    assert np.array_equal(a, c)
    assert np.array_equal(b, 2 * a)
    assert np.array_equal(d, b)


def test_a_model_around_layers_gets_its_own_flag_too(tmp_path: Path):
    _frozen_backbone().save(tmp_path / "m.keras")
    run(
        tmp_path,
        *("load: m.keras", "insert: {after: head, layer: ReLU}", "save: a.keras"),
        *("unfreeze: {layers: backbone, batch_norm: train}", "save: b.keras"),
    )
    flags = {item.path: item.layer.config.get("trainable") for item in read_checkpoint(tmp_path / "b.keras").layers()}
    assert flags["backbone"] is flags["backbone/dense"] is flags["backbone/norm"] is True
    write_recipe(tmp_path, "load: m.keras", "unfreeze: {layers: backbone, batch_norm: train}")
    edited = apply(tmp_path / "recipe.yaml", _frozen_backbone())
    assert edited.get_layer("backbone").trainable
    assert len(edited.trainable_variables) == 6


def test_what_a_wrapper_holds_keeps_a_flag_of_its_own(tmp_path: Path):
    given = keras.Input((5, 4), name="x")
    wrapped = layers.TimeDistributed(layers.Dense(4, name="held"), name="td")
    model = keras.Model(given, layers.Dense(2, name="head")(wrapped(given)))
    wrapped.layer.trainable = False
    edited = edit(tmp_path, model, "insert: {after: head, layer: ReLU}")
    assert edited.get_layer("td").trainable
    assert not edited.get_layer("td").layer.trainable


@pytest.mark.parametrize("steps", [(), ("freeze: td",)], ids=["as it was", "frozen"])
def test_old_hdf5_weights_go_by_name_whatever_the_flags(tmp_path: Path, steps: tuple[str, ...]):
    inner = keras.Sequential(
        [keras.Input((4,)), layers.BatchNormalization(name="b1"), layers.BatchNormalization(name="b2")], name="inner"
    )
    given = keras.Input((5, 4), name="x")
    model = keras.Model(given, layers.TimeDistributed(inner, name="td")(given))
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.random(variable.shape) + 0.5)
    model.save(tmp_path / "m.h5")
    linear = "insert: {after: td, layer: {class: Activation, config: {activation: linear}}}"
    run(tmp_path, "load: m.h5", *steps, linear, "save: out.keras")
    for one, other in zip(model.weights, load(tmp_path / "out.keras").weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


@keras.saving.register_keras_serializable("workshop")
class Moody(layers.Layer):
    """Refuses to be called, or has another variable, once the file is written."""

    is_angry = False
    has_grown = False

    def build(self, shape):
        self.a = self.add_weight(shape=(shape[-1],), name="a")
        if self.has_grown:
            self.b = self.add_weight(shape=(shape[-1],), name="b")

    def call(self, x):
        if self.is_angry:
            raise RuntimeError("not today")
        return x * self.a


def _moody(folder: Path) -> tuple[str, ...]:
    given = keras.Input((4,), name="x")
    keras.Model(given, layers.Dense(2, name="head")(Moody(name="moody")(given))).save(folder / "m.keras")
    return ("load: m.keras", "insert: {after: head, layer: ReLU}", "save: o.keras")


def test_what_a_custom_layer_raises_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    steps = _moody(tmp_path)
    monkeypatch.setattr(Moody, "is_angry", True)
    assert told(refuse(tmp_path, *steps, head="imports: [keras]", allow_code=True)) == (
        "5:13: insert: 'moody' (workshop>Moody) does not accept (None, 4) from 'x': not today"
    )


def test_a_class_with_more_variables_than_the_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    steps = _moody(tmp_path)
    monkeypatch.setattr(Moody, "has_grown", True)
    assert told(refuse(tmp_path, *steps, head="imports: [keras]", allow_code=True)) == (
        "5:13: insert: 'moody' has the variable 'b' (number 1), for which the file holds no numbers; use the class as it"
        " was when the file was written, or replace the layer with weights: fresh"
    )


@pytest.mark.parametrize(
    "save",
    [
        "OUT.KERAS",
        "{path: out.bin, format: keras}",
        "{path: out.h5, format: keras}",
        "{path: out.keras, format: h5}",
        "{path: out.h5, format: weights_h5}",
    ],
)
def test_an_output_may_have_any_ending(tmp_path: Path, save: str):
    _chain().save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", "insert: {after: d, layer: ReLU}", f"save: {save}")
    file = tmp_path / outcome.outputs[0].path
    expected = b"PK" if outcome.outputs[0].format == "keras" else b"\x89HDF"
    assert file.read_bytes().startswith(expected)
