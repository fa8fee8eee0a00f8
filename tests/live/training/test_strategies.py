"""Several devices come to what one comes to; each test looks at what one process made of all cases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from tests.live.training.plain import CLASSES, FEATURES, LOSS, write_data
from tests.running import load

ROOT = Path(__file__).resolve().parents[3]
EDITS = (
    ", during: [{every: 3 batches, do: [{rescale: {layers: first, weights: kernel, factor: 0.9}}]},"
    " {at: batch 4, do: [{prune: {layers: second, sparsity: 0.5}}]},"
    " {at: epoch 2, do: [{freeze: {layers: last}}]}]"
)


def training(text: str = "", *, data: str = "", apart: int = 11) -> str:
    """59 examples in batches of 15, 15, 15 and 14; three devices share the last one as 4, 5 and 5. 2 epochs."""
    source = f"npz: ../../data.npz, validation: {apart}{data}"
    return f"train: {{data: {{{source}}}, loss: {LOSS}, batch_size: 15, epochs: 2, metrics: accuracy{text}DEVICES}}"


CASES = {
    "edits": training(EDITS),
    "blocks": training(f", steps_per_execution: 8{EDITS}"),
    "clipped": training(", clip_gradients: {global_norm: 0.05}, optimizer: {class: SGD, config: {learning_rate: 1.0}}"),
    "accumulated": training(", accumulate: 2, clip_gradients: {norm: 0.02}"),
    "weighted": training(", class_weight: {'1': 3.0, '2': 0.5}", data=", sample_weight: w"),
    "pulled": training(", penalties: [{l2_sp: 0.3}], rates: [{layers: first, factor: 0.1}]"),
    "best": training(", restore_best: val_loss, optimizer: {class: AdamW, config: {amsgrad: true}}"),
    "mean": training(", during: [{every: 2 batches, do: [{swa: {}}]}]"),
    "few": training(apart=16),  # batches of 15 and 1 for validation: two devices have nothing of the last one
    "half": training(", precision: mixed_float16"),
    "resumed": training(f", checkpoints: {{every: 3 batches}}{EDITS}"),
    "whole": training(),
    "apart": training(),
    "still": training(", during: [{at: start, do: [{freeze: {layers: norm}}]}]"),
    "dropped": training(),
}
MODELS = {
    "half": "inactive",
    "whole": "synchronised",
    "apart": "normalised",
    "still": "normalised",
    "dropped": "dropping",
}
EXACT = (
    *("edits", "blocks", "clipped", "accumulated", "weighted", "pulled"),
    *("best", "mean", "few", "resumed", "whole", "still"),
)

pytestmark = pytest.mark.slow


def network(*inner: keras.Layer, activity: float = 0.1) -> keras.Model:
    keras.utils.set_random_seed(3)
    enter = keras.Input((FEATURES,), name="enter")
    values = layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01), name="first")(enter)
    for layer in inner:
        values = layer(values)
    regularizer = keras.regularizers.L2(activity) if activity else None
    values = layers.Dense(6, activation="tanh", activity_regularizer=regularizer, name="second")(values)
    return keras.Model(enter, layers.Dense(CLASSES, activation="softmax", name="last")(values))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all cases were carried out."""
    folder = tmp_path_factory.mktemp("devices")
    write_data(folder, 70)
    network().save(folder / "plain.keras")
    network(activity=0).save(folder / "inactive.keras")  # Keras cannot add what float16 layers give to a float32 loss
    network(layers.BatchNormalization(name="norm", momentum=0.5)).save(folder / "normalised.keras")
    # Keras counts the activity of some devices twice in the loss that it shows when they wait for each other midway.
    network(layers.BatchNormalization(name="norm", synchronized=True), activity=0).save(folder / "synchronised.keras")
    network(layers.Dropout(0.5, seed=1, name="drop")).save(folder / "dropping.keras")
    cases = {
        name: {"model": MODELS.get(name, "plain"), "train": train, "resumed": name == "resumed"}
        for name, train in CASES.items()
    }
    (folder / "cases.json").write_text(json.dumps(cases))
    child = subprocess.run(
        [sys.executable, "-m", "tests.live.training.several", str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    return folder


def outcome(folder: Path, case: str, devices: str) -> dict[str, np.ndarray]:
    model = load(folder / case / devices / "out.keras")
    return {variable.path: variable.numpy() for variable in model.weights}


def largest_difference(folder: Path, case: str) -> float:
    one, several = outcome(folder, case, "one"), outcome(folder, case, "three")
    return max(float(np.max(np.abs(one[path] - several[path]))) for path in one)


def notes(folder: Path, case: str, devices: str) -> list[str]:
    return json.loads((folder / "notes.json").read_text())[case][devices]


def values_in(text: str) -> dict[str, float]:
    _, _, told = text.partition("; ")
    return {name: float(value) for name, value in (item.split() for item in told.split(", "))}


def trained_values(folder: Path, case: str, devices: str) -> dict[str, float]:
    return values_in(next(note for note in notes(folder, case, devices) if note.startswith("trained ")))


@pytest.mark.parametrize("case", EXACT)
def test_three_devices_end_with_the_numbers_of_one(done: Path, case: str) -> None:
    assert largest_difference(done, case) < 1e-5


@pytest.mark.parametrize("case", EXACT)
def test_three_devices_measure_what_one_measures(done: Path, case: str) -> None:
    assert trained_values(done, case, "three") == pytest.approx(trained_values(done, case, "one"), rel=1e-3)


def test_devices_drop_units_of_their_own(done: Path) -> None:
    """The first device draws what one device would, the others something else."""
    one, *others = np.load(done / "draws.npy")

    np.testing.assert_array_equal(one, np.load(done / "draw.npy"))
    assert not any(np.array_equal(one, other) for other in others)
    assert not np.array_equal(*others)
    assert largest_difference(done, "dropped") > 1e-4


def test_half_precision_comes_close(done: Path) -> None:
    assert largest_difference(done, "half") < 2e-3


def test_zeros_are_held_on_all_devices(done: Path) -> None:
    kernel = outcome(done, "edits", "three")["second/kernel"]

    assert np.count_nonzero(kernel) == kernel.size // 2


def test_what_a_step_freezes_is_frozen_on_all_devices(done: Path) -> None:
    before = {variable.path: variable.numpy() for variable in load(done / "normalised.keras").weights}
    after = outcome(done, "still", "three")

    for path in ("norm/gamma", "norm/beta", "norm/moving_mean", "norm/moving_variance"):
        np.testing.assert_array_equal(after[path], before[path])


def test_statistics_move_by_the_mean_of_the_devices(done: Path) -> None:
    """The mean of means of the parts is that of the whole; variances of parts lack what lies between them."""
    one, three = outcome(done, "apart", "one"), outcome(done, "apart", "three")

    assert np.max(np.abs(one["norm/moving_mean"] - three["norm/moving_mean"])) < 0.05
    assert np.all(three["norm/moving_variance"] <= one["norm/moving_variance"] + 0.05)


def test_the_report_says_on_how_many_devices(done: Path) -> None:
    said = notes(done, "edits", "three")

    assert "on 3 devices: CPU:0, CPU:1, CPU:2" in said
    assert "3 devices, each with its part of every batch" in said


def test_a_resumed_training_goes_on_from_its_state(done: Path) -> None:
    assert "resumed after batch 6" in notes(done, "resumed", "three")


def test_a_process_that_lets_no_python_run_is_left_with_a_message():
    code = "import time\nfrom modelrecipe.live.training.strategies import _bounded\n"
    stuck = "with _bounded(0.5, 'nobody is there'):\n    time.sleep(60)"
    found = subprocess.run(
        [sys.executable, "-c", code + stuck], capture_output=True, text=True, timeout=50, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "nobody is there\n")
    quick = "with _bounded(60, 'nobody is there'):\n    pass"
    found = subprocess.run(
        [sys.executable, "-c", code + quick], capture_output=True, text=True, timeout=50, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
