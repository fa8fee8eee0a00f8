"""A first recipe validates and plans for every model of the zoo that can be opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras
import pytest

from modelrecipe.plan import plan_recipe
from modelrecipe.recipe import load_recipe
from modelrecipe.source.writing import yaml_text
from modelrecipe.starter import starter_recipe
from tests.zoo import ZOO

if TYPE_CHECKING:
    from collections.abc import Callable

DIGITS = Path(__file__).resolve().parent.parent / "recipes" / "digits" / "digits_cnn.keras"
MODELS = (
    "chain",
    "residual",
    "siamese",
    "sequential",
    "sequential_without_input",
    "nested_three_deep",
    "functional_in_sequential",
    "names_with_punctuation",
    "unicode_names",
    "only_operations",
    "no_layers",
    "wholly_frozen",
    "mixed_float16",
    "transformer_block",
    "subclassed",
    "dict_in_dict_out",
)


def test_the_whole_text(tmp_path: Path):
    model = tmp_path / "digits_cnn.keras"
    model.write_bytes(DIGITS.read_bytes())
    assert (
        starter_recipe(model, tmp_path / "recipes" / "mine.yaml")
        == """\
# A first recipe for digits_cnn.keras: Functional, 14 layers, 9,450 parameters.
# Change what is not meant, then:
#   modelrecipe plan mine.yaml   says what would change
#   modelrecipe run mine.yaml    does it, and proves that nothing else changed
version: 1
name: digits_cnn-tuned

vars:
  source: {type: path, default: ../digits_cnn.keras, description: the model to begin with}
  units: {type: integer, default: 10, description: size of the new head's output}

steps:
  - load: ${source}

  # The last layer with weights, head, gives way to one of another size.
  - replace:
      layers: head
      with: {class: Dense, config: {units: "${units}"}}
      inherit: config    # all other arguments are those of the old layer
      weights: fresh     # keep would take over the old weights, where they fit

  # All other layers are left out of a training to come; select fewer of them to train more.
  - freeze: {layers: {until: dropout}}

  # What must hold, or nothing is written.
  # As it stands: 9,450 parameters, 330 of them trainable (3.5%).
  - check:
      outputs: {shape: [null, "${units}"]}
      trainable: "<= 5%"

  # The model, with a lock beside it that says what it was made of.
  - save: out/digits_cnn-tuned.keras
"""
    )


@pytest.mark.parametrize("name", MODELS)
def test_it_plans(name: str, save: Callable[..., Path], tmp_path: Path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(starter_recipe(save(ZOO[name]()), recipe), encoding="utf-8")
    outcome = plan_recipe(load_recipe(recipe))
    assert [output.path for output in outcome.outputs] == ["out/m-tuned.keras"]
    assert not outcome.problems


def test_a_subclassed_model_gets_an_edit_of_numbers(save: Callable[..., Path], tmp_path: Path):
    text = starter_recipe(save(ZOO["subclassed"]()), tmp_path / "recipe.yaml")
    assert "  - rescale: {layers: stem, weights: kernel, factor: 0.5}\n" in text
    assert "replace:" not in text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("dense_1", "dense_1"),
        ("a/b-c.d", "a/b-c.d"),
        ("no", '"no"'),
        ("3", '"3"'),
        ("a b", '"a b"'),
        ("${x}", '"$${x}"'),
    ],
)
def test_texts_are_quoted_where_they_must(value: str, written: str):
    assert yaml_text(value) == written


@pytest.mark.parametrize("name", MODELS)
def test_its_checks_and_edits_all_tell_something(name: str, save: Callable[..., Path], tmp_path: Path):
    recipe = tmp_path / "recipe.yaml"
    text = starter_recipe(save(ZOO[name]()), recipe)
    assert "<= 100%" not in text
    recipe.write_text(text, encoding="utf-8")
    idle = [step.word for step in plan_recipe(load_recipe(recipe)).steps if step.matched and not step.changes]
    assert idle == []


def test_a_model_that_is_all_head_gets_no_bound_on_what_trains(save: Callable[..., Path], tmp_path: Path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
    text = starter_recipe(save(model), tmp_path / "recipe.yaml")
    assert text.endswith(
        """\
  # What must hold, or nothing is written.
  # As it stands: 15 parameters, 15 of them trainable (100%).
  - check:
      outputs: {shape: [null, "${units}"]}

  # The model, with a lock beside it that says what it was made of.
  - save: out/m-tuned.keras
"""
    )


def test_what_keras_would_not_build_is_left_as_it_stands(save: Callable[..., Path], tmp_path: Path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(starter_recipe(save(ZOO["lambda_of_python_lambda"]()), recipe), encoding="utf-8")
    outcome = plan_recipe(load_recipe(recipe))
    assert (outcome.problems, [step.word for step in outcome.steps]) == ((), ["load", "rescale", "check", "save"])
