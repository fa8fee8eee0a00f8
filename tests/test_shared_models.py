"""Real model files of other people, carried through recipes; reference outputs come from the Keras that wrote them.

Only files that plain Keras opens: the others are a matter of repair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from tests.running import differences, leaves, names, run, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

TOLERANCE = 1.5e-5
FILES = (
    "art_extraction_mnist.keras",
    "fer_mini_xception_102.hdf5",
    "gender_mini_xception.hdf5",
    "kepler_mlp.keras",
    "mlperf_ad01_autoencoder.h5",
    "mlperf_resnet8_cifar10.h5",
    "sleap_unet_single_robot.h5",
    "stm_har_cnn.h5",
    "stm_miniresnetv2_pooled_backbone.h5",
)
everywhere = pytest.mark.parametrize("name", FILES)

# Keras remarks on what old files contain: a single input in a list, and an input's shape given to a layer.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:[\s\S]*structure of .inputs. doesn't match"),
    pytest.mark.filterwarnings("ignore:Do not pass an .input_shape.:UserWarning"),
]


def plain(path: Path) -> keras.Model:
    return keras.saving.load_model(path, compile=False)


def assert_outputs_as_ever(model: keras.Model, source: Path) -> None:
    """Near the golden outputs where there are some, and always those of the source, bit by bit."""
    golden = source.parent / "golden" / f"{source.name}.npz"
    if golden.exists():
        with np.load(golden) as stored:
            found = keras.tree.flatten(model(stored["x0"].astype("float32"), training=False))
            for number, tensor in enumerate(found):
                assert float(np.abs(np.asarray(tensor) - stored[f"y{number}"]).max()) <= TOLERANCE
    original = plain(source)
    values = np.random.default_rng(3).random((2, *(size or 8 for size in model.input_shape[1:]))).astype("float32")
    for one, other in zip(
        keras.tree.flatten(original(values, training=False)),
        keras.tree.flatten(model(values, training=False)),
        strict=True,
    ):
        assert np.array_equal(np.asarray(one), np.asarray(other))


def carry(folder: Path, source: Path, *steps: str, ending: str = ".keras") -> keras.Model:
    before = source.read_bytes()
    run(folder, f"load: '{source.as_posix()}'", *steps, f"save: 'out{ending}'")
    assert source.read_bytes() == before
    return plain(folder / f"out{ending}")


@everywhere
def test_an_empty_recipe_changes_nothing(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    after = carry(tmp_path, source, ending=source.suffix)
    assert differences(plain(source), after) == []
    assert_outputs_as_ever(after, source)


@everywhere
def test_another_container_changes_nothing(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    after = carry(tmp_path, source)
    assert differences(plain(source), after) == []
    assert_outputs_as_ever(after, source)


@everywhere
def test_identities_and_flags_leave_the_outputs(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    after = carry(tmp_path, source, "insert: {after: '*', layer: Identity}", "freeze: '*'")
    assert after.trainable_weights == []
    assert_outputs_as_ever(after, source)


@everywhere
def test_freezing_streams_into_the_same_container(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    after = carry(tmp_path, source, "freeze: {layers: {has: kernel}}", ending=source.suffix)
    found = differences(plain(source), after)
    assert found
    assert all(line.endswith(" flag") for line in found)
    assert_outputs_as_ever(after, source)


@everywhere
def test_new_names_leave_the_outputs(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    after = carry(tmp_path, source, "rename: {layers: {has: '*'}, to: 'layer_{index}'}", ending=source.suffix)
    assert "layer_0" in names(after)
    assert_outputs_as_ever(after, source)


@everywhere
def test_one_layer_is_rescaled_alone(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    step = "rescale: {layers: {has: kernel, last: 1}, weights: kernel, factor: 0.8}"
    after = carry(tmp_path, source, step, ending=source.suffix)
    [changed] = differences(plain(source), after)
    path = changed.removeprefix("~ ").rpartition("/")[0]
    before = leaves(plain(source))[path].kernel.numpy()
    assert np.array_equal(leaves(after)[path].kernel.numpy(), before * np.asarray(0.8).astype(before.dtype))


@everywhere
def test_relu_layers_give_way_to_equivalent_ones(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    any_number = "expect: '0..999'"
    after = carry(
        tmp_path,
        source,
        f"replace: {{layers: {{type: Activation, config: {{activation: relu}}, {any_number}}}, with: ReLU}}",
        "insert: {after: {role: output}, layer: {class: Activation, config: {activation: linear}}}",
    )
    assert_outputs_as_ever(after, source)


@everywhere
def test_plan_and_run_agree(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    steps = ("insert: {after: {has: kernel, first: 2}, layer: Identity}", "freeze: {layers: {first: 3}}")
    recipe = write_recipe(tmp_path, f"load: '{source.as_posix()}'", *steps, "save: out.keras")
    planned, done = recipe.plan(), recipe.run()
    assert [step.matched for step in planned.steps] == [step.matched for step in done.steps]
    assert [step.changes for step in planned.steps] == [step.changes for step in done.steps]
    assert planned.after == done.after
