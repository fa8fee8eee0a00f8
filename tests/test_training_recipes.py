"""The shipped recipes that train: which variables moved and which did not, measured with plain Keras on their files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

import modelrecipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parents[1] / "recipes" / "training"
EVERY_RECIPE = sorted(FOLDER.glob("*.yaml"))
START = FOLDER.parent / "digits" / "digits_0_4.keras"
PRETRAINED = ("conv1", "bn1", "conv2", "bn2", "features")

Weights = dict[str, "NDArray[np.generic]"]


def run(name: str, out: Path, **given: object) -> modelrecipe.Outcome:
    """Run a shipped recipe into `out`."""
    return modelrecipe.load_recipe(FOLDER / f"{name}.yaml", given).run(out=out)


def weights(path: Path) -> Weights:
    """Every variable by its layer and name."""
    model = keras.saving.load_model(path, compile=False)
    return {
        f"{layer.name}/{variable.name}": np.asarray(variable) for layer in model.layers for variable in layer.weights
    }


def moved(before: Weights, after: Weights) -> set[str]:
    """Which variables of the pretrained layers are not the same bits any more."""
    return {
        name
        for name, values in before.items()
        if name.partition("/")[0] in PRETRAINED and values.tobytes() != after[name].tobytes()
    }


def notes(outcome: modelrecipe.Outcome, id: str) -> str:
    return "\n".join(next(step for step in outcome.steps if step.id == id).notes)


def accuracy(outcome: modelrecipe.Outcome, id: str) -> float:
    """The accuracy on what was kept apart that the report tells of a step."""
    return float(re.findall(r"(?:val_)?accuracy ([\d.]+)", notes(outcome, id))[-1])


@pytest.mark.parametrize("path", EVERY_RECIPE, ids=lambda path: path.stem)
def test_recipe_opens_with_the_modeline_and_says_what_it_is(path: Path) -> None:
    recipe = modelrecipe.load_recipe(path)
    assert path.read_text(encoding="utf-8").startswith(
        "# yaml-language-server: $schema=../../schemas/recipe.schema.json\n"
    )
    assert recipe.name == path.stem.replace("_", "-")
    assert recipe.description


@pytest.mark.parametrize("path", EVERY_RECIPE, ids=lambda path: path.stem)
def test_recipe_is_run_by_a_test_of_this_file(path: Path) -> None:
    assert f'run("{path.stem}"' in Path(__file__).read_text(encoding="utf-8")


def test_pretraining_makes_a_network_that_knows_the_first_five_digits(tmp_path: Path) -> None:
    outcome = run("pretrain", tmp_path)
    assert float(re.findall(r"val_accuracy ([\d.]+)", "\n".join(outcome.steps[1].notes))[-1]) > 0.97


def test_plain_fine_tuning_moves_everything(tmp_path: Path) -> None:
    outcome = run("new_digits", tmp_path)
    assert moved(weights(START), weights(tmp_path / "new-digits.keras")) == {
        name for name in weights(START) if name.partition("/")[0] in PRETRAINED
    }
    assert accuracy(outcome, "without") > 0.85


@pytest.mark.parametrize(("factor", "epochs"), [(0.9, 3)])
def test_one_kernel_shrinks_after_every_hundredth_batch(tmp_path: Path, factor: float, epochs: int) -> None:
    outcome = run("weight_decay_of_one_layer", tmp_path, factor=factor)
    batches = epochs * -(-1438 // 16)
    (said,) = [note for note in outcome.steps[1].notes if "done" in note]
    assert said == f"every 100 batches: rescale, done {batches // 100} times"
    without = run("weight_decay_of_one_layer", tmp_path / "1", factor=1.0)
    assert without.outputs
    shrunk, plain = (
        weights(folder / "weight-decay-of-one-layer.keras")["features/kernel"] for folder in (tmp_path, tmp_path / "1")
    )
    assert np.linalg.norm(shrunk) < np.linalg.norm(plain)


def test_two_stages_leave_batch_normalization_and_in_the_first_the_whole_backbone_alone(tmp_path: Path) -> None:
    run("two_stages", tmp_path)
    start, first, second = (weights(path) for path in (START, tmp_path / "stage-1.keras", tmp_path / "stage-2.keras"))
    assert moved(start, first) == set()
    assert moved(first, second) == {
        f"{layer}/{name}" for layer in ("conv1", "conv2", "features") for name in ("kernel", "bias")
    }


def test_gradual_unfreezing_ends_better_than_it_begins_and_moves_everything_in_the_end(tmp_path: Path) -> None:
    outcome = run("gradual_unfreezing", tmp_path)
    after = weights(tmp_path / "gradual-unfreezing.keras")
    assert moved(weights(START), after) == {name for name in weights(START) if name.partition("/")[0] in PRETRAINED}
    assert accuracy(outcome, "with") > 0.9


def test_probing_leaves_the_features_alone_and_the_classifier_is_kept(tmp_path: Path) -> None:
    outcome = run("linear_probing", tmp_path)
    start, probed, after = (
        weights(path) for path in (START, tmp_path / "probed.keras", tmp_path / "linear-probing.keras")
    )
    assert moved(start, probed) == set()
    assert len(moved(probed, after)) > 5
    assert accuracy(outcome, "with") > accuracy(outcome, "probing")


def test_surgical_fine_tuning_moves_the_first_block_alone(tmp_path: Path) -> None:
    outcome = run("surgical_fine_tuning", tmp_path)
    before, after = weights(START), weights(tmp_path / "surgical-fine-tuning.keras")
    assert moved(before, after) == {name for name in before if name.partition("/")[0] in ("conv1", "bn1")}
    assert before["classes/kernel"].tobytes() == after["classes/kernel"].tobytes()
    assert accuracy(outcome, "with") > accuracy(outcome, "without")


def test_bitfit_moves_no_kernel(tmp_path: Path) -> None:
    outcome = run("bitfit", tmp_path)
    after = weights(tmp_path / "bitfit.keras")
    assert moved(weights(START), after) == {f"{layer}/bias" for layer in ("conv1", "conv2", "features")}
    biases = sum(values.size for name, values in after.items() if name.endswith("/bias"))
    assert f"trains {biases} parameters in 4 variables" in notes(outcome, "with")


def test_lora_changes_the_adapted_kernels_by_a_product_of_low_rank(tmp_path: Path) -> None:
    outcome = run("lora", tmp_path, rank=2)
    before, after = weights(START), weights(tmp_path / "lora.keras")
    assert moved(before, after) == {f"{layer}/{name}" for layer in ("conv2", "features") for name in ("kernel", "bias")}
    change = (after["features/kernel"].astype(np.float64) - before["features/kernel"]).reshape(-1, 32)
    sizes = np.linalg.svd(change, compute_uv=False)
    assert sizes[1] > 1e-3
    assert sizes[2] < 1e-5 * sizes[0]
    assert accuracy(outcome, "with") > 0.6


def test_the_pull_to_the_start_keeps_weights_nearer_to_it(tmp_path: Path) -> None:
    start = weights(START)
    distance: dict[float, float] = {}
    for alpha in (1e-6, 1.0):
        run("l2_sp", tmp_path / str(alpha), alpha=alpha)
        after = weights(tmp_path / str(alpha) / "l2-sp.keras")
        distance[alpha] = float(np.linalg.norm(after["features/kernel"] - start["features/kernel"]))
    assert distance[1.0] < 0.5 * distance[1e-6]


def test_gradual_pruning_ends_at_exactly_the_share_and_better_than_at_once(tmp_path: Path) -> None:
    outcome = run("magnitude_pruning", tmp_path)
    after = weights(tmp_path / "magnitude-pruning.keras")
    for name in ("conv2/kernel", "features/kernel"):
        assert (after[name] == 0).sum() == round(0.9 * after[name].size)
    assert accuracy(outcome, "with") > accuracy(outcome, "without")


def test_the_mean_of_the_last_epochs_is_as_good_with_its_own_statistics(tmp_path: Path) -> None:
    outcome = run("swa", tmp_path)
    assert accuracy(outcome, "with") > 0.9
    assert any("means of 10 states" in note for step in outcome.steps for note in step.notes)


def test_between_old_and_new_weights_lies_what_both_can(tmp_path: Path) -> None:
    outcome = run("wise_ft", tmp_path)
    assert accuracy(outcome, "with") > accuracy(outcome, "without")
    start, tuned, between = (
        weights(path) for path in (START, tmp_path / "fine-tuned.keras", tmp_path / "wise-ft.keras")
    )
    for name, values in between.items():
        half = (start[name].astype(np.float64) + tuned[name]) / 2
        assert values.tobytes() == half.astype(values.dtype).tobytes()


def test_the_soup_is_no_worse_than_its_best_ingredient(tmp_path: Path) -> None:
    outcome = run("model_soup", tmp_path)
    alone = [float(found) for found in re.findall(r"accuracy ([\d.]+) alone", notes(outcome, "with"))]
    assert len(alone) == 3
    assert accuracy(outcome, "with") >= round(max(alone), 4)
