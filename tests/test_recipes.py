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
    return open_model(DIGITS)


def open_model(path: Path) -> keras.Model:
    import keras

    return keras.saving.load_model(path, compile=False)


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


@pytest.mark.parametrize(("folder", "page"), [(RECIPES, "recipes.md"), (RECIPES / "training", "training.md")])
def test_every_recipe_is_on_its_page(folder: Path, page: str) -> None:
    text = (RECIPES.parent / "docs" / page).read_text(encoding="utf-8")
    assert [path.name for path in folder.glob("*.yaml") if f"{folder.name}/{path.name})" not in text] == []


def test_given_weights_fill_all_but_the_new_classifier(tmp_path: Path) -> None:
    before = source()
    after, outcome = run("given_weights", tmp_path)
    old, new = weights_of(before), weights_of(after)
    assert are_bit_identical(old, new, BACKBONE)
    assert sum(weight.size for weight in new["classes"]) == 32 * 5 + 5
    proof = outcome.outputs[0].proof
    assert proof is not None
    assert (proof.identical, proof.fresh) == (sum(len(old[name]) for name in BACKBONE), 2)


def test_regularize_head_adds_one_loss_of_the_stated_size(tmp_path: Path) -> None:
    before = source()
    after, outcome = run("regularize_head", tmp_path)
    old, new = weights_of(before), weights_of(after)
    assert are_bit_identical(old, new, (*BACKBONE, "head"))
    assert outcome.outputs[0].how == "streamed"
    assert len(after.losses) == len(before.losses) + 1
    kernel = new["head"][0].astype("float64")
    assert float(after.losses[-1]) == pytest.approx(1e-3 * np.square(kernel).sum(), rel=1e-5)


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


def test_magnitude_prune_zeroes_the_smallest_half_of_each_kernel(tmp_path: Path) -> None:
    after, outcome = run("magnitude_prune", tmp_path)
    old, new = weights_of(source()), weights_of(after)
    for name in old:
        is_kernel = name in ("conv1", "conv2", "features", "head")
        for number, (one, other) in enumerate(zip(old[name], new[name], strict=True)):
            if not is_kernel or number:
                assert one.tobytes() == other.tobytes()
                continue
            gone = other == 0
            assert gone.sum() == round(0.5 * one.size)
            assert one[~gone].tobytes() == other[~gone].tobytes()
            assert np.abs(one[gone]).max() <= np.abs(one[~gone]).min()
    assert outcome.outputs[0].how == "streamed"


def test_shrink_and_perturb_changes_kernels_alone_and_each_seed_otherwise(tmp_path: Path) -> None:
    old = weights_of(source())
    models = [weights_of(run("shrink_and_perturb", tmp_path / str(seed), seed=seed)[0]) for seed in (1, 2)]
    for new in models:
        assert are_bit_identical(old, new, ("bn1", "bn2"))
        for name in ("conv1", "conv2", "features", "head"):
            added = new[name][0].astype("float64") - 0.6 * old[name][0]
            assert abs(added.std() / 0.01 - 1) < 0.2
            assert np.array_equal(new[name][1], old[name][1])
    assert not np.array_equal(models[0]["features"][0], models[1]["features"][0])


def test_model_soup_is_the_mean_whatever_the_order(tmp_path: Path) -> None:
    places = ("first", "second", "third")
    for seed, place in enumerate(places):
        run("shrink_and_perturb", tmp_path / place, seed=seed)
    files = [tmp_path / place / "perturbed.keras" for place in places]
    given = dict(zip(places, files, strict=True))
    soup, outcome = run("model_soup", tmp_path / "soup", **given)
    again, _ = run("model_soup", tmp_path / "again", first=files[2], second=files[0], third=files[1])
    ingredients = [weights_of(open_model(file)) for file in files]
    new = weights_of(soup)
    for name in new:
        for found, *parts in zip(new[name], *(model[name] for model in ingredients), strict=True):
            assert np.array_equal(found, np.mean([part.astype("float64") for part in parts], axis=0).astype("float32"))
    assert are_bit_identical(new, weights_of(again), tuple(new))
    assert outcome.outputs[0].how == "streamed"
    same, _ = run("model_soup", tmp_path / "same", **dict.fromkeys(places, files[0]))
    assert are_bit_identical(ingredients[0], weights_of(same), tuple(new))


def test_wise_ft_lies_between_both_models_and_ends_in_them(tmp_path: Path) -> None:
    run("shrink_and_perturb", tmp_path)
    other = tmp_path / "perturbed.keras"
    old, far = weights_of(source()), weights_of(open_model(other))
    for alpha, end in ((0, old), (1, far)):
        after, _ = run("wise_ft", tmp_path / str(alpha), finetuned=other, alpha=alpha)
        assert are_bit_identical(end, weights_of(after), tuple(old))
    after, outcome = run("wise_ft", tmp_path / "half", finetuned=other)
    for name, found in weights_of(after).items():
        for one, two, three in zip(old[name], far[name], found, strict=True):
            assert np.allclose(three, 0.5 * one.astype("float64") + 0.5 * two, rtol=1e-7, atol=1e-9)
    assert outcome.outputs[0].how == "streamed"


def test_no_recipe_changes_the_model_that_it_begins_with(tmp_path: Path) -> None:
    before = DIGITS.read_bytes()
    for name in ("quickstart", "rescale_layer", "swap_head"):
        run(name, tmp_path)
    assert DIGITS.read_bytes() == before
