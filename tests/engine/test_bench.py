"""What a bench promises to steps: seeds of their own, and zeros that only training has to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.engine.bench import WorkBench

if TYPE_CHECKING:
    from pathlib import Path


def seed(folder: Path, *parts: str, recipe: int = 7, step: int = 2) -> int:
    with WorkBench(folder=folder, seed=recipe) as bench:
        bench.step_number = step
        return bench.seed_for(*parts)


def test_a_seed_follows_from_recipe_step_and_names(tmp_path: Path):
    assert seed(tmp_path, "conv", "kernel") == seed(tmp_path, "conv", "kernel") >= 0
    others = [
        seed(tmp_path, "conv", "kernel"),
        seed(tmp_path, "conv", "bias"),
        seed(tmp_path, "dense", "kernel"),
        seed(tmp_path, "convk", "ernel"),
        seed(tmp_path, "conv", "kernel", recipe=8),
        seed(tmp_path, "conv", "kernel", step=3),
    ]
    assert len(set(others)) == len(others)


def test_outside_of_training_no_zero_has_to_be_held(tmp_path: Path):
    with WorkBench(folder=tmp_path) as bench:
        bench.hold_zeros("conv", "kernel")
        assert bench.record_of_step.changes == []
