"""`prune`: exactly so many zeros, the smallest numbers, and no other bit changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe.errors import Problems
from tests import zoo
from tests.running import differences, edit, load, refuse, refuse_edit, run, same_bits, told

if TYPE_CHECKING:
    from pathlib import Path


def smallest_gone(values: np.ndarray, share: float) -> np.ndarray:
    """What pruning must give: a stable sort by magnitude, and zeros for the first ones."""
    flat = values.reshape(-1).copy()
    order = np.argsort(np.abs(flat.astype("float64")), kind="stable")
    flat[order[: round(share * flat.size)]] = 0
    return flat.reshape(values.shape)


def two_layers(first: np.ndarray, second: np.ndarray) -> keras.Model:
    x = keras.Input((first.shape[0],), name="x")
    model = keras.Model(
        x, layers.Dense(second.shape[1], name="b")(layers.Dense(first.shape[1], name="a")(x)), name="two"
    )
    model.get_layer("a").kernel.assign(first)
    model.get_layer("b").kernel.assign(second)
    return model


def kernels(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    return model.get_layer("a").kernel.numpy(), model.get_layer("b").kernel.numpy()


@pytest.mark.parametrize("sparsity", [0, 0.01, 0.5, 0.83, 0.999])
def test_the_smallest_go_and_the_others_keep_their_bits(sparsity: float, tmp_path: Path):
    model = zoo.ZOO["chain"]()
    pruned = edit(tmp_path, model, f"prune: {{layers: second, sparsity: {sparsity}}}")
    before, after = model.get_layer("second").kernel.numpy(), pruned.get_layer("second").kernel.numpy()
    assert same_bits(after, smallest_gone(before, sparsity))
    assert (after == 0).sum() == round(sparsity * after.size)
    assert differences(model, pruned) == (["~ second/kernel"] if round(sparsity * after.size) else [])


@pytest.mark.parametrize("name", ["bfloat16", "float16", "mixed_bfloat16", "float64_inside_float32"])
def test_magnitudes_are_compared_in_every_type(name: str, tmp_path: Path):
    model = zoo.ZOO[name]()
    pruned = edit(tmp_path, model, "prune: {layers: {has: kernel}, sparsity: 0.6}")
    after = zoo.weights_by_path(pruned)
    for path, before in zoo.weights_by_path(model).items():
        wanted = smallest_gone(before, 0.6) if path.endswith("kernel") else before
        assert same_bits(after[path], wanted), path


def test_of_equal_magnitudes_the_first_go(tmp_path: Path):
    values = np.array([[3.0, -1.0, 1.0], [1.0, -3.0, -1.0]])
    pruned = edit(tmp_path, two_layers(values, np.ones((3, 1))), "prune: {layers: a, sparsity: 0.5}")
    assert kernels(pruned)[0].tolist() == [[3.0, 0.0, 0.0], [0.0, -3.0, -1.0]]


def test_nan_counts_as_largest(tmp_path: Path):
    values = np.array([[np.nan, -np.inf, 0.5, -0.25]])
    pruned = edit(tmp_path, two_layers(values, np.ones((4, 1))), "prune: {layers: a, sparsity: 0.75}")
    assert np.array_equal(kernels(pruned)[0], [[np.nan, 0.0, 0.0, 0.0]], equal_nan=True)


def test_global_pruning_chooses_over_all_weights_together(tmp_path: Path):
    model = two_layers(np.arange(1.0, 13.0).reshape(3, 4), np.arange(10.0, 18.0).reshape(4, 2))
    pruned = edit(tmp_path, model, "prune: {layers: '*', sparsity: 0.6, scope: global}")
    first, second = kernels(pruned)
    assert first.reshape(-1).tolist() == [0.0] * 11 + [12.0]
    assert second.reshape(-1).tolist() == [0.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0]


def test_global_ties_go_in_the_order_of_the_layers(tmp_path: Path):
    pruned = edit(
        tmp_path, two_layers(np.ones((2, 3)), -np.ones((3, 2))), "prune: {layers: '*', sparsity: 0.7, scope: global}"
    )
    first, second = kernels(pruned)
    assert not first.any()
    assert second.reshape(-1).tolist() == [0.0, 0.0, -1.0, -1.0, -1.0, -1.0]


def test_global_pruning_compares_weights_of_several_types(tmp_path: Path):
    x = keras.Input((2,), name="x")
    y = layers.Dense(2, name="a", dtype="float16", use_bias=False)(x)
    model = keras.Model(x, layers.Dense(2, name="b", dtype="float64", use_bias=False)(y))
    model.get_layer("a").kernel.assign([[0.5, 2.0], [1.0, 4.0]])
    model.get_layer("b").kernel.assign([[1.0 - 1e-12, 3.0], [0.25, 1.0 + 1e-12]])
    pruned = edit(tmp_path, model, "prune: {layers: '*', sparsity: 0.375, scope: global}")
    first, second = kernels(pruned)
    assert first.tolist() == [[0.0, 2.0], [1.0, 4.0]]
    assert second.tolist() == [[0.0, 3.0], [0.0, 1.0 + 1e-12]]


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_more_sparsity_may_follow_less_and_takes_over_its_zeros(scope: str, tmp_path: Path):
    model = zoo.ZOO["image_classifier"]()
    step = "prune: {{layers: '*', sparsity: {}, scope: {}}}"
    half = edit(tmp_path, model, step.format(0.5, scope))
    more = edit(tmp_path, half, step.format(0.7, scope))
    assert differences(more, edit(tmp_path, model, step.format(0.7, scope))) == []
    assert differences(more, edit(tmp_path, model, step.format(0.5, scope), step.format(0.7, scope))) == []
    assert differences(half, edit(tmp_path, half, step.format(0.3, scope))) == []


def test_kernels_of_every_kind_are_meant_and_nothing_else(tmp_path: Path):
    x = keras.Input((6,), dtype="int32", name="words")
    y = layers.Embedding(9, 4, name="words_in")(x)
    y = layers.MultiHeadAttention(2, 2, name="attention")(y, y)
    y = layers.SeparableConv1D(4, 3, padding="same", name="separable")(y)
    y = layers.DepthwiseConv1D(3, padding="same", name="depthwise")(y)
    y = layers.EinsumDense("abc,cd->abd", (6, 4), bias_axes="d", name="einsum")(y)
    y = layers.BatchNormalization(name="bn")(y)
    y = layers.PReLU(name="prelu")(y)
    y = layers.Bidirectional(layers.LSTM(3, name="lstm"), name="both")(y)
    model = keras.Model(x, layers.Dense(2, name="head")(y))
    zoo.registry.perturb(model, 3)
    pruned = edit(tmp_path, model, "prune: {layers: '*', sparsity: 0.5}")
    kinds = {line.removeprefix("~ ") for line in differences(model, pruned)}
    assert kinds == {
        "attention/kernel",
        "both/kernel",
        "both/recurrent_kernel",
        "depthwise/kernel",
        "einsum/kernel",
        "head/kernel",
        "separable/depthwise_kernel",
        "separable/pointwise_kernel",
        "words_in/embeddings",
    }
    for before, after in zip(model.weights, pruned.weights, strict=True):
        zeros = int((after.numpy() == 0).sum())
        assert zeros == (round(0.5 * before.numpy().size) if "kernel" in before.path or "emb" in before.path else 0)


def test_a_shared_layer_is_pruned_once_and_a_subclassed_model_too(tmp_path: Path):
    shared = zoo.ZOO["nested_called_three_times"]()
    after = edit(tmp_path, shared, "prune: {layers: '**', sparsity: 0.5, scope: global}")
    wanted = smallest_gone(
        np.concatenate(
            [zoo.weights_by_path(shared)[path].reshape(-1) for path in zoo.weights_by_path(shared) if "kernel" in path]
        ),
        0.5,
    )
    found = [values.reshape(-1) for path, values in zoo.weights_by_path(after).items() if "kernel" in path]
    assert same_bits(np.concatenate(found), wanted)
    opaque = zoo.ZOO["subclassed"]()
    after = edit(tmp_path, opaque, "prune: {layers: stem, sparsity: 0.5}")
    assert [int((weight.numpy() == 0).sum()) for weight in after.weights if (weight.numpy() == 0).any()] == [8]


def test_a_kernel_that_keras_saves_twice_counts_once(tmp_path: Path):
    model = zoo.ZOO["spectral_normalisation"]()
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", "prune: {layers: spectral, sparsity: 0.5, scope: global}", "save: o.keras")
    assert outcome.steps[1].changes[0].what == "kernel, conv/kernel, some of 54 → 0"
    assert outcome.steps[1].notes == ("50 % of 54 → 0, chosen over 1 weight together",)
    [kernel] = [weight.numpy() for weight in load(tmp_path / "o.keras").weights if weight.name == "kernel"]
    assert (kernel == 0).sum() == 27


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_new_layers_are_pruned_after_they_are_made(scope: str, tmp_path: Path):
    model = zoo.ZOO["chain"]()
    added = "insert: {after: first, layer: {class: Dense, config: {units: 8}, name: added}}"
    after = edit(
        tmp_path,
        model,
        added,
        f"prune: {{layers: {{any: [added, second]}}, sparsity: 0.5, scope: {scope}}}",
    )
    zeros = [int((after.get_layer(name).kernel.numpy() == 0).sum()) for name in ("added", "second")]
    assert sum(zeros) == (64 + 48) // 2
    assert scope == "global" or zeros == [32, 24]


def test_the_plan_says_how_many_become_zero(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    outcome = run(
        tmp_path,
        "load: m.keras",
        "prune: {layers: second, sparsity: 0.5}",
        "prune: {layers: {any: [first, second]}, sparsity: 0.75, scope: global}",
        "save: out.keras",
    )
    first, second = outcome.steps[1:3]
    assert [change.what for change in first.changes] == ["kernel, 50 % of 48 → 0"]
    assert [change.what for change in second.changes] == ["kernel, some of 32 → 0", "kernel, some of 48 → 0"]
    assert second.notes == ("75 % of 80 → 0, chosen over 2 weights together",)
    assert outcome.outputs[0].how == "streamed"


def test_a_share_that_leaves_nothing_is_refused(tmp_path: Path):
    error = refuse(tmp_path, "load: m.keras", "prune: {layers: first, sparsity: 50}")
    assert isinstance(error, Problems)
    assert told(error.problems[0]) == "4:38: prune.sparsity: must be less than 1, not 50"


def test_layers_without_kernels_are_refused(tmp_path: Path):
    assert refuse_edit(tmp_path, zoo.ZOO["residual"](), "prune: {layers: bn_1, sparsity: 0.5}") == (
        "4:21: prune.layers: 'bn_1' has no kernel; name the weights that are meant, of 'beta', 'gamma', 'moving_mean',"
        " 'moving_variance'"
    )


def test_integers_are_refused(tmp_path: Path):
    step = "prune: {layers: first, weights: '*', sparsity: 0.5}"
    assert refuse_edit(tmp_path, zoo.ZOO["quantized_int8"](), step) == (
        "4:37: prune.weights: '0' of 'first' is int8, which holds no fractions; name the weights that are meant"
    )
