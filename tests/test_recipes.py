"""The shipped recipes do what they say and nothing else: measured with plain Keras on the files that they write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import modelrecipe

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
DIGITS = RECIPES / "digits" / "digits_cnn.keras"
BACKBONE = ("conv1", "bn1", "conv2", "bn2", "features")
EVERY_RECIPE = sorted(RECIPES.glob("*.yaml"))

Weights = dict[str, list["NDArray[np.generic]"]]


def run(name: str, out: Path, **given: object) -> tuple[keras.Model, modelrecipe.Outcome]:
    """Run a shipped recipe into `out`; what it wrote, opened by Keras alone."""
    import keras

    outcome = modelrecipe.load_recipe(RECIPES / f"{name}.yaml", given).run(out=out)
    (written,) = outcome.outputs
    return keras.saving.load_model(out / Path(written.path).name, compile=False), outcome


def source() -> keras.Model:
    import keras

    return keras.saving.load_model(DIGITS)


def weights_of(model: keras.Model) -> Weights:
    return {layer.name: [np.asarray(weight) for weight in layer.weights] for layer in model.layers if layer.weights}


def are_bit_identical(before: Weights, after: Weights, names: tuple[str, ...]) -> bool:
    return all(
        one.dtype == other.dtype and one.tobytes() == other.tobytes()
        for name in names
        for one, other in zip(before[name], after[name], strict=True)
    )


def class_names(model: keras.Model) -> dict[str, str]:
    return {layer.name: type(layer).__name__ for layer in model.layers}


def frozen(model: keras.Model) -> set[str]:
    return {layer.name for layer in model.layers if not layer.trainable}


def digits(classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    with np.load(RECIPES / "digits" / "digits.npz") as data:
        wanted = data["labels"] < classes
        return data["images"][wanted][:64, ..., None].astype("float32"), data["labels"][wanted][:64].astype("int64")


def fit(model: keras.Model, classes: int) -> None:
    import keras

    images, labels = digits(classes)
    keras.utils.set_random_seed(0)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=32, epochs=1, verbose=0)


@pytest.mark.parametrize("path", EVERY_RECIPE, ids=lambda path: path.stem)
def test_recipe_opens_with_the_modeline_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    recipe = modelrecipe.load_recipe(path)
    assert text.startswith("# yaml-language-server: $schema=../schemas/recipe.schema.json\n")
    assert recipe.name == path.stem.replace("_", "-")
    assert recipe.description


@pytest.mark.parametrize("path", EVERY_RECIPE, ids=lambda path: path.stem)
def test_recipe_is_run_by_a_test_of_this_file(path: Path) -> None:
    assert f'run("{path.stem}"' in Path(__file__).read_text(encoding="utf-8")


def test_given_weights_fill_all_but_the_new_classifier(tmp_path: Path) -> None:
    before = source()
    after, outcome = run("given_weights", tmp_path)
    old, new = weights_of(before), weights_of(after)
    assert are_bit_identical(old, new, BACKBONE)
    assert sum(weight.size for weight in new["classes"]) == 32 * 5 + 5
    proof = outcome.outputs[0].proof
    assert proof is not None
    assert (proof.identical, proof.fresh) == (sum(len(old[name]) for name in BACKBONE), 2)


def test_quickstart_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    before = source()
    after, outcome = run("quickstart", tmp_path)
    old, new = weights_of(before), weights_of(after)

    changed = {name for name, kind in class_names(after).items() if class_names(before)[name] != kind}
    assert changed == {"pool1", "pool2"}
    assert {class_names(after)[name] for name in changed} == {"AveragePooling2D"}
    for name in changed:
        keys = ("pool_size", "strides", "padding", "data_format")
        old_config, new_config = before.get_layer(name).get_config(), after.get_layer(name).get_config()
        assert [old_config[key] for key in keys] == [new_config[key] for key in keys]

    assert are_bit_identical(old, new, ("conv1", "bn1", "bn2", "features"))
    assert np.array_equal(new["conv2"][0], old["conv2"][0] * np.float32(0.8))
    assert np.array_equal(new["conv2"][1], old["conv2"][1])

    assert [weight.shape for weight in new["head"]] == [(32, 5), (5,)]
    assert after.get_layer("head").get_config()["activation"] == "softmax"
    assert after.output_shape == (None, 5)
    assert [weight.path for weight in after.trainable_variables] == ["head/kernel", "head/bias"]
    assert frozen(after) == {layer.name for layer in after.layers} - {"image", "head"}
    assert outcome.outputs[0].proof is not None
    assert vars(outcome.outputs[0].proof) == {"identical": 13, "changed": 1, "fresh": 2, "removed": 2}


def test_quickstart_written_out_by_hand_in_keras_gives_the_same_outputs(tmp_path: Path) -> None:
    import keras

    after, _ = run("quickstart", tmp_path)
    before = source()
    images, _ = digits(classes=10)
    x = tensor = keras.Input((8, 8, 1))
    for layer in before.layers[1:]:
        fresh = type(layer).from_config(layer.get_config())
        if isinstance(layer, keras.layers.MaxPooling2D):
            fresh = keras.layers.AveragePooling2D(layer.pool_size, layer.strides, layer.padding)
        if layer.name == "head":
            fresh = keras.layers.Dense(5, activation="softmax")
        x = fresh(x)
        numbers = (after.get_layer("head") if layer.name == "head" else layer).get_weights()
        fresh.set_weights([numbers[0] * np.float32(0.8), numbers[1]] if layer.name == "conv2" else numbers)
    by_hand = keras.Model(tensor, x)
    assert np.array_equal(by_hand.predict(images, verbose=0), after.predict(images, verbose=0))


@pytest.mark.slow
def test_max_to_average_pooling_leaves_every_weight_of_vgg16_alone(tmp_path: Path) -> None:
    import keras

    untouched = tmp_path / "untouched.yaml"
    untouched.write_text(
        "version: 1\nseed: 7\nsteps:\n"
        "  - load: {application: {name: VGG16, weights: null, include_top: false}}\n"
        "  - save: untouched.keras\n",
        encoding="utf-8",
    )
    modelrecipe.load_recipe(untouched).run()
    before = keras.saving.load_model(tmp_path / "untouched.keras")
    after, outcome = run("max_to_average_pooling", tmp_path)

    kinds = list(class_names(after).values())
    assert (kinds.count("AveragePooling2D"), kinds.count("MaxPooling2D")) == (5, 0)
    assert list(class_names(after)) == list(class_names(before))
    assert after.count_params() == before.count_params() == 14_714_688
    assert are_bit_identical(weights_of(before), weights_of(after), tuple(weights_of(before)))
    assert vars(outcome.outputs[0].proof) == {"identical": 26, "changed": 0, "fresh": 0, "removed": 0}

    constant = np.full((1, 9, 8, 3), 0.25, dtype="float32")
    ramp = np.arange(9 * 8 * 3, dtype="float32").reshape(1, 9, 8, 3)
    for number in range(1, 6):
        average, largest = (model.get_layer(f"block{number}_pool") for model in (after, before))
        assert average.compute_output_shape((None, 9, 8, 3)) == largest.compute_output_shape((None, 9, 8, 3))
        assert np.array_equal(average(constant), largest(constant))
        assert (np.asarray(average(ramp)) < np.asarray(largest(ramp))).all()


def test_rescale_layer_scales_one_kernel(tmp_path: Path) -> None:
    after, outcome = run("rescale_layer", tmp_path)
    old, new = weights_of(source()), weights_of(after)
    assert np.array_equal(new["features"][0], old["features"][0] * np.float32(0.8))
    assert np.array_equal(new["features"][1], old["features"][1])
    assert are_bit_identical(old, new, tuple(name for name in old if name != "features"))
    assert frozen(after) == frozen(source())
    assert outcome.outputs[0].how == "streamed"


def test_rescale_layer_takes_layer_and_factor_from_outside(tmp_path: Path) -> None:
    after, _ = run("rescale_layer", tmp_path, layer="conv1", factor=0.5)
    old, new = weights_of(source()), weights_of(after)
    assert np.array_equal(new["conv1"][0], old["conv1"][0] * np.float32(0.5))
    assert np.array_equal(new["conv1"][1], old["conv1"][1])
    assert are_bit_identical(old, new, tuple(name for name in old if name != "conv1"))


@pytest.mark.parametrize("classes", [5, 10])
def test_swap_head_gives_a_new_head_the_features_of_the_old_one(tmp_path: Path, classes: int) -> None:
    import keras

    before = source()
    after, _ = run("swap_head", tmp_path, classes=classes)
    old, new = weights_of(before), weights_of(after)
    assert are_bit_identical(old, new, BACKBONE)
    assert [weight.shape for weight in new["head"]] == [(32, classes), (classes,)]
    assert not np.array_equal(new["head"][0], old["head"][0])
    assert after.get_layer("head").get_config()["activation"] == "softmax"
    assert [weight.path for weight in after.trainable_variables] == ["head/kernel", "head/bias"]

    images, _ = digits(classes=10)
    features = [keras.Model(model.inputs, model.get_layer("dropout").output) for model in (before, after)]
    assert np.array_equal(*(model.predict(images, verbose=0) for model in features))


def test_two_stages_train_the_head_and_then_the_end_of_the_backbone(tmp_path: Path) -> None:
    first, _ = run("two_stage_1", tmp_path)
    old, new = weights_of(source()), weights_of(first)
    assert are_bit_identical(old, new, BACKBONE)
    assert [weight.path for weight in first.trainable_variables] == ["head/kernel", "head/bias"]

    fit(first, classes=5)
    trained = weights_of(first)
    assert are_bit_identical(new, trained, BACKBONE)
    assert not np.array_equal(new["head"][0], trained["head"][0])
    first.save(tmp_path / "trained.keras")

    second, outcome = run("two_stage_2", tmp_path, source=tmp_path / "trained.keras")
    begun = weights_of(second)
    assert are_bit_identical(trained, begun, (*BACKBONE, "head"))
    assert outcome.outputs[0].how == "streamed"
    assert [weight.path for weight in second.trainable_variables] == [
        f"{layer}/{weight}" for layer in ("conv2", "features", "head") for weight in ("kernel", "bias")
    ]

    fit(second, classes=5)
    after = weights_of(second)
    assert are_bit_identical(begun, after, ("conv1", "bn1", "bn2"))
    for name in ("conv2", "features", "head"):
        assert not np.array_equal(begun[name][0], after[name][0])


def test_no_recipe_changes_the_model_that_it_begins_with(tmp_path: Path) -> None:
    before = DIGITS.read_bytes()
    for name in ("quickstart", "rescale_layer", "swap_head"):
        run(name, tmp_path)
    assert DIGITS.read_bytes() == before
