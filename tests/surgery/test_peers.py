"""What other tools of model surgery test, asked of recipes: the same intents, on this project's own models.

keras-surgeon (delete, insert and replace layers), TensorFlow Model Optimization's model transformer (replace by pattern),
MosaicML Composer's module surgery (replace by policy), Keras' own `clone_model`, and the model surgery of
keras_cv_attention_models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from tests import zoo
from tests.running import differences, edit, leaves, names, refuse_edit, run, same_bits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = ["functional", "sequential"]


def stack(kind: str, *inside: keras.Layer) -> keras.Model:
    """The layers one after the other on three features, in either kind of model."""
    x = keras.Input((3,), name="x")
    if kind == "sequential":
        return keras.Sequential([x, *inside])
    y = x
    for layer in inside:
        y = layer(y)
    return keras.Model(x, y)


def dense(name: str, units: int = 3, **settings: object) -> keras.Layer:
    return layers.Dense(units, name=name, bias_initializer="ones", **settings)


def result(model: keras.Model, inputs: object) -> np.ndarray:
    return zoo.outputs(model, inputs)[0]


# Deleting layers


@pytest.mark.parametrize("kind", KINDS)
def test_delete_a_layer_of_a_chain(kind: str, tmp_path: Path):
    one, two, three = dense("one"), dense("two"), dense("three", 1)
    model = stack(kind, one, two, three)
    after = edit(tmp_path, model, "remove: two")
    inputs = zoo.sample_inputs(model)
    assert differences(model, after) == ["- two"]
    assert np.array_equal(result(after, inputs), np.asarray(three(one(inputs))))


def test_delete_a_layer_that_is_used_twice(tmp_path: Path):
    x = keras.Input((3,), name="x")
    one, two, three, four = (dense(name) for name in ("one", "two", "three", "four"))
    model = keras.Model(x, four(two(three(two(one(x))))))
    after = edit(tmp_path, model, "remove: two")
    inputs = zoo.sample_inputs(model)
    assert differences(model, after) == ["- two"]
    assert np.array_equal(result(after, inputs), np.asarray(four(three(one(inputs)))))


def test_delete_a_layer_in_front_of_a_shared_output_layer(tmp_path: Path):
    x = keras.Input((4,), name="x")
    one, two, three, last = dense("one"), dense("two"), dense("three"), dense("last", 1)
    trunk = one(x)
    model = keras.Model(x, [last(three(trunk)), last(two(trunk))])
    after = edit(tmp_path, model, "remove: three")
    inputs = zoo.sample_inputs(model)
    assert differences(model, after) == ["- three"]
    left, right = zoo.outputs(after, inputs)
    assert np.array_equal(left, np.asarray(last(one(inputs))))
    assert np.array_equal(right, np.asarray(last(two(one(inputs)))))


def test_delete_a_whole_branch_by_removing_its_merge_is_refused(tmp_path: Path):
    x = keras.Input((6, 6, 3), name="x")
    one, two = layers.Conv2D(2, 3, name="one")(x), layers.Conv2D(3, 3, name="two")(x)
    model = keras.Model(x, layers.Concatenate(name="cat")([one, two]))
    assert refuse_edit(tmp_path, model, "remove: cat") == (
        "4:13: remove.layers: 'cat' (Concatenate) takes 2 inputs, so no single tensor goes on in its place;"
        " name one of the layers before it: one, two"
    )


def test_delete_the_last_layers_of_a_nested_model(tmp_path: Path):
    model = zoo.ZOO["nested_is_the_output"]()
    after = edit(tmp_path, model, "remove: inner/norm")
    assert differences(model, after) == ["- inner/norm"]
    inner = model.get_layer("inner").get_layer("dense")
    inputs = zoo.sample_inputs(model)
    assert np.array_equal(result(after, inputs), np.asarray(inner(model.get_layer("stem")(inputs))))


# Inserting layers


@pytest.mark.parametrize("kind", KINDS)
def test_insert_a_layer_before_the_last(kind: str, tmp_path: Path):
    model = stack(kind, dense("one"), dense("two"), dense("last", 1))
    after = edit(tmp_path, model, "insert: {before: last, layer: {class: Dense, config: {units: 3}, name: three}}")
    assert differences(model, after) == ["+ three"]
    inputs = zoo.sample_inputs(model)
    inner = model.get_layer("two")(model.get_layer("one")(inputs))
    assert np.array_equal(result(after, inputs), np.asarray(model.get_layer("last")(after.get_layer("three")(inner))))


def test_an_activation_stands_behind_every_input(tmp_path: Path):
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    model = keras.Model([a, b], layers.Concatenate(name="cat")([a, b]))
    after = edit(
        tmp_path, model, "insert: {after: {role: input}, layer: {class: Activation, config: {activation: linear}}}"
    )
    assert len(after.layers) == 5
    assert [type(layer).__name__ for layer in after.layers].count("Activation") == 2
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_dropout_behind_every_dense_layer(tmp_path: Path):
    model = stack("functional", layers.Dense(2, name="one"), layers.Dense(2, name="two"))
    after = edit(tmp_path, model, "insert: {after: {type: Dense}, layer: {class: Dropout, config: {rate: 0.5}}}")
    assert [type(layer).__name__ for layer in after.layers] == ["InputLayer", "Dense", "Dropout", "Dense", "Dropout"]
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_dropout_behind_every_dense_layer_of_nested_models_too(tmp_path: Path):
    x = keras.Input((3,), name="x")
    inner = stack("functional", layers.Dense(2, name="a"), layers.Dense(2, name="b"))
    inner.name = "mlp"
    model = keras.Model(x, layers.Dense(2, name="head")(inner(layers.Dense(3, name="stem")(x))))
    after = edit(tmp_path, model, "insert: {after: {type: Dense}, layer: {class: Dropout, config: {rate: 0.5}}}")
    assert [path for path, layer in leaves(after).items() if type(layer) is layers.Dropout] == [
        "stem_dropout",
        "mlp/a_dropout",
        "mlp/b_dropout",
        "head_dropout",
    ]
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_sequential_models_inside_sequential_models_take_insertions(tmp_path: Path):
    inner = keras.Sequential([layers.Dense(2, name="a"), layers.Dense(2, name="b")], name="inner")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="first"), inner, layers.Dense(2, name="last")])
    after = edit(tmp_path, model, "insert: {after: {type: Dense}, layer: {class: Dropout, config: {rate: 0.5}}}")
    assert [type(layer).__name__ for layer in leaves(after).values()].count("Dropout") == 4
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


# Replacing layers


@pytest.mark.parametrize("kind", KINDS)
def test_replace_one_layer_by_another(kind: str, tmp_path: Path):
    model = stack(kind, dense("one"), dense("two"), dense("last", 1))
    step = "replace: {layers: two, with: {class: Dense, config: {units: 3}, name: three}, weights: fresh}"
    after = edit(tmp_path, model, step)
    assert differences(model, after) == ["+ three", "- two"]


@pytest.mark.parametrize("kind", KINDS)
def test_replace_by_type_keeps_the_numbers(kind: str, tmp_path: Path):
    model = stack(kind, dense("one", 2), dense("two", 2), layers.ReLU(6.0, name="act"))
    step = "replace: {layers: {type: Dense, expect: 2}, with: Dense, inherit: config, weights: keep}"
    after = edit(tmp_path, model, step)
    assert differences(model, after) == []
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_replace_by_type_between_dictionaries_of_inputs_and_outputs(tmp_path: Path):
    ends = {name: keras.Input((3,), name=name) for name in ("input1", "input2")}
    made = {f"output{name[-1]}": layers.ReLU(6.0)(layers.Dense(2)(tensor)) for name, tensor in ends.items()}
    model = keras.Model(ends, made)
    after = edit(tmp_path, model, "replace: {layers: {type: Dense}, with: Dense, inherit: config, weights: keep}")
    assert (after.input.keys(), after.output.keys()) == (model.input.keys(), model.output.keys())
    assert differences(model, after) == []
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


@pytest.mark.parametrize("kind", KINDS)
def test_replace_by_an_argument_of_the_layer(kind: str, tmp_path: Path):
    model = stack(kind, layers.Dense(2, name="one"), layers.ReLU(6.0, name="act"))
    step = (
        "replace: {layers: {type: Dense, config: {use_bias: true}}, with: {class: Dense, config: {use_bias: false}},"
        " inherit: config, weights: keep}"
    )
    after = edit(tmp_path, model, step)
    assert not after.get_layer("one").use_bias
    # The bias that went was zero.
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


@pytest.mark.parametrize("kind", KINDS)
def test_replace_one_layer_by_a_chain(kind: str, tmp_path: Path):
    model = stack(kind, layers.Dense(2, name="one"))
    chain = "[{class: Dense, inherit: config, weights: keep, name: same}, {class: Activation, config: {activation: linear}}]"
    after = edit(tmp_path, model, f"replace: {{layers: one, with: {chain}}}")
    assert names(after)[-2:] == ["same", "one"]
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


@pytest.mark.parametrize("kind", KINDS)
def test_fuse_a_chain_into_one_layer(kind: str, tmp_path: Path):
    model = stack(kind, layers.Dense(2, name="one"), layers.ReLU(name="act"))
    step = "replace: {layers: one, with: {class: Dense, config: {activation: relu}}, inherit: config, weights: keep}"
    after = edit(tmp_path, model, step, "remove: act")
    assert differences(model, after) == ["- act", "~ one.activation"]
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_replaced_is_replaced_again(kind: str, tmp_path: Path):
    model = stack(kind, layers.Dense(2, name="one"), layers.ReLU(6.0, name="act"))
    after = edit(
        tmp_path,
        model,
        "replace: {layers: {type: layers.ReLU}, with: Softmax}",
        "replace: {layers: {type: layers.Softmax}, with: ELU}",
    )
    assert type(after.layers[-1]) is layers.ELU


@pytest.mark.parametrize("kind", KINDS)
def test_a_replacement_by_the_same_ends(kind: str, tmp_path: Path):
    model = stack(kind, layers.Dense(2, name="one"), layers.ReLU(6.0, name="act"))
    after = edit(tmp_path, model, "replace: {layers: {type: layers.ReLU}, with: ReLU, inherit: config}")
    assert differences(model, after) == []


def test_a_pattern_is_matched_whole_and_not_in_part(tmp_path: Path):
    x = keras.Input((8, 8, 3), name="x")
    y = layers.Conv2DTranspose(2, 3, name="up")(
        layers.DepthwiseConv2D(2, name="dw")(layers.Conv2D(3, 2, name="conv")(x))
    )
    model = keras.Model(x, y)
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", "freeze: {layers: {type: Conv2D}}")
    assert outcome.steps[1].matched == ("conv",)
    outcome = run(tmp_path, "load: m.keras", "freeze: {layers: {type: [Conv2D, DepthwiseConv2D]}}")
    assert outcome.steps[1].matched == ("conv", "dw")


def test_only_what_follows_a_given_layer_is_matched(tmp_path: Path):
    model = stack("functional", dense("one"), dense("two"), layers.ReLU(name="act"))
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", "freeze: {layers: {type: Dense, downstream_of: one}}")
    assert outcome.steps[1].matched == ("two",)


def test_only_the_first_of_a_type_is_replaced(tmp_path: Path):
    model = stack("functional", dense("one", 16), dense("two", 16))
    step = "replace: {layers: {type: Dense, first: 1}, with: {class: Dense, config: {units: 16}}, weights: fresh}"
    found = differences(model, edit(tmp_path, model, step))
    assert {line[2:5] for line in found} == {"one"}


def test_a_policy_that_matches_nothing_is_refused(tmp_path: Path):
    said = refuse_edit(tmp_path, stack("functional", dense("one")), "replace: {layers: {type: Conv2D}, with: ReLU}")
    assert said.startswith("4:30: replace.layers.type: no layer ")


def test_a_replacement_is_not_searched_for_further_matches(tmp_path: Path):
    model = stack("functional", dense("one", 4))
    chain = "[{class: Dense, config: {units: 4}, weights: fresh, name: a}, {class: Dense, config: {units: 4}, weights: fresh}]"
    after = edit(tmp_path, model, f"replace: {{layers: {{type: Dense}}, with: {chain}}}")
    assert names(after) == ["x", "a", "one"]


# Cloning


def shared(build: Callable[[], keras.Layer], shape: tuple[int, ...]) -> keras.Model:
    x = keras.Input(shape, name="x")
    layer = build()
    return keras.Model(x, layers.Dense(2, name="head")(layer(layer(x))))


def test_shared_layers_stay_shared_through_a_rebuild(tmp_path: Path):
    for build, shape in (
        (lambda: layers.Dense(3, name="shared"), (3,)),
        (lambda: layers.Conv1D(3, 2, padding="same", name="shared"), (7, 3)),
    ):
        model = shared(build, shape)
        after = edit(tmp_path, model, "insert: {after: head, layer: Identity}")
        assert names(after) == ["x", "shared", "head", "head_identity"]
        zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_ends_keep_their_structure_through_a_rebuild(tmp_path: Path):
    x, y = keras.Input((3,), name="x"), keras.Input((3,), name="y")
    total = x + y
    model = keras.Model({"x": x, "y": y}, {"z1": total, "z2": layers.Dense(5, name="d")(total)})
    after = edit(tmp_path, model, "insert: {after: d, layer: Identity}")
    assert set(after.input) == {"x", "y"}
    assert set(after.output) == {"z1", "z2"}
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


def test_layers_are_renamed_as_a_clone_function_would(tmp_path: Path):
    model = stack("functional", dense("one"), dense("two"))
    after = edit(tmp_path, model, "rename: {layers: {type: Dense}, to: '{name}_custom'}")
    assert names(after) == ["x", "one_custom", "two_custom"]
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("inner", KINDS)
def test_nested_models_of_every_combination_come_through_a_rebuild(outer: str, inner: str, tmp_path: Path):
    nested = stack(inner, dense("a", 2), dense("b", 2))
    model = stack(outer, nested, layers.ReLU(6.0, name="act"))
    after = edit(tmp_path, model, "insert: {after: act, layer: Identity}")
    assert differences(model, after) == ["+ act_identity"]
    assert type(after.layers[-3]) is type(nested)
    zoo.assert_same_outputs(model, after, zoo.sample_inputs(model))


# Activations, dtype policies, merges


def test_relu_is_replaced_in_all_its_forms(tmp_path: Path):
    x = keras.Input((6, 6, 3), name="x")
    y = layers.Conv2D(4, 3, activation="relu", name="in_argument")(x)
    y = layers.Activation("relu", name="as_activation")(y)
    y = layers.ReLU(name="as_layer")(y)
    model = keras.Model(x, keras.ops.relu(layers.Conv2D(2, 3, name="last")(y)))
    after = edit(
        tmp_path,
        model,
        "replace: {layers: {type: Conv2D, config: {activation: relu}}, with: {class: Conv2D, config: {activation: silu}},"
        " inherit: config, weights: keep}",
        "replace: {layers: {any: [{type: Activation, config: {activation: relu}}, {type: layers.ReLU}, {type: ops.Relu}]},"
        " with: {class: Activation, config: {activation: silu}}}",
    )
    assert '"activation": "relu"' not in after.to_json()
    assert after.to_json().count('"silu"') == 4


def test_a_learnt_activation_takes_the_place_of_relu(tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    alpha = "{class: PReLU, config: {shared_axes: [1, 2], alpha_initializer: {class: Constant, config: {value: 0.25}}}}"
    after = edit(tmp_path, model, f"replace: {{layers: {{type: layers.ReLU}}, with: {alpha}}}")
    assert type(after.get_layer("relu")) is layers.PReLU
    assert (after.get_layer("relu").alpha.numpy() == 0.25).all()


def test_layers_are_brought_to_a_mixed_policy_and_keep_their_numbers(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    step = "replace: {layers: {type: Conv2D}, with: {class: Conv2D, config: {dtype: mixed_float16}}, inherit: config, weights: keep}"
    after = edit(tmp_path, model, step)
    assert after.get_layer("conv_1").compute_dtype == "float16"
    assert differences(model, after) == ["~ conv_1.dtype", "~ conv_2.dtype"]


def test_an_addition_becomes_another_merge(tmp_path: Path):
    model = zoo.ZOO["residual"]()
    after = edit(tmp_path, model, "replace: {layers: {type: Add}, with: Average}")
    assert differences(model, after) == ["~ add class"]


def test_regularizers_are_set_without_changing_numbers(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    step = (
        "replace: {layers: {type: Dense}, with: {class: Dense, config: {kernel_regularizer: {class: L2, config: {l2: 0.5}}}},"
        " inherit: config, weights: keep}"
    )
    after = edit(tmp_path, model, step)
    assert len(after.losses) == 3
    wanted = sum(0.5 * float((layer.kernel.numpy() ** 2).sum()) for layer in model.layers[1:])
    assert float(sum(after.losses)) == pytest.approx(wanted, rel=1e-6)
    assert [line.partition(".")[2] for line in differences(model, after)] == ["kernel_regularizer"] * 3


def test_a_source_that_was_compiled_and_trained_is_edited_like_any_other(tmp_path: Path):
    model = zoo.ZOO["compiled_and_trained"]()
    after = edit(
        tmp_path, model, "insert: {after: {has: kernel, first: 1}, layer: {class: Dropout, config: {rate: 0.1}}}"
    )
    assert all(same_bits(a.numpy(), b.numpy()) for a, b in zip(model.weights, after.weights, strict=False))
    assert after.compiled
    inputs = zoo.sample_inputs(model)
    zoo.assert_same_outputs(model, after, inputs)
    after.fit(inputs, np.zeros((len(inputs), *model.output_shape[1:]), "float32"), verbose=0)
