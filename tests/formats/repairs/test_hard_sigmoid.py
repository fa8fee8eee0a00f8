"""`hard_sigmoid` of files before Keras 3 against tf_keras: the numbers that plain Keras 3 gives after a conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from modelrecipe.formats import read_checkpoint
from modelrecipe.formats.repairs.gate_scaling import Absorbing, Scaled, scaled
from modelrecipe.formats.repairs.hard_sigmoid_layer import is_hard_sigmoid
from modelrecipe.weights import Tensor
from tests.old_keras import assert_same_numbers, convert, perturb, tf_keras, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

old = tf_keras.layers
HARD = "hard_sigmoid"
GATES: dict[str, Any] = {"recurrent_activation": HARD}
BOTH: dict[str, Any] = {"recurrent_activation": HARD, "activation": HARD}


def extreme(*shape: int) -> np.ndarray:
    """Numbers on both sides of every bend of the function, and zero."""
    values = np.random.default_rng(0).uniform(-10, 10, (5, *shape)).astype("float32")
    values[0] = 0
    return values


def chain(shape: tuple[int, ...], *layers: Any) -> Any:
    return perturb(tf_keras.Sequential([tf_keras.Input(shape), *layers]))


def repairs(file: Path) -> tuple[str, ...]:
    origin = read_checkpoint(file).origin
    return tuple(item.repair for item in origin.repairs) if origin else ()


def check(folder: Path, model: Any, values: Any, ending: str = ".h5", places: tuple[str, ...] = ()) -> Any:
    """Convert a file of the old model: the repair says what it mended, and the numbers stay."""
    file = write(model, folder / f"old{ending}")
    origin = read_checkpoint(file).origin
    assert origin is not None
    mended = next(item for item in origin.repairs if item.repair == "hard-sigmoid")
    assert not places or mended.layers == places
    converted = convert(file)
    assert_same_numbers(model, converted, values)
    return converted


SERIES = (7, 4)
IMAGE = (6, 5, 3)
FILM = (3, 6, 5, 2)
LAYERS: list[tuple[tuple[int, ...], Callable[[], Any]]] = [
    (SERIES, lambda: old.LSTM(3, name="x", **GATES)),
    (SERIES, lambda: old.LSTM(3, name="x", use_bias=False, return_sequences=True, **GATES)),
    (SERIES, lambda: old.GRU(3, name="x", **GATES)),
    (SERIES, lambda: old.GRU(3, name="x", reset_after=False, **BOTH)),
    (SERIES, lambda: old.GRU(3, name="x", **BOTH)),
    (SERIES, lambda: old.GRU(3, name="x", activation=HARD)),
    (SERIES, lambda: old.SimpleRNN(3, name="x", activation=HARD)),
    (SERIES, lambda: old.Bidirectional(old.LSTM(3, **GATES), name="x")),
    (SERIES, lambda: old.Bidirectional(old.GRU(3, name="a", **BOTH), merge_mode="sum", name="x")),
    (
        SERIES,
        lambda: old.Bidirectional(
            old.LSTM(3, name="a", **GATES), backward_layer=old.GRU(3, name="b", go_backwards=True, **GATES), name="x"
        ),
    ),
    (SERIES, lambda: old.RNN(old.LSTMCell(3, **GATES), name="x")),
    (SERIES, lambda: old.RNN(old.GRUCell(3, **BOTH), name="x")),
    (SERIES, lambda: old.RNN([old.LSTMCell(3, **GATES), old.GRUCell(2, **GATES)], name="x")),
    (SERIES, lambda: old.RNN([old.LSTMCell(3, **GATES), old.LSTMCell(3)], name="x")),
    (SERIES, lambda: old.TimeDistributed(old.Dense(3, activation=HARD), name="x")),
    (SERIES, lambda: old.TimeDistributed(old.Activation(HARD), name="x")),
    (SERIES, lambda: old.Dense(3, activation=HARD, name="x")),
    (SERIES, lambda: old.Dense(3, activation=HARD, use_bias=False, name="x")),
    (SERIES, lambda: old.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d", activation=HARD, name="x")),
    (SERIES, lambda: old.Conv1D(3, 2, activation=HARD, name="x")),
    (SERIES, lambda: old.Conv1DTranspose(3, 2, activation=HARD, name="x")),
    (SERIES, lambda: old.SeparableConv1D(3, 2, activation=HARD, name="x")),
    (IMAGE, lambda: old.Conv2D(3, 2, activation=HARD, name="x")),
    (IMAGE, lambda: old.Conv2DTranspose(3, 2, activation=HARD, name="x")),
    (IMAGE, lambda: old.DepthwiseConv2D(2, depth_multiplier=2, activation=HARD, name="x")),
    (IMAGE, lambda: old.SeparableConv2D(3, 2, activation=HARD, name="x")),
    (FILM, lambda: old.Conv3D(3, 2, activation=HARD, name="x")),
    ((4, 6, 2), lambda: old.ConvLSTM1D(3, 2, name="x")),
    (FILM, lambda: old.ConvLSTM2D(3, 2, return_sequences=True, name="x")),
    ((2, 4, 4, 3, 2), lambda: old.ConvLSTM3D(3, 2, name="x")),
    (SERIES, lambda: old.Activation(HARD, name="x")),
]


@pytest.mark.parametrize(("shape", "make"), LAYERS)
@pytest.mark.parametrize("ending", [".h5", ".keras"])
def test_every_class_keeps_its_numbers(
    shape: tuple[int, ...], make: Callable[[], Any], ending: str, tmp_path: Path
) -> None:
    check(tmp_path, chain(shape, make()), extreme(*shape), ending, ("x",))


def test_the_written_gates_are_the_stored_ones_times_the_factor(tmp_path: Path) -> None:
    model = chain(SERIES, old.LSTM(2, **GATES))
    converted = check(tmp_path, model, extreme(*SERIES))
    factor = np.array([1.2, 1.2, 1.2, 1.2, 1, 1, 1.2, 1.2])
    for before, after in zip(model.get_weights(), converted.get_weights(), strict=True):
        assert np.array_equal(after, (before * factor).astype("float32"))
    assert converted.layers[-1].recurrent_activation is keras.activations.hard_sigmoid


def test_an_activation_of_the_cell_state_becomes_a_small_model(tmp_path: Path) -> None:
    model = chain(SERIES, old.LSTM(3, name="x", **BOTH))
    check(tmp_path, model, extreme(*SERIES), places=("x",))
    origin = read_checkpoint(tmp_path / "old.h5").origin
    assert origin is not None
    assert origin.remarks[1:] == (
        "the activation of 'x' becomes a Sequential of a Rescaling by 1.2 and hard_sigmoid, as no weights can take the "
        "factor",
    )


def test_a_regularized_kernel_is_remarked_on(tmp_path: Path) -> None:
    model = chain(SERIES, old.Dense(2, activation=HARD, kernel_regularizer="l2", name="x"))
    check(tmp_path, model, extreme(*SERIES))
    origin = read_checkpoint(tmp_path / "old.h5").origin
    assert origin is not None
    assert origin.remarks[1:] == (
        "'x' has kernel_regularizer: in training, they see the weights of its hard_sigmoid times 1.2",
    )


@pytest.mark.parametrize("ending", [".h5", ".keras"])
def test_nested_models_wrappers_of_models_and_shared_layers_keep_their_numbers(ending: str, tmp_path: Path) -> None:
    inner = tf_keras.Sequential(
        [
            tf_keras.Input(SERIES),
            old.GRU(4, return_sequences=True, name="gru", **GATES),
            old.Activation(HARD, name="a"),
        ],
        name="inner",
    )
    step = tf_keras.Sequential([tf_keras.Input((4,)), old.Dense(4, activation=HARD, name="d")], name="step")
    first, second = tf_keras.Input(SERIES), tf_keras.Input(SERIES)
    shared, gate = old.Dense(4, activation=HARD, name="shared"), old.Activation(HARD, name="gate")
    outer = tf_keras.Sequential([tf_keras.Input(SERIES), inner], name="outer")
    left = shared(old.TimeDistributed(step, name="each")(outer(first)))
    right = shared(gate(second))
    model = perturb(tf_keras.Model([first, second], [gate(old.Add(name="sum")([left, right])), right]))
    check(tmp_path, model, [extreme(*SERIES), extreme(*SERIES) / 3], ending)


def test_a_layer_that_two_models_share_takes_the_factor_once(tmp_path: Path) -> None:
    shared = old.Dense(4, activation=HARD, name="shared")
    inner = tf_keras.Sequential([tf_keras.Input(SERIES), old.Dense(4, name="own"), shared], name="inner")
    source = tf_keras.Input(SERIES)
    model = perturb(tf_keras.Model(source, [inner(source), shared(source)]))
    check(tmp_path, model, extreme(*SERIES))


def test_a_file_of_keras_3_is_left_alone(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input(SERIES), keras.layers.LSTM(3, **GATES), keras.layers.Dense(2, HARD)])
    for name in ("new.keras", "new.h5"):
        model.save(tmp_path / name)
        assert repairs(tmp_path / name) == ()


def test_an_old_file_without_the_function_is_left_alone(tmp_path: Path) -> None:
    assert "hard-sigmoid" not in repairs(write(chain(SERIES, old.LSTM(3), old.Dense(2)), tmp_path / "old.h5"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (HARD, True),
        ({"module": "builtins", "class_name": "function", "config": HARD, "registered_name": HARD}, True),
        ({"class_name": "Activation", "config": {"activation": HARD, "name": "a"}}, True),
        ({"class_name": "Activation", "config": {"activation": "relu"}}, False),
        ({"class_name": "function", "config": "mine>hard_sigmoid"}, False),
        ("sigmoid", False),
        (None, False),
    ],
)
def test_the_function_is_known_in_every_form(value: object, expected: bool) -> None:
    assert is_hard_sigmoid(value) is expected


def test_numbers_keep_their_type() -> None:
    values = np.arange(8, dtype="float16").reshape(2, 4)
    read = Scaled(source=lambda: values, blocks=(True, False))()
    assert read.dtype == np.float16
    assert np.array_equal(read, (values.astype("float64") * [1.2, 1.2, 1, 1]).astype("float16"))


def test_weights_whose_names_do_not_tell_take_no_factor() -> None:
    tensors = [Tensor(name=name, slot=name, shape=(2, 4), dtype="float32", source=lambda: np.zeros(1)) for name in "01"]
    assert scaled(Absorbing(("kernel", "bias")), {}, tensors, 1) == {}
