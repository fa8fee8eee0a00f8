"""`regularize`: one loss for each selected weight, of the size that was asked for, whatever holds the weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe.errors import Problems
from tests import zoo
from tests.running import differences, edit, load, refuse_edit, run, same_bits, told, write_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def squares(weights: Iterable[keras.Variable]) -> float:
    return float(sum(np.square(weight.numpy().astype("float64")).sum() for weight in weights))


def total(model: keras.Model) -> float:
    return float(sum(float(loss) for loss in model.losses))


def named(model: keras.Model, *names: str) -> list[keras.Variable]:
    return [weight for weight in model.weights if weight.name in names]


@pytest.mark.parametrize(
    ("name", "weights", "variables"),
    [
        ("chain", "kernel", ("kernel",)),
        ("chain", "[kernel, bias]", ("kernel", "bias")),
        ("residual", "[gamma, beta]", ("gamma", "beta")),
        ("time_distributed_dense", "kernel", ("kernel",)),
        ("bidirectional", "kernel", ("kernel",)),
        ("bidirectional", "recurrent_kernel", ("recurrent_kernel",)),
        ("wrapper_called_twice", "kernel", ("kernel",)),
        ("one_layer_wrapped_and_bare", "bias", ("bias",)),
        ("shared_twice", "kernel", ("kernel",)),
        ("nested_called_three_times", "kernel", ("kernel",)),
        ("attention_by_keyword", "kernel", ("kernel",)),
    ],
)
def test_there_is_one_loss_for_each_selected_weight(
    name: str, weights: str, variables: tuple[str, ...], tmp_path: Path
):
    model = zoo.ZOO[name]()
    after = edit(tmp_path, model, f"regularize: {{layers: {{has: '{variables[0]}'}}, weights: {weights}, l2: 0.01}}")
    wanted = named(after, *variables)
    assert wanted
    assert len(after.losses) == len(wanted)
    assert total(after) == pytest.approx(0.01 * squares(wanted), rel=1e-5)
    assert all(same_bits(one.numpy(), other.numpy()) for one, other in zip(model.weights, after.weights, strict=True))


@pytest.mark.parametrize(
    ("layer", "shape", "argument"),
    [
        (layers.DepthwiseConv2D(3), (8, 8, 2), "depthwise_regularizer"),
        (layers.SeparableConv2D(4, 3), (8, 8, 2), "pointwise_regularizer"),
        (layers.Embedding(5, 3), (4,), "embeddings_regularizer"),
        (layers.Conv1DTranspose(4, 3), (8, 2), "kernel_regularizer"),
        (layers.EinsumDense("ab,bc->ac", 3), (4,), "kernel_regularizer"),
    ],
)
def test_the_role_kernel_finds_the_argument_of_each_class(
    layer: keras.Layer, shape: tuple[int, ...], argument: str, tmp_path: Path
):
    model = keras.Sequential([keras.Input(shape), type(layer).from_config(layer.get_config())])
    after = edit(tmp_path, model, f"regularize: {{layers: {{type: {type(layer).__name__}}}, l2: 0.5}}")
    config = after.layers[-1].get_config()
    assert config[argument]["config"] == {"l2": 0.5}
    kernels = [weight for weight in after.weights if "kernel" in weight.name or weight.name == "embeddings"]
    assert len(after.losses) == len(kernels)
    assert total(after) == pytest.approx(0.5 * squares(kernels), rel=1e-5)


def test_both_strengths_add_up_and_survive_a_rebuild_and_a_second_save(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    steps = (
        "regularize: {layers: head, l1: 0.01, l2: 0.2}",
        "insert: {after: first, layer: {class: Identity, name: i}}",
    )
    after = edit(tmp_path, model, *steps)
    assert differences(model, after) == ["+ i", "~ head.kernel_regularizer"]
    kernel = after.get_layer("head").kernel.numpy().astype("float64")
    wanted = 0.01 * np.abs(kernel).sum() + 0.2 * np.square(kernel).sum()
    after.save(tmp_path / "again.keras")
    assert total(load(tmp_path / "again.keras")) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("step", ["l2: 0", "remove: true"])
def test_regularizers_are_taken_away(step: str, tmp_path: Path):
    model = zoo.ZOO["regularizers_and_constraints"]()
    after = edit(tmp_path, model, f"regularize: {{layers: {{type: Dense}}, weights: [kernel, bias], {step}}}")
    assert differences(model, after) == [
        "~ dense.bias_regularizer",
        "~ dense.kernel_regularizer",
        "~ orthogonal.kernel_regularizer",
    ]
    assert after.get_layer("dense").losses == []


def test_a_strength_of_l1_alone_is_not_rounded(tmp_path: Path):
    after = edit(
        tmp_path,
        zoo.ZOO["chain"](),
        "regularize: {layers: head, l1: 0.01}",
        "replace: {layers: first, with: {class: Dense, config: {units: 8}}, weights: fresh}",
    )
    assert after.get_layer("head").get_config()["kernel_regularizer"]["config"] == {"l1": 0.01, "l2": 0.0}


def test_frozen_layers_are_remarked(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", "freeze: first", "regularize: {layers: first, l2: 0.1}", "save: out.keras")
    assert outcome.steps[2].notes == ("'first' is frozen: the penalty counts once the weights train",)
    after = load(tmp_path / "out.keras")
    assert after.losses == []
    after.get_layer("first").trainable = True
    assert len(after.losses) == 1


def test_an_old_hdf5_file_is_streamed(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.save(tmp_path / "m.h5")
    outcome = run(tmp_path, "load: m.h5", "regularize: {layers: head, l2: 0.1}", "save: out.h5")
    assert outcome.outputs[0].how == "streamed"
    assert len(load(tmp_path / "out.h5").losses) == 1


def test_weights_without_a_regularizer_are_refused_by_name(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["residual"](), "regularize: {layers: bn_1, weights: moving_mean, l2: 1}") == (
        "4:26: regularize.layers: 'bn_1' (BatchNormalization) has no regularizer for 'moving_mean';"
        " leave it out of the selection"
    )


def test_one_of_several_weights_with_one_argument_is_refused(tmp_path: Path):
    said = refuse_edit(
        tmp_path, zoo.ZOO["attention_by_keyword"](), "regularize: {layers: attention, weights: query/kernel, l2: 1}"
    )
    assert said.startswith("4:46: regularize.weights: 'kernel_regularizer' of 'attention' is for")
    assert said.endswith("would not be regularized; select all of them")


def test_layers_without_such_weights_are_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["image_classifier"](), "regularize: {layers: flat, l2: 1}") == (
        "4:26: regularize.layers: 'flat' has no weights; select layers with weights: has: kernel"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "regularize: 'regularize' needs a strength; write l1, l2 or both, or remove: true"),
        (", l2: 1, remove: true", "regularize.remove: what is removed has no strength; leave out l1 and l2"),
        (", l2: -1", "regularize.l2: must be at least 0, not -1"),
    ],
)
def test_strengths_that_make_no_sense_are_refused_before_a_file_is_read(given: str, said: str, tmp_path: Path):
    with pytest.raises(Problems) as caught:
        write_recipe(tmp_path, "load: m.keras", f"regularize: {{layers: flat{given}}}")
    [error] = caught.value.problems
    assert told(error).partition(": ")[2] == said
