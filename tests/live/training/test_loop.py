"""`train` against plain Keras: the same bits after the same batches."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import keras
import pytest
from keras import layers

from tests.live.training.plain import batches, different, fit, network, numbers, trained, training, write_data
from tests.running import OUTPUT, SOURCE, load, run, same_bits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPTIMIZERS: dict[str, tuple[str, Any]] = {
    "adam": ("optimizer: Adam", lambda: keras.optimizers.Adam()),
    "momentum": (
        "optimizer: {class: SGD, config: {learning_rate: 0.1, momentum: 0.9}}",
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    ),
    "decoupled decay": (
        "optimizer: {class: AdamW, config: {learning_rate: 0.01, weight_decay: 0.1}}",
        lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    ),
    "clipped": (
        "optimizer: {class: SGD, config: {learning_rate: 0.1}}, clip_gradients: {norm: 0.1}",
        lambda: keras.optimizers.SGD(0.1, clipnorm=0.1),
    ),
    "clipped together": (
        "learning_rate: 0.01, clip_gradients: {global_norm: 0.2}",
        lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.2),
    ),
    "accumulated": (
        "learning_rate: 0.01, accumulate: 3",
        lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=3),
    ),
    "averaged": (
        "optimizer: {class: Adam, config: {use_ema: true, ema_momentum: 0.5}}",
        lambda: keras.optimizers.Adam(use_ema=True, ema_momentum=0.5),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_has_the_bits_of_plain_keras(name: str, tmp_path: Path):
    text, optimizer = OPTIMIZERS[name]
    step = training(f"batch_size: 4, epochs: 2, {text}")
    found = trained(tmp_path, network(), step)
    wanted = fit(network(), batches(tmp_path, step), optimizer=optimizer())
    if name == "averaged":
        wanted.optimizer.finalize_variable_values(wanted.trainable_variables)
    assert different(found, wanted) == []
    assert different(found, network()) != []


def test_the_optimizers_averages_are_the_weights_at_half_precision_too(tmp_path: Path):
    """At momentum 1 they stay what the weights are after the first batch."""
    text = "batch_size: 4, precision: mixed_float16, optimizer: {class: SGD, config: {learning_rate: 0.1"
    averaged = f"{text}, use_ema: true, ema_momentum: 1.0}}}}"
    found = trained(tmp_path, network(), training(f"{averaged}, steps: 5"))
    wanted = trained(tmp_path, network(), training(f"{text}}}}}, steps: 1"))
    assert different(found, wanted) == ["norm/moving_mean", "norm/moving_variance"]


def two_outputs() -> keras.Model:
    keras.utils.set_random_seed(3)
    enter = keras.Input((5,), name="enter")
    shared = layers.Dense(6, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.1), name="shared")(enter)
    kind = layers.Dense(3, activation="softmax", name="kind")(shared)
    return keras.Model(enter, {"kind": kind, "size": layers.Dense(1, name="size")(shared)})


def test_several_outputs_with_losses_of_their_own(tmp_path: Path):
    step = training(
        f"batch_size: 4, epochs: 2, {OPTIMIZERS['momentum'][0]}, loss_weights: {{kind: 0.5, size: 2}},"
        " metrics: {kind: accuracy, size: mae}",
        data="npz: data.npz, y: {kind: y, size: z}",
        loss="{kind: sparse_categorical_crossentropy, size: mse}",
    )
    found = trained(tmp_path, two_outputs(), step)
    wanted = fit(
        two_outputs(),
        batches(tmp_path, step),
        optimizer=OPTIMIZERS["momentum"][1](),
        loss={"kind": "sparse_categorical_crossentropy", "size": "mse"},
        loss_weights={"kind": 0.5, "size": 2},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
    )
    assert different(found, wanted) == []


def test_outputs_go_by_their_keys_where_these_are_not_the_names_of_layers(tmp_path: Path):
    def keyed() -> keras.Model:
        model = two_outputs()
        return keras.Model(
            model.inputs, {"which": model.get_layer("kind").output, "big": model.get_layer("size").output}
        )

    losses = {"which": "sparse_categorical_crossentropy", "big": "mse"}
    step = training(
        "batch_size: 4, epochs: 2, optimizer: {class: SGD, config: {learning_rate: 0.1}}, loss_weights: {big: 0.5},"
        " metrics: {which: accuracy}",
        data="npz: data.npz, y: {which: y, big: z}",
        loss="{which: sparse_categorical_crossentropy, big: mse}",
    )
    found = trained(tmp_path, keyed(), step)
    wanted = fit(
        keyed(),
        batches(tmp_path, step),
        optimizer=keras.optimizers.SGD(0.1),
        loss=losses,
        loss_weights={"which": 1.0, "big": 0.5},
    )
    assert different(found, wanted) == []


def test_losses_in_a_list_are_those_of_the_outputs_in_order(tmp_path: Path):
    """Weights by name go to the outputs of these names, though Keras would sort them: 'kind' before 'size'."""

    def listed() -> keras.Model:
        model = two_outputs()
        return keras.Model(model.inputs, [model.get_layer("size").output, model.get_layer("kind").output])

    step = training(
        "batch_size: 4, epochs: 2, optimizer: {class: SGD, config: {learning_rate: 0.1}},"
        " loss_weights: {kind: 2, size: 0.25}",
        data="npz: data.npz, y: {kind: y, size: z}",
        loss="[mse, sparse_categorical_crossentropy]",
    )
    found = trained(tmp_path, listed(), step)
    wanted = fit(
        listed(),
        batches(tmp_path, step),
        optimizer=keras.optimizers.SGD(0.1),
        loss=["mse", "sparse_categorical_crossentropy"],
        loss_weights=[0.25, 2],
    )
    assert different(found, wanted) == []


def test_an_output_whose_loss_has_no_weight_counts_once(tmp_path: Path):
    text = "batch_size: 4, epochs: 2, loss_weights: "
    some, both = (
        trained(
            tmp_path,
            two_outputs(),
            training(
                text + weights,
                data="npz: data.npz, y: {kind: y, size: z}",
                loss="{kind: sparse_categorical_crossentropy, size: mse}",
            ),
        )
        for weights in ("{size: 2}", "{kind: 1, size: 2}")
    )
    assert different(some, both) == []


def two_inputs() -> keras.Model:
    keras.utils.set_random_seed(3)
    one, other = keras.Input((5,), name="one"), keras.Input((1,), name="other")
    twice = layers.Dense(5, activation="relu", name="twice")
    joined = layers.Concatenate(name="joined")([twice(twice(one)), other])
    return keras.Model({"one": one, "other": other}, layers.Dense(3, activation="softmax", name="last")(joined))


def nested() -> keras.Model:
    keras.utils.set_random_seed(3)
    inner = keras.Sequential(
        [keras.Input((5,)), layers.Dense(4, name="dense"), layers.BatchNormalization(name="norm")], name="inner"
    )
    enter = keras.Input((5,), name="enter")
    hidden = layers.Dense(5, name="dense")(enter)
    return keras.Model(enter, layers.Dense(3, activation="softmax", name="last")(inner(hidden)))


def in_a_row() -> keras.Model:
    keras.utils.set_random_seed(3)
    row = [layers.Dense(4, activation="relu", name="first"), layers.Dense(3, activation="softmax", name="last")]
    return keras.Sequential([keras.Input((5,)), *row], name="row")


@pytest.mark.parametrize(
    ("make", "data"),
    [(two_inputs, "npz: data.npz, x: {one: x, other: z}"), (nested, "npz: data.npz"), (in_a_row, "npz: data.npz")],
    ids=["a shared layer and named inputs", "a model inside", "Sequential"],
)
def test_other_kinds_of_models(make: Callable[[], keras.Model], data: str, tmp_path: Path):
    step = training("batch_size: 4, epochs: 2, learning_rate: 0.01", data=data)
    found = trained(tmp_path, make(), step)
    wanted = fit(make(), batches(tmp_path, step), optimizer=keras.optimizers.Adam(0.01))
    assert different(found, wanted) == []
    assert len(different(found, make())) == len(numbers(make()))


def test_groups_tell_layers_of_one_name_apart(tmp_path: Path):
    """Both paths of variables are `dense/kernel`."""
    text = "batch_size: 4, steps: 1, optimizer: {class: SGD, config: {learning_rate: 0.5}}, rates:"
    model = nested()
    found = trained(tmp_path, model, training(f"{text} [{{layers: inner/dense, factor: 0}}]"))
    still = next(layer for layer in found.layers if isinstance(layer, keras.Sequential)).get_layer("dense")
    before = next(layer for layer in model.layers if isinstance(layer, keras.Sequential)).get_layer("dense")
    assert same_bits(still.kernel.numpy(), before.kernel.numpy())
    assert not same_bits(found.get_layer("dense").kernel.numpy(), model.get_layer("dense").kernel.numpy())


def test_an_old_hdf5_file_is_trained_as_well(tmp_path: Path):
    model = network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / "m.h5")
    write_data(tmp_path)
    step = training("batch_size: 4, epochs: 2, learning_rate: 0.01")
    run(tmp_path, "load: m.h5", step, f"save: {OUTPUT}", head="seed: 3")
    model.save(tmp_path / SOURCE)
    wanted = fit(network(), batches(tmp_path, step), optimizer=keras.optimizers.Adam(0.01))
    assert different(load(tmp_path / OUTPUT), wanted) == []


def test_what_callbacks_say_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    callback = "{class: EarlyStopping, config: {monitor: loss, patience: 1, min_delta: 10, verbose: 1}}"
    trained(tmp_path, network(), training(f"batch_size: 4, epochs: 3, callbacks: [{callback}]"))
    said = capsys.readouterr()
    assert said.out == ""
    assert "Epoch 2: early stopping" in said.err


def test_many_trainings_and_measurements_are_without_remarks_of_tensorflow(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    evaluate = "evaluate: {data: {npz: data.npz}, metrics: accuracy}"
    trained(tmp_path, network(), *[training("batch_size: 4, steps: 1"), evaluate] * 7)
    assert "retracing" not in capfd.readouterr().err
    assert "retracing" not in caplog.text
