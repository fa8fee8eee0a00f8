"""Real model files of other people, carried through recipes; reference outputs come from the Keras that wrote them.

Those that plain Keras opens go through every kind of edit, the others through their repairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import keras
import numpy as np
import pytest

from modelrecipe import formats
from modelrecipe.conversion import conversion_recipe
from modelrecipe.inspection import inspect_file
from modelrecipe.run import run_recipe
from tests import test_shared_weights
from tests.running import differences, leaves, names, refuse, run, told, write_recipe

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
MENDED = {
    "countnet_rnn.h5": (
        "sequential-list",
        "sequential-shape",
        "inner-modules",
        "keras-1-arguments",
        "keras-1-arrays",
        "hard-sigmoid",
    ),
    "dl4j_keras1_lstm_tf.h5": (
        "sequential-list",
        "sequential-shape",
        "keras-1-arguments",
        "keras-1-arrays",
        "hard-sigmoid",
    ),
    "dl4j_keras2_bilstm.h5": ("sequential-list", "sequential-shape", "inner-modules", "hard-sigmoid"),
    "dl4j_keras2_lstm.h5": ("sequential-list", "sequential-shape", "hard-sigmoid"),
    "dl4j_nadam_compiled.h5": ("sequential-list", "sequential-shape"),
    "dl4j_wgan_discriminator.h5": ("sequential-list", "sequential-shape"),
    "eegnet_8_2_weights.h5": ("removed-arguments", "initializer-dtype"),
    "mlperf_vww_mobilenet.h5": ("removed-arguments",),
    "sleap_unet_bottomup.h5": ("removed-arguments",),
    "sleap_unet_centroid.h5": ("removed-arguments",),
    "stm_yamnet256_backbone.h5": ("removed-arguments", "slash-names"),
    "sudoku_digits.keras": ("windows-groups", "keras-2-groups"),
    "tensorspace_lenet_mnist.h5": ("sequential-list",),
}
LAMBDA, LAMBDAS, FOREIGN = "behavioral_cloning_nvidia.h5", "dl4j_lambda.h5", "basic_pitch_nmp"
everywhere = pytest.mark.parametrize("name", FILES)
here_and_there = pytest.mark.parametrize("name", FILES[::2])

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
    if source.name in MENDED:
        return
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


@here_and_there
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


@here_and_there
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


@here_and_there
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


@here_and_there
def test_plan_and_run_agree(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    steps = ("insert: {after: {has: kernel, first: 2}, layer: Identity}", "freeze: {layers: {first: 3}}")
    recipe = write_recipe(tmp_path, f"load: '{source.as_posix()}'", *steps, "save: out.keras")
    planned, done = recipe.plan(), recipe.run()
    assert [step.matched for step in planned.steps] == [step.matched for step in done.steps]
    assert [step.changes for step in planned.steps] == [step.changes for step in done.steps]
    assert planned.after == done.after


def test_no_file_is_left_out(shared_models: Path):
    listed = {*FILES, *MENDED, *test_shared_weights.WEIGHTS, LAMBDA, LAMBDAS, FOREIGN}
    besides = {"INDEX.tsv", "golden", "licences"}
    assert {path.name for path in shared_models.iterdir()} - besides == listed


@everywhere
def test_a_file_that_needs_no_repair_is_streamed(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    origin = formats.read_checkpoint(source).origin
    assert origin is not None
    assert origin.repairs == ()
    step = "rescale: {layers: {has: kernel, last: 1}, weights: kernel, factor: 0.8}"
    recipe = write_recipe(tmp_path, f"load: '{source.as_posix()}'", step, f"save: 'out{source.suffix}'")
    assert [output.how for output in recipe.plan().outputs] == ["streamed"]


@pytest.mark.parametrize("name", MENDED)
def test_an_old_file_becomes_one_that_plain_keras_opens(name: str, shared_models: Path, tmp_path: Path):
    source = shared_models / name
    assert tuple(item.repair for item in inspect_file(source).repairs) == MENDED[name]
    recipe, _ = conversion_recipe(source, tmp_path / "out.keras")
    outcome = run_recipe(recipe)
    assert outcome.outputs[0].how == "built"
    model = plain(tmp_path / "out.keras")
    assert_outputs_as_ever(model, source)
    values = np.random.default_rng(3).random(tuple(size or 2 for size in model.input_shape)).astype("float32")
    assert all(np.isfinite(item).all() for item in keras.tree.flatten(model.predict(values, verbose=0)))


def test_the_zip_of_keras_2_keeps_its_weights(shared_models: Path, tmp_path: Path):
    source = shared_models / "sudoku_digits.keras"
    recipe, _ = conversion_recipe(source, tmp_path / "out.keras")
    run_recipe(recipe)
    stored = formats.read_checkpoint(source).weights
    for layer in plain(tmp_path / "out.keras").layers:
        for variable, tensor in zip(layer.weights, stored.of(layer.name), strict=True):
            assert np.array_equal(np.asarray(variable), tensor.read())


def driver(source: Path) -> keras.Model:
    """The model of the paper that the file is made after, with the file's arrays put in by hand."""
    layers = keras.layers
    convolutions = [(24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1)]
    model = keras.Sequential([layers.Input((66, 200, 3)), layers.Rescaling(1 / 127.5, offset=-1)])
    for filters, size, step in convolutions:
        model.add(layers.Conv2D(filters, size, strides=step, activation="elu"))
    model.add(layers.Flatten())
    for units in (100, 50, 10, 1):
        model.add(layers.Dense(units, activation="elu" if units > 1 else None))
    with h5py.File(source) as file:
        groups = [f"convolution2d_{number}" for number in range(1, 6)] + [f"dense_{number}" for number in range(1, 5)]
        model.set_weights([np.asarray(file[f"model_weights/{name}/{name}_{end}:0"]) for name in groups for end in "Wb"])
    return model


def test_a_lambda_gives_way_to_a_layer(shared_models: Path, tmp_path: Path):
    source = shared_models / LAMBDA
    layer = "{class: Rescaling, config: {scale: 0.00784313725490196, offset: -1}}"
    run(tmp_path, f"load: {{path: '{source.as_posix()}', replace: {{lambda_1: {layer}}}}}", "save: out.keras")
    images = np.random.default_rng(3).integers(0, 256, (2, 66, 200, 3)).astype("float32")
    after, expected = plain(tmp_path / "out.keras")(images), driver(source)(images)
    assert float(np.abs(np.asarray(after) - np.asarray(expected)).max()) <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            LAMBDAS,
            "4:11: save: 'lambda_3' (Lambda) is Python code, which is never executed; put a layer in its place: load: "
            "{path: ..., replace: {lambda_3: {class: ..., config: ...}}}, or register its function in a module named "
            "under imports",
        ),
        (
            FOREIGN,
            "4:11: save: the class 'FlattenAudioCh' of 'flatten_audio_ch_1' is none of Keras' own, and nothing registers "
            "it; name its module under imports and pass --allow-code, or put a layer in its place: load: {path: ..., "
            "replace: {flatten_audio_ch_1: {class: ..., config: ...}}}",
        ),
    ],
)
def test_code_of_others_is_refused_by_layer(name: str, said: str, shared_models: Path, tmp_path: Path):
    error = refuse(tmp_path, f"load: '{(shared_models / name).as_posix()}'", "save: out.keras")
    assert told(error.problems[0] if hasattr(error, "problems") else error) == said
    assert inspect_file(shared_models / name).obstacles
