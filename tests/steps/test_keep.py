from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests import zoo
from tests.running import differences, edit, refuse, same_bits

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_put_aside_stays_as_it_was(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    steps = ("keep: before", "rescale: {layers: '*', factor: 3}", "interpolate: {with: before, alpha: 1}")
    assert differences(model, edit(tmp_path, model, *steps)) == []


def test_the_recipe_goes_on_with_the_same_model(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    assert differences(model, edit(tmp_path, model, "keep: before")) == []


def test_new_weights_are_put_aside_with_their_numbers(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    fresh = "replace: {layers: head, with: {class: Dense, config: {units: 3}}, weights: fresh}"
    steps = (fresh, "keep: new", "rescale: {layers: head, factor: 2}", "interpolate: {with: new, alpha: 1}")
    kept, plain = edit(tmp_path, model, *steps), edit(tmp_path, model, fresh)
    assert same_bits(kept.get_layer("head").kernel.numpy(), plain.get_layer("head").kernel.numpy())
    assert np.any(kept.get_layer("head").kernel.numpy())


def test_a_name_is_given_once(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    refused = refuse(tmp_path, "load: m.keras", "keep: a", "keep: a", "save: out.keras")
    assert refused.at == ("as",)
    assert "recipe.yaml:5:11: keep.as: there is a model named 'a' already" in str(refused)
