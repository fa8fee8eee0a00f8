"""`during` against plain Keras: every edit after exactly its batches, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.live.training.plain import (
    LOSS,
    batches,
    carry_out,
    different,
    fit,
    network,
    numbers,
    trained,
    training,
)
from tests.running import OUTPUT, load, same_bits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SGD = "optimizer: {class: SGD, config: {learning_rate: 0.1}}"
DECAY = "during: [{every: 5 batches, do: [{rescale: {layers: second, weights: kernel, factor: 0.9}}]}]"


def decayed(model: keras.Model) -> Callable[[], None]:
    kernel = model.get_layer("second").kernel
    return lambda: kernel.assign(kernel.numpy() * np.float32(0.9))


@pytest.mark.parametrize("block", [1, 3, 8])
def test_edits_come_after_exactly_their_batches(block: int, tmp_path: Path):
    """22 examples in batches of 4 are 6 batches, the last one smaller; 3 epochs have 3 edits."""
    step = training(f"batch_size: 4, epochs: 3, learning_rate: 0.01, steps_per_execution: {block}, {DECAY}")
    found = trained(tmp_path, network(), step)
    wanted = network()
    edit = decayed(wanted)
    fit(wanted, batches(tmp_path, step), optimizer=keras.optimizers.Adam(0.01), after={5: edit, 10: edit, 15: edit})
    assert different(found, wanted) == []


def test_edits_count_on_over_epochs_without_remainders_and_by_steps(tmp_path: Path):
    step = training(f"batch_size: 4, steps: 13, drop_remainder: true, learning_rate: 0.01, {DECAY}")
    outcome = carry_out(tmp_path, network(), step)
    wanted = network()
    edit = decayed(wanted)
    fit(wanted, batches(tmp_path, step), optimizer=keras.optimizers.Adam(0.01), after={5: edit, 10: edit})
    assert different(load(tmp_path / OUTPUT), wanted) == []
    assert outcome.steps[1].notes[-1] == "every 5 batches: rescale, done 2 times"


def test_what_is_frozen_keeps_its_bits_and_begins_to_learn_when_it_is_unfrozen(tmp_path: Path):
    freeze = "freeze: {layers: {any: [first, norm]}}"
    unfreeze = "during: [{at: batch 4, do: [{unfreeze: {layers: {any: [first, norm]}, batch_norm: train}}]}]"
    model = network()
    still = trained(tmp_path, model, freeze, training(f"batch_size: 4, steps: 4, {SGD}, {unfreeze}"))
    own = {name for name in numbers(model) if name.startswith(("first", "norm"))}
    assert set(different(still, model)) == numbers(model).keys() - own
    step = training(f"batch_size: 4, steps: 5, {SGD}, {unfreeze}")
    moved = trained(tmp_path, model, freeze, step)
    assert set(different(moved, model)) == set(numbers(model))
    wanted = network()
    for name in ("first", "norm"):
        wanted.get_layer(name).trainable = False
    given = batches(tmp_path, freeze, step)
    fit(wanted, given[:4], optimizer=keras.optimizers.SGD(0.1))
    for name in ("first", "norm"):
        wanted.get_layer(name).trainable = True
    fit(wanted, given[4:], optimizer=keras.optimizers.SGD(0.1))
    assert different(moved, wanted) == []


def test_a_layer_that_is_frozen_in_the_middle_stays_as_it_was_then(tmp_path: Path):
    text = f"batch_size: 4, {SGD}, during: [{{at: batch 3, do: [{{freeze: {{layers: {{any: [first, norm]}}}}}}]}}]"
    early = trained(tmp_path, network(), training(f"steps: 3, {text}"))
    late = trained(tmp_path, network(), training(f"steps: 9, {text}"))
    own = {name for name in numbers(early) if name.startswith(("first", "norm"))}
    assert set(different(early, late)) == numbers(early).keys() - own
    assert not late.get_layer("norm").trainable


def test_masks_hold_whatever_moves_the_weights(tmp_path: Path):
    """Momentum, decay and noise would bring zeros to life; looked at after a batch and after an edit."""
    text = (
        "batch_size: 4, optimizer: {class: AdamW, config: {learning_rate: 0.1, weight_decay: 0.1}},"
        "during: [{at: start, do: [{prune: {layers: second, sparsity: 0.5}}]},"
        " {every: 2 batches, do: [{noise: {layers: second, weights: kernel, stddev: 0.1}}]}]"
    )
    model = network()
    kernel = model.get_layer("second").kernel.numpy()
    zero = np.abs(kernel) < np.sort(np.abs(kernel), axis=None)[kernel.size // 2]
    for steps in (2, 3):
        found = trained(tmp_path, model, training(f"steps: {steps}, {text}"))
        assert np.array_equal(found.get_layer("second").kernel.numpy() == 0, zero)


def test_a_cubic_ramp_prunes_as_much_as_the_formula_says_and_ends_at_its_goal(tmp_path: Path):
    text = (
        "batch_size: 4, learning_rate: 0.01, during: [{every: 2 batches, until: batch 9, "
        "ramp: {sparsity: {from: 0.0, shape: cubic}}, do: [{prune: {layers: second, sparsity: 0.9}}]}]"
    )
    zeros = []
    for steps in (2, 4, 6, 9, 12):
        limited = text.replace("batch 9", f"batch {9}")
        found = trained(tmp_path, network(), training(f"steps: {max(steps, 2)}, {limited}"))
        zeros.append(int((found.get_layer("second").kernel.numpy() == 0).sum()))
    goal = [0.9 * (1 - (1 - time / last) ** 3) for time, last in ((2, 2), (4, 4), (6, 6), (8, 8), (8, 8))]
    assert zeros == [round(48 * share) for share in goal]


def test_a_dropout_rate_that_is_set_counts_from_the_next_batch_on(tmp_path: Path):
    step = training(
        f"batch_size: 4, steps: 5, {SGD}, during: [{{at: batch 2, do: [{{configure: {{layers: drop, config: {{rate: 0.75}}}}}}]}}]"
    )
    found = trained(tmp_path, network(), step)
    wanted = fit(network(), batches(tmp_path, step)[:2], optimizer=keras.optimizers.SGD(0.1))
    wanted.get_layer("drop").rate = 0.75
    fit(wanted, batches(tmp_path, step)[2:], optimizer=keras.optimizers.SGD(0.1))
    assert different(found, wanted) == []
    assert found.get_layer("drop").rate == 0.75


def test_a_strength_of_a_regularizer_that_is_set_counts_from_the_next_batch_on(tmp_path: Path):
    step = training(
        f"batch_size: 4, steps: 5, {SGD}, during: [{{at: batch 2, do: [{{regularize: {{layers: second, l2: 0.5}}}}]}}]"
    )
    found = trained(tmp_path, network(), step)
    wanted = fit(network(), batches(tmp_path, step)[:2], optimizer=keras.optimizers.SGD(0.1))
    wanted.get_layer("second").kernel.regularizer = keras.regularizers.L2(0.5)
    fit(wanted, batches(tmp_path, step)[2:], optimizer=keras.optimizers.SGD(0.1))
    assert different(found, wanted) == []


def test_all_pulls_on_a_weight_stay_when_a_regularizer_comes(tmp_path: Path):
    """Strengths 2 and 4 are 6 together."""
    entry = "during: [{at: start, do: [{regularize: {layers: second, l2: 1.0e-9}}]}]"
    kernels = [
        trained(
            tmp_path,
            network(),
            training(f"batch_size: 4, steps: 5, {SGD}, penalties: [{pulls}], {entry}"),
        )
        .get_layer("second")
        .kernel.numpy()
        for pulls in ("{l2_sp: 6, layers: second}", "{l2_sp: 2, layers: second}, {l2_sp: 4, layers: second}")
    ]
    assert np.allclose(*kernels, rtol=0, atol=1e-6)


def test_a_pull_towards_the_start_stays_when_a_regularizer_comes(tmp_path: Path):
    pull = "penalties: [{l2_sp: 100, layers: second, weights: kernel}]"
    entry = "during: [{at: start, do: [{regularize: {layers: second, l2: 1.0e-9}}]}]"
    text = "batch_size: 4, epochs: 2, optimizer: {class: SGD, config: {learning_rate: 0.005}}"
    start = network().get_layer("second").kernel.numpy()
    moved = [
        np.abs(trained(tmp_path, network(), training(f"{text}, {more}")).get_layer("second").kernel.numpy() - start)
        for more in ("metrics: [accuracy]", pull, f"{pull}, {entry}")
    ]
    assert moved[1].sum() < 0.5 * moved[0].sum()
    assert np.allclose(moved[1], moved[2], atol=1e-6)


def sleeping() -> keras.Model:
    keras.utils.set_random_seed(3)
    enter = keras.Input((5,), name="enter")
    inner = layers.Dropout(0.0, seed=11, name="drop")(layers.Dense(8, name="first")(enter))
    return keras.Model(enter, layers.Dense(3, activation="softmax", name="last")(inner))


def test_a_dropout_that_drops_nothing_can_be_woken(tmp_path: Path):
    step = training(
        f"batch_size: 4, steps: 4, {SGD}, during: [{{at: batch 2, do: [{{configure: {{layers: drop, config: {{rate: 0.5}}}}}}]}}]"
    )
    still = trained(tmp_path, sleeping(), training(f"batch_size: 4, steps: 4, {SGD}"))
    found = trained(tmp_path, sleeping(), step)
    assert found.get_layer("drop").rate == 0.5
    assert different(found, still) == ["first/kernel", "first/bias", "last/kernel", "last/bias"]


def recurrent() -> keras.Model:
    keras.utils.set_random_seed(3)
    enter = keras.Input((5,), name="enter")
    inner = layers.Reshape((5, 1), name="steps")(enter)
    inner = layers.Bidirectional(layers.LSTM(3, dropout=0.2, seed=4, name="lstm"), name="both")(inner)
    return keras.Model(enter, layers.Dense(3, activation="softmax", name="last")(inner))


def attentive() -> keras.Model:
    keras.utils.set_random_seed(3)
    enter = keras.Input((5,), name="enter")
    inner = layers.Reshape((5, 1), name="steps")(enter)
    inner = layers.MultiHeadAttention(2, 4, dropout=0.2, seed=4, name="attention")(inner, inner)
    inner = layers.Flatten(name="flat")(inner)
    return keras.Model(enter, layers.Dense(3, activation="softmax", name="last")(inner))


def set_recurrent(model: keras.Model) -> None:
    both = model.get_layer("both")
    for layer in (both.forward_layer, both.backward_layer):
        layer.cell.dropout = 0.6
        layer.cell.kernel.regularizer = keras.regularizers.L2(0.3)


def set_attentive(model: keras.Model) -> None:
    layer = model.get_layer("attention")
    layer._dropout = layer._dropout_layer.rate = 0.6
    for inner in (layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense):
        inner.kernel.regularizer = keras.regularizers.L2(0.3)


@pytest.mark.parametrize(
    ("make", "layer", "weights", "change"),
    [
        (recurrent, "both", "'*/kernel'", set_recurrent),
        (attentive, "attention", "'*kernel'", set_attentive),
    ],
    ids=["in a cell", "in layers that are made when it is built"],
)
def test_settings_reach_what_stands_inside_a_layer(
    make: Callable[[], keras.Model],
    layer: str,
    weights: str,
    change: Callable[[keras.Model], None],
    tmp_path: Path,
):
    regularizer = "{class_name: L2, config: {l2: 0.3}}"
    config = f"{{dropout: 0.6, kernel_regularizer: {regularizer}}}"
    step = training(
        f"batch_size: 4, steps: 4, {SGD}, during: [{{at: batch 2, do: [{{configure: {{layers: {layer}, config: {config}}}}}]}}]"
    )
    del weights
    found = trained(tmp_path, make(), step)
    wanted = fit(make(), batches(tmp_path, step)[:2], optimizer=keras.optimizers.SGD(0.1))
    change(wanted)
    fit(wanted, batches(tmp_path, step)[2:], optimizer=keras.optimizers.SGD(0.1))
    assert different(found, wanted) == []


def test_a_decayed_layer_with_every_option_at_once(tmp_path: Path):
    """Accumulated gradients, clipping, weights of examples and of labels, and an edit."""
    data = "npz: data.npz, sample_weight: w"
    step = training(
        f"batch_size: 4, epochs: 2, class_weight: {{0: 2, 2: 0.5}}, {SGD}, clip_gradients: {{global_norm: 0.5}}, {DECAY}",
        data=data,
    )
    found = trained(tmp_path, network(), step)
    wanted = network()
    edit = decayed(wanted)
    given: list[Any] = []
    for x, y, w in batches(tmp_path, step):
        counted = np.array([2, 1, 0.5], np.float32)[y.numpy()]
        given.append((x, y, counted * w.numpy()))
    fit(wanted, given, optimizer=keras.optimizers.SGD(0.1, global_clipnorm=0.5), after={5: edit, 10: edit}, loss=LOSS)
    assert different(found, wanted) == []
    assert same_bits(found.get_layer("last").bias.numpy(), wanted.get_layer("last").bias.numpy())


def test_zeros_hold_in_the_mean_that_the_optimizer_keeps(tmp_path: Path):
    text = (
        "batch_size: 4, steps: 6, optimizer: {class: Adam, config: {use_ema: true, ema_momentum: 0.9}},"
        " during: [{at: batch 4, do: [{prune: {layers: second, sparsity: 0.5}}]}]"
    )
    kernel = trained(tmp_path, network(), training(text)).get_layer("second").kernel.numpy()
    assert (kernel == 0).sum() == kernel.size // 2


def test_it_is_told_when_the_best_epoch_was_before_the_zeros(tmp_path: Path):
    text = (
        "batch_size: 4, epochs: 3, restore_best: val_loss, optimizer: {class: SGD, config: {learning_rate: 0.0}},"
        " during: [{at: epoch 2, do: [{prune: {layers: second, sparsity: 0.5}}]}]"
    )
    notes = carry_out(tmp_path, network(), training(text, data="npz: data.npz, validation: 6")).steps[1].notes
    best = next(note for note in notes if note.startswith("weights of epoch"))
    is_early = best.startswith("weights of epoch 1:")
    assert ("24 weights that were pruned after epoch 1 are therefore not zero" in notes) is is_early
