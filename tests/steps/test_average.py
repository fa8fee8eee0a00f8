"""`average`: the mean of what fits, to the last bit, whatever the order; and what does not fit is told at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe import formats
from modelrecipe.edit import arithmetic
from modelrecipe.errors import Problems
from tests import zoo
from tests.running import contents, load, refuse, refuse_plan, run, same_bits, told, write_recipe
from tests.variants import save_variants

if TYPE_CHECKING:
    from pathlib import Path

SAVE = "save: {path: out.keras, force: true}"


def averaged(folder: Path, *steps: str) -> list[np.ndarray]:
    """The numbers after these steps."""
    run(folder, *steps, SAVE)
    return [variable.numpy() for variable in load(folder / "out.keras").weights]


def mean(*ingredients: list[np.ndarray]) -> list[np.ndarray]:
    """What the mean must be: taken in float64 and rounded once."""
    return [
        np.mean([values.astype("float64") for values in group], axis=0).astype(group[0].dtype)
        if "float" in str(group[0].dtype)
        else group[0]
        for group in zip(*ingredients, strict=True)
    ]


def are_same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(same_bits(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["chain", "residual", "nested_called_three_times", "mixed_bfloat16", "masked_lstm"])
def test_every_weight_and_statistic_becomes_the_mean(name: str, tmp_path: Path):
    found = save_variants(zoo.ZOO[name](), tmp_path, ["m", "a", "b"])
    assert are_same(averaged(tmp_path, "load: m.keras", "average: {with: [a.keras, b.keras]}"), mean(*found))


def test_one_other_model_may_stand_alone(tmp_path: Path):
    found = save_variants(zoo.ZOO["chain"](), tmp_path, ["m", "a"])
    assert are_same(averaged(tmp_path, "load: m.keras", "average: a.keras"), mean(*found))


def test_models_that_were_put_aside_are_named(tmp_path: Path):
    found = save_variants(zoo.ZOO["chain"](), tmp_path, ["m", "a", "b"])
    steps = ("load: {path: a.keras, as: first}", "load: m.keras", "average: {with: [first, b.keras]}")
    assert are_same(averaged(tmp_path, *steps), mean(*found))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("coefficients", ["", ", coefficients: [1, 2, 0.3]"])
def test_equal_ingredients_give_the_same_bits(dtype: str, coefficients: str, tmp_path: Path):
    x = keras.Input((50,), name="x")
    model = keras.Model(x, layers.Dense(40, name="head", dtype=dtype)(x))
    model.save(tmp_path / "m.keras")
    found = averaged(tmp_path, "load: m.keras", f"average: {{with: [m.keras, m.keras]{coefficients}}}")
    assert are_same(found, [variable.numpy() for variable in model.weights])


def test_the_order_of_the_models_does_not_matter(tmp_path: Path):
    x = keras.Input((30,), name="x")
    model = keras.Model(x, layers.Dense(40, name="head", dtype="float64")(x))
    names = ["m", "a", "b", "c"]
    save_variants(model, tmp_path, names)
    orders = [("m", "a", "b", "c"), ("c", "b", "m", "a"), ("a", "m", "c", "b")]
    found = [
        averaged(tmp_path, f"load: {first}.keras", f"average: {{with: [{', '.join(f'{one}.keras' for one in rest)}]}}")
        for first, *rest in orders
    ]
    assert are_same(found[0], found[1])
    assert are_same(found[0], found[2])


def test_coefficients_belong_to_the_current_model_first(tmp_path: Path):
    first, second, third = save_variants(zoo.ZOO["chain"](), tmp_path, ["m", "a", "b"])
    found = averaged(tmp_path, "load: m.keras", "average: {with: [a.keras, b.keras], coefficients: [3, 1, 0]}")
    for one, two, after in zip(first, second, found, strict=True):
        assert np.allclose(after, (3 * one.astype("float64") + two) / 4, rtol=1e-7, atol=1e-9)
    only = averaged(tmp_path, "load: m.keras", "average: {with: [a.keras, b.keras], coefficients: [0, 0, 2]}")
    assert are_same(only, third)


def test_an_ingredient_without_a_share_may_hold_anything(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    before = [variable.numpy() for variable in model.weights]
    model.save(tmp_path / "m.keras")
    for variable in model.weights:
        variable.assign(np.full(variable.shape, np.nan))
    model.save(tmp_path / "nan.keras")
    assert are_same(averaged(tmp_path, "load: m.keras", "average: {with: nan.keras, coefficients: [1, 0]}"), before)


def test_layers_and_weights_say_which(tmp_path: Path):
    first, second = save_variants(zoo.ZOO["chain"](), tmp_path, ["m", "a"])
    found = averaged(tmp_path, "load: m.keras", "average: {with: a.keras, layers: second, weights: kernel}")
    names = [variable.path for variable in load(tmp_path / "m.keras").weights]
    for name, one, two, after in zip(names, first, second, found, strict=True):
        assert same_bits(after, mean([one], [two])[0] if name == "second/kernel" else one), name


def test_the_length_of_pieces_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = save_variants(zoo.ZOO["image_classifier"](), tmp_path, ["m", "a", "b"])
    monkeypatch.setattr(arithmetic, "PIECE", 7)
    assert are_same(averaged(tmp_path, "load: m.keras", "average: {with: [a.keras, b.keras]}"), mean(*found))


def test_a_subclassed_model_is_averaged_by_the_groups_of_its_file(tmp_path: Path):
    found = save_variants(zoo.ZOO["subclassed"](), tmp_path, ["m", "a"])
    assert are_same(averaged(tmp_path, "load: m.keras", "average: a.keras"), mean(*found))


def test_a_model_that_is_built_afterwards_is_averaged_too(tmp_path: Path):
    found = save_variants(zoo.ZOO["chain"](), tmp_path, ["m", "a"])
    after = averaged(tmp_path, "load: m.keras", "average: a.keras", "insert: {after: first, layer: Identity}")
    assert are_same(after, mean(*found))


def test_integers_and_random_state_stay_those_of_the_current_model(tmp_path: Path):
    model = zoo.ZOO["adapted_normalization"]()
    model.save(tmp_path / "m.keras")
    before = {variable.path: variable.numpy() for variable in load(tmp_path / "m.keras").weights}
    for variable in model.weights:
        variable.assign(variable.numpy() * 3 + 1)
    model.save(tmp_path / "a.keras")
    outcome = run(tmp_path, "load: m.keras", "average: a.keras", SAVE)
    after = {variable.path: variable.numpy() for variable in load(tmp_path / "out.keras").weights}
    integers = [path for path, values in before.items() if values.dtype.kind in "iu"]
    assert len(integers) == 1
    assert same_bits(after[integers[0]], before[integers[0]])
    assert outcome.steps[1].notes == (
        f"left as in the current model, as they hold no fractions: '{integers[0]}'",
        "mean of the model and 'a.keras'",
    )


def test_the_plan_and_the_lock_name_the_other_models(tmp_path: Path):
    save_variants(zoo.ZOO["chain"](), tmp_path, ["m", "a", "b"])
    steps = ("load: m.keras", "load: {path: a.keras, as: first}", "average: {with: [first, b.keras]}", SAVE)
    plan = write_recipe(tmp_path, *steps).plan()
    assert plan.steps[2].target == "first, b.keras"
    assert [change.what for change in plan.steps[2].changes] == ["kernel, bias to the mean of 3 models"] * 3
    assert plan.steps[2].notes == ("mean of the model and 'first', 'b.keras'",)
    outcome = run(tmp_path, *steps)
    assert outcome.outputs[0].how == "streamed"
    assert vars(outcome.outputs[0].proof) == {"identical": 0, "changed": 6, "fresh": 0, "removed": 0}
    assert list(json.loads((tmp_path / "out.keras.lock.json").read_text())["inputs"]) == [
        "a.keras",
        "b.keras",
        "m.keras",
    ]
    write_recipe(tmp_path, *steps).run(locked=True)
    save_variants(zoo.ZOO["chain"](), tmp_path, ["c", "b"][:1])
    (tmp_path / "c.keras").replace(tmp_path / "b.keras")
    assert "inputs.b.keras.weights" in str(refuse(tmp_path, *steps, locked=True))


def test_no_number_is_read_by_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_variants(zoo.ZOO["chain"](), tmp_path, ["m", "a"])
    from modelrecipe.formats.hdf5.tensors import ContiguousSource

    def fail(self: object) -> None:
        raise AssertionError("a number was read")

    monkeypatch.setattr(ContiguousSource, "__call__", fail)
    write_recipe(tmp_path, "load: m.keras", "average: a.keras", SAVE).plan()


def test_what_is_held_beside_a_tensor_counts_in_the_plan(tmp_path: Path):
    x = keras.Input((1000,), name="x")
    keras.Model(x, layers.Dense(5000, name="head")(x)).save(tmp_path / "m.keras")
    plain, summed = (
        write_recipe(tmp_path, "load: m.keras", step, SAVE).plan().outputs[0].memory or 0
        for step in ("prune: {layers: head, sparsity: 0.5}", "average: m.keras")
    )
    assert summed - plain == 8 * 5_000_000


def misfit() -> keras.Model:
    x = keras.Input((4,), name="features")
    y = layers.Dense(8, use_bias=False, name="first")(x)
    y = layers.BatchNormalization(name="second")(y)
    y = layers.Dense(6, name="more")(y)
    return keras.Model(x, layers.Dense(3, dtype="float16", name="head")(y))


def test_everything_that_does_not_fit_is_told_at_once(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    misfit().save(tmp_path / "a.keras")
    steps = ("load: m.keras", "average: {with: [m.keras, a.keras]}", "save: out.keras")
    error = refuse(tmp_path, *steps)
    assert told(error) == (
        "4:31: average.with: 'a.keras' does not have the layers and weights of the model:\n"
        "  'first/bias' is missing\n"
        "  'second' is a BatchNormalization, not a Dense\n"
        "  'head/kernel' is float16 (6, 3), not float32 (6, 3)\n"
        "  'head/bias' is float16 (3,), not float32 (3,)\n"
        "  'more' (Dense) is too much;"
        " combine models of one architecture, or select the layers that both have"
    )
    assert told(refuse_plan(tmp_path, *steps)) == told(error)


def test_layers_that_fit_may_be_averaged_alone(tmp_path: Path):
    model = zoo.ZOO["chain"]()
    model.save(tmp_path / "m.keras")
    other = misfit()
    other.save(tmp_path / "a.keras")
    after = averaged(tmp_path, "load: m.keras", "average: {with: a.keras, layers: first, weights: kernel}")
    wanted = mean([model.get_layer("first").kernel.numpy()], [other.get_layer("first").kernel.numpy()])
    assert same_bits(after[0], wanted[0])


def test_quantized_layers_are_refused(tmp_path: Path):
    zoo.ZOO["quantized_int8"]().save(tmp_path / "m.keras")
    assert told(refuse(tmp_path, "load: m.keras", "average: m.keras", "save: out.keras")) == (
        "4:14: average.layers: 'first' is quantized: its '0' is int8; combine the models before they are quantized, or"
        " leave the layer out"
    )


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            "average: {with: [frist]}",
            "5:22: average.with: there is no model named 'frist'; did you mean 'first'?",
        ),
        (
            "average: other",
            "5:14: average.with: there is no model named 'other'; put one aside with '- load: {path: ..., as: other}',"
            " or write a path",
        ),
        ("average: none.keras", "5:14: average.with: 'none.keras' does not exist"),
        (
            "average: {with: first, coefficients: [1, 2, 3]}",
            "5:42: average.coefficients: there are 3 coefficients for 2 models; write one for the current model and one"
            " for each of 'with'",
        ),
        (
            "average: {with: first, coefficients: [0, 0]}",
            "5:42: average.coefficients: all coefficients are 0",
        ),
        (
            "average: {with: first, coefficients: [-1, 2]}",
            "5:43: average.coefficients: must be at least 0, not -1",
        ),
    ],
)
def test_what_cannot_be_is_refused(step: str, message: str, tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    error = refuse(tmp_path, "load: m.keras", "load: {path: m.keras, as: first}", step, "save: out.keras")
    assert told(error.problems[0] if isinstance(error, Problems) else error).replace(f"{tmp_path}/", "") == message


def test_a_damaged_ingredient_is_refused(tmp_path: Path):
    save_variants(zoo.ZOO["chain"](), tmp_path, ["m", "a"])
    checkpoint = formats.read_checkpoint(tmp_path / "a.keras")
    source = checkpoint.weights.of("second")[0].source
    with (tmp_path / "a.keras").open("r+b") as file:
        file.seek(source.extent.start + source.offset)  # type: ignore[union-attr]
        file.write(b"\xff")
    before = contents(tmp_path)
    error = refuse(tmp_path, "load: m.keras", "average: a.keras", "save: out.keras")
    assert told(error).replace(f"{tmp_path}/", "") == (
        "4:14: average.with: 'a.keras' is damaged: the checksum of its weights does not match"
    )
    assert contents(tmp_path).keys() - before.keys() == {"recipe.yaml"}
