"""How the data of a recipe are divided: by its seed and by the data, and not by the step that asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe.engine.feeds import split_seed
from tests.running import run
from tests.shown_data import classifier, write_data

if TYPE_CHECKING:
    from pathlib import Path

SPLIT = "npz: d.npz, validation: 0.3"


def parts(folder: Path, *specs: str, before: int = 0, head: str = "") -> list[list[int]]:
    """The examples that each of several `predict` steps is given for validation."""
    steps = [
        f"predict: {{data: {{{spec}}}, part: validation, to: p{number}.npz, force: true}}"
        for number, spec in enumerate(specs)
    ]
    run(folder, "load: m.keras", *["check: {finite: true}"] * before, *steps, head=head)
    return [np.load(folder / f"p{number}.npz")["example"].tolist() for number in range(len(specs))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_data(tmp_path)
    classifier().save(tmp_path / "m.keras")
    return tmp_path


def test_all_steps_of_a_recipe_keep_the_same_examples_apart(folder: Path):
    first, second = parts(folder, SPLIT, SPLIT)
    assert first == second
    assert parts(folder, SPLIT, before=2) == [first]


def test_what_is_done_with_the_examples_plays_no_part(folder: Path):
    augment = "augment: [{class: GaussianNoise, config: {stddev: 0.5}}]"
    first, *others = parts(
        folder, SPLIT, f"{SPLIT}, shuffle: false", f"{SPLIT}, x: {{key: x, scale: 2}}", f"{SPLIT}, {augment}"
    )
    assert all(other == first for other in others)


def test_another_seed_of_the_recipe_keeps_others_apart(folder: Path):
    assert parts(folder, SPLIT, head="seed: 1") != parts(folder, SPLIT, head="seed: 2")
    assert split_seed(1) != split_seed(2)


def test_training_is_not_validated_on_what_another_stage_trained_on(folder: Path):
    """What would ruin any training that saw it is kept apart by all three."""
    (kept,) = parts(folder, SPLIT)
    with np.load(folder / "d.npz") as data:
        arrays = dict(data)
    arrays["x"][kept] = 1e6
    np.savez(folder / "d.npz", **arrays)
    train = f"train: {{data: {{{SPLIT}}}, loss: sparse_categorical_crossentropy, metrics: accuracy, epochs: 1}}"
    outcome = run(folder, "load: m.keras", train, train, train)
    for step in outcome.steps[1:]:
        note = next(note for note in step.notes if note.startswith("trained"))
        loss = float(note.partition("; loss ")[2].partition(",")[0])
        assert loss < 100
