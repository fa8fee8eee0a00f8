"""What holds for every model: the laws of the steps, over the whole zoo."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from modelrecipe.weight_selector import ROLES
from tests import zoo
from tests.running import (
    OUTPUT,
    SOURCE,
    differences,
    edit,
    leaves,
    load,
    names,
    run,
    same_bits,
    slow_unless,
    write_recipe,
)

if TYPE_CHECKING:
    from pathlib import Path


QUICK = (
    "attention_by_keyword",
    "chain",
    "compiled_and_trained",
    "dict_in_dict_out",
    "frozen_nested",
    "masked_lstm",
    "mixed_float16",
    "nested_called_three_times",
    "nested_three_deep",
    "part_of_a_larger_graph",
    "residual",
    "returned_states",
    "sequential",
    "sequential_in_functional",
    "shared_at_depths",
    "squeeze_and_excite",
    "text_vectorization",
    "time_distributed_model",
)
MODELS = [name for name in zoo.FUNCTIONAL if name in zoo.RELOADABLE]


def over(models: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [pytest.param(name, marks=slow_unless(name in QUICK)) for name in models])


everywhere = over(MODELS)


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_same_model(before: keras.Model, after: keras.Model) -> None:
    """Outputs, names, flags, arguments, numbers and the order of weights."""
    zoo.assert_same_outputs(before, after, zoo.sample_inputs(before))
    assert differences(before, after) == []
    assert names(before) == names(after)
    assert [weight.shape for weight in before.weights] == [weight.shape for weight in after.weights]


@over([name for name in zoo.RELOADABLE if name not in zoo.KERAS_CHANGES_WEIGHTS])
def test_an_empty_recipe_gives_the_same_model_and_leaves_the_source(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    model.save(tmp_path / SOURCE)
    before = fingerprint(tmp_path / SOURCE)
    outcome = run(tmp_path, f"load: {SOURCE}", f"save: {OUTPUT}")
    assert fingerprint(tmp_path / SOURCE) == before
    assert outcome.outputs[0].proof is not None
    assert (outcome.outputs[0].proof.changed, outcome.outputs[0].proof.fresh, outcome.outputs[0].proof.removed) == (
        0,
        0,
        0,
    )
    assert_same_model(model, load(tmp_path / OUTPUT))


@over([name for name in MODELS if name not in ("autocast_off", *zoo.KERAS_CHANGES_WEIGHTS)])
def test_identities_behind_every_layer_change_nothing_and_go_again(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    inputs = zoo.sample_inputs(model)
    wider = edit(tmp_path, model, "insert: {after: '*', layer: Identity}")
    zoo.assert_same_outputs(model, wider, inputs)
    assert all(line.startswith("+ ") for line in differences(model, wider))
    run(tmp_path, f"load: {OUTPUT}", "remove: {layers: {type: Identity}}", "save: again.keras")
    again = load(tmp_path / "again.keras")
    zoo.assert_same_outputs(model, again, inputs)
    # An input that stands alone, as in a model without layers, has no Identity of its own to lose.
    own = [line for line in differences(model, again) if not line.startswith("- ")]
    assert own == []
    assert names(model) == names(again)


FORGETFUL = "{type: [ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, GroupedQueryAttention, MultiHeadAttention,"
FORGETFUL += " 'zoo>Backbone', 'zoo>Classifier', 'zoo>Tower']}"


@over([name for name in MODELS if name not in zoo.KERAS_CHANGES_WEIGHTS])
def test_freezing_and_unfreezing_leave_every_number(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    chosen = f"{{not: {FORGETFUL}, expect: '0..999'}}"
    frozen = edit(tmp_path, model, f"freeze: {{layers: {chosen}}}")
    assert [line for line in differences(model, frozen) if not line.endswith(" flag")] == []
    zoo.assert_same_outputs(model, frozen, zoo.sample_inputs(model))
    left_out = [layer for layer in leaves(frozen).values() if type(layer).__name__ in FORGETFUL]
    assert {id(w) for w in frozen.trainable_weights} <= {id(w) for layer in left_out for w in layer.weights}
    run(tmp_path, f"load: {OUTPUT}", f"unfreeze: {{layers: {chosen}, batch_norm: train}}", "save: open.keras")
    opened = load(tmp_path / "open.keras")
    # A new one, with the same automatic names: an activation that is a layer gets its weights when the model is called.
    keras.utils.clear_session()
    assert [line for line in differences(zoo.ZOO[name](), opened) if not line.endswith(" flag")] == []
    assert all(layer.trainable for layer in leaves(opened).values())


SCALABLE = [
    name for name in MODELS if name not in ("quantized_int8", "quantized_embedding", *zoo.KERAS_CHANGES_WEIGHTS)
]


@over(SCALABLE)
def test_steps_of_numbers_that_have_nothing_to_do_change_nothing(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    trained = [weight for weight in model.trainable_weights if "float" in str(weight.dtype)]
    steps = [f"average: {{with: [{SOURCE}, {SOURCE}]}}", f"interpolate: {{with: {SOURCE}, alpha: 0.3}}"]
    if not any("float" in str(weight.dtype) for weight in model.weights):
        pytest.skip("no layer with fractions")
    if trained:
        steps += ["noise: {layers: '**', stddev: 0}", "clip: {layers: '**', min: -1e4, max: 1e4}"]
    if name not in zoo.NEEDS_CUSTOM and any(weight.name in ROLES["kernel"] for weight in trained):
        steps += ["prune: {layers: '**', sparsity: 0, scope: global}"]
    assert_same_model(model, edit(tmp_path, model, *steps))


@over(SCALABLE)
def test_rescaling_by_one_changes_nothing_and_by_a_half_the_named_layer_alone(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    chosen = next((path for path, layer in leaves(model).items() if _is_scalable(layer)), None)
    if chosen is None:
        pytest.skip("no layer with trainable numbers")
    assert_same_model(model, edit(tmp_path, model, f"rescale: {{layers: '{chosen}', factor: 1.0}}"))
    halved = edit(tmp_path, model, f"rescale: {{layers: '{chosen}', factor: 0.5}}")
    own = {id(weight) for weight in leaves(model)[chosen].weights}
    touched = {path for path, layer in leaves(model).items() if own & {id(weight) for weight in layer.weights}}
    assert {line.partition(" ")[2].rpartition("/")[0] for line in differences(model, halved)} == touched
    for path in touched:
        for one, other in zip(leaves(model)[path].weights, leaves(halved)[path].weights, strict=True):
            factor = 0.5 if one.trainable else 1
            assert same_bits((one.numpy() * np.asarray(factor).astype(one.numpy().dtype)), other.numpy())


def _is_scalable(layer: keras.Layer) -> bool:
    """Simple layers, whose flags on variables are their own and not those of layers inside."""
    return type(layer).__name__ in ("Dense", "Conv2D", "Embedding", "BatchNormalization", "LayerNormalization") and any(
        weight.trainable for weight in layer.weights
    )


@everywhere
def test_a_plan_matches_and_changes_what_the_run_does(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    model.save(tmp_path / SOURCE)
    recipe = write_recipe(
        tmp_path,
        f"load: {SOURCE}",
        "insert: {after: {index: 0}, layer: Identity}",
        "rename: {layers: {type: Dense, expect: '0..999'}, to: 'new_{name}'}",
        f"freeze: {{layers: {{not: {FORGETFUL}}}}}",
        f"save: {OUTPUT}",
    )
    planned, done = recipe.plan(), recipe.run()
    assert [step.matched for step in planned.steps] == [step.matched for step in done.steps]
    assert [step.changes for step in planned.steps] == [step.changes for step in done.steps]
    assert [output.how for output in planned.outputs] == [output.how for output in done.outputs]


@everywhere
def test_running_twice_gives_the_same_content(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    model.save(tmp_path / SOURCE)
    locks = []
    for _ in range(2):
        run(
            tmp_path,
            f"load: {SOURCE}",
            "insert: {after: {index: 0}, layer: [Identity, {class: Dropout, config: {rate: 0.1}}], calls: once}",
            f"save: {{path: {OUTPUT}, force: true}}",
        )
        locks.append((tmp_path / f"{OUTPUT}.lock.json").read_text())
    assert locks[0] == locks[1]


RELU = {
    "Activation": "replace: {layers: {type: Activation, config: {activation: relu}}, with: ReLU}",
    "ReLU": "replace: {layers: {type: layers.ReLU}, with: {class: Activation, config: {activation: relu}}}",
    "LeakyReLU": "replace: {layers: {type: LeakyReLU}, with: ReLU, inherit: [negative_slope]}",
    "Dense": "replace: {layers: {type: Dense, config: {activation: relu}}, with: "
    "[{class: Dense, inherit: config, config: {activation: linear}, weights: keep, name: '{name}_linear'}, ReLU]}",
    "Conv2D": "replace: {layers: {type: Conv2D, config: {activation: relu}}, with: "
    "[{class: Conv2D, inherit: config, config: {activation: linear}, weights: keep, name: '{name}_linear'}, ReLU]}",
}


def _with_relu() -> list[tuple[str, str]]:
    return [
        ("chain", "Dense"),
        ("residual", "Activation"),
        ("image_classifier", "ReLU"),
        ("unet", "Conv2D"),
        ("sequential", "Dense"),
        ("sequential_without_input", "ReLU"),
        ("sequential_called_twice", "ReLU"),
        ("sequential_in_functional", "Dense"),
        ("shared_activation_layer", "LeakyReLU"),
        ("part_of_a_larger_graph", "Dense"),
        ("dense_concat", "Dense"),
    ]


@pytest.mark.parametrize(("name", "kind"), _with_relu())
def test_relu_of_every_form_gives_way_to_an_equivalent_one(name: str, kind: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    after = edit(tmp_path, model, RELU[kind])
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))
    assert differences(model, after) != []
    assert [w.shape for w in model.weights] == [w.shape for w in after.weights]
    assert all(same_bits(a.numpy(), b.numpy()) for a, b in zip(model.weights, after.weights, strict=True))
