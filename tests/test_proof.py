"""The proof catches a step that does more, less or other than it says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import pytest

from modelrecipe import FLAGS, NOTHING, VALUES, Change, Step, registry, schema
from modelrecipe.graph import update_layers
from tests import zoo
from tests.running import refuse, run, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from modelrecipe import Bench, Checkpoint
    from modelrecipe.step import Touch


ENDS = "; the written file was removed; please report this with the recipe"


@dataclass(frozen=True, kw_only=True)
class SpoilWeight(Step):
    """Change a weight and record another."""

    word: ClassVar[str] = "spoil_weight"
    touches: ClassVar[Touch] = VALUES

    said: str | None = None

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        if self.said is not None:
            bench.record(Change(kind="~", layer="second", key="second", what="spoilt", weights=(self.said,)))
        kernel, *rest = checkpoint.weights.of("second")
        tensors = [kernel.map(lambda values: values + 1), *rest]
        return replace(checkpoint, weights=checkpoint.weights.having("second", tensors))


@dataclass(frozen=True, kw_only=True)
class SpoilFlag(Step):
    """Lower a flag and say nothing."""

    word: ClassVar[str] = "spoil_flag"
    touches: ClassVar[Touch] = FLAGS

    layer: str = "second"

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        def lower(layer):
            return replace(layer, config={**layer.config, "trainable": False})

        return replace(checkpoint, model=update_layers(checkpoint.model, {self.layer: lower}))


@dataclass(frozen=True, kw_only=True)
class Overreach(Step):
    """Record a change that the class excludes."""

    word: ClassVar[str] = "overreach"
    touches: ClassVar[Touch] = NOTHING

    kind: str = "~"

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        bench.record(Change(kind="~", layer="second", key="second", what="spoilt", weights=("kernel",)))
        return checkpoint


@dataclass(frozen=True, kw_only=True)
class LoseLayer(Step):
    """Drop the weights of a layer."""

    word: ClassVar[str] = "lose_layer"
    touches: ClassVar[Touch] = VALUES

    layer: str = "second"

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        return replace(checkpoint, weights=checkpoint.weights.without([self.layer]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    known = {**registry.steps(), **{step.word: step for step in (SpoilWeight, SpoilFlag, Overreach, LoseLayer)}}
    monkeypatch.setattr(registry, "steps", lambda: known)
    _forget_schemas()
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    yield tmp_path
    monkeypatch.undo()
    _forget_schemas()


def _forget_schemas() -> None:
    """Schemas are made once for the steps that there are."""
    for value in vars(schema).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def refused(folder: Path, step: str, *more: str) -> str:
    error = refuse(folder, "load: m.keras", step, *more, "save: out.keras")
    assert error.exit_code == 5
    return told(error)


def test_an_unnamed_tensor_that_changed_is_found(folder: Path):
    assert refused(folder, "spoil_weight: {}") == (
        f"5:11: save: 1 things differ that no step named: 'second/kernel' changed, but no step names it{ENDS}"
    )


def test_another_name_does_not_cover_it(folder: Path):
    assert "'second/kernel' changed, but no step names it" in refused(folder, "spoil_weight: {said: bias}")


def test_a_named_one_passes_and_is_counted(folder: Path):
    outcome = run(folder, "load: m.keras", "spoil_weight: {said: kernel}", "save: out.keras")
    proof = outcome.outputs[0].proof
    assert proof is not None
    assert (proof.identical, proof.changed, proof.fresh, proof.removed) == (5, 1, 0, 0)


def test_it_is_found_behind_a_rebuild_as_well(folder: Path):
    said = refused(folder, "spoil_weight: {}", "insert: {after: first, layer: Identity}")
    assert "'second/kernel' changed, but no step names it" in said


def test_a_flag_that_changed_is_found(folder: Path):
    assert refused(folder, "spoil_flag: {}") == (
        "5:11: save: 1 things differ that no step named: the trainable flag of 'second' changed, but no step names it"
        f"{ENDS}"
    )


def test_lost_weights_are_found(folder: Path):
    error = refuse(folder, "load: m.keras", "lose_layer: {}", "save: out.keras")
    assert "second" in told(error)


def test_a_step_that_breaks_the_promise_of_its_class_is_stopped(folder: Path):
    error = refuse(folder, "load: m.keras", "overreach: {}", "save: out.keras")
    assert told(error) == "4:16: overreach: the step 'overreach' changed 'second' in a way that its class excludes"


def test_counts_of_every_kind(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    outcome = run(
        tmp_path,
        "load: m.keras",
        "rescale: {layers: first, weights: kernel, factor: 2}",
        "replace: {layers: head, with: {class: Dense, config: {units: 5, use_bias: false}}, weights: fresh}",
        "save: out.keras",
    )
    proof = outcome.outputs[0].proof
    assert proof is not None
    assert (proof.identical, proof.changed, proof.fresh, proof.removed) == (3, 1, 1, 2)
