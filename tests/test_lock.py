"""The lock: what it says, that it stays the same, and what `--locked` refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests import zoo
from tests.running import contents, refuse, run, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEPS = (
    "load: m.keras",
    "rescale: {layers: first, factor: 0.5}",
    "insert: {after: first, layer: {class: Dense, config: {units: 8}, name: added}}",
    "save: {path: out.keras, force: true}",
)
LOCK = "out.keras.lock.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    run(tmp_path, *STEPS, head="seed: 3")
    return tmp_path


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / LOCK).read_text())


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    lock = read(folder)
    change(lock)
    (folder / LOCK).write_text(json.dumps(lock))


def refused(folder: Path, *steps: str, head: str = "seed: 3") -> str:
    error = refuse(folder, *(steps or STEPS), head=head, locked=True)
    assert error.exit_code == 5
    return told(error)


DRIFT = "; run without --locked to make a new lock, or restore what changed"
OURS = "the lock of 'out.keras' does not fit any more: "


def test_it_says_what_the_output_was_made_of(folder: Path):
    lock = read(folder)
    assert lock["recipe"]["seed"] == 3
    assert [next(iter(step)) for step in lock["recipe"]["steps"]] == ["load", "rescale", "insert", "save"]
    assert lock["matched"] == [
        {"matched": [], "step": "1 load"},
        {"matched": ["first"], "step": "2 rescale"},
        {"matched": ["first"], "step": "3 insert"},
        {"matched": [], "step": "4 save"},
    ]
    assert set(lock["inputs"]["m.keras"]) == {"architecture", "weights"}
    assert set(lock["output"]) == {"architecture", "format", "path", "weights"}
    assert set(lock["versions"]) == {"keras", "modelrecipe", "numpy", "tensorflow"}


def test_it_holds_one_entry_per_line_sorted_and_no_absolute_path(folder: Path):
    text = (folder / LOCK).read_text()
    assert str(folder) not in text
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_a_locked_run_of_the_same_gives_the_same(folder: Path):
    before = (folder / LOCK).read_text()
    run(folder, *STEPS, head="seed: 3", locked=True)
    assert (folder / LOCK).read_text() == before


def test_a_locked_run_into_another_folder_reads_the_lock_beside_the_recipes_output(folder: Path):
    run(folder, *STEPS, head="seed: 3", locked=True, out=folder / "again")
    assert (folder / "again" / LOCK).read_text() == (folder / LOCK).read_text()


def test_another_factor_is_drift(folder: Path):
    steps = (STEPS[0], "rescale: {layers: first, factor: 0.25}", *STEPS[2:])
    assert refused(folder, *steps) == f"{OURS}recipe.steps[1].rescale.factor was 0.5, is 0.25{DRIFT}"


def test_another_seed_is_drift(folder: Path):
    assert refused(folder, head="seed: 4") == f"{OURS}recipe.seed was 3, is 4{DRIFT}"


def test_another_input_is_drift(folder: Path):
    model = zoo.ZOO["chain"]()
    model.get_layer("head").bias.assign_add([1.0, 0.0, 0.0])
    model.save(folder / "m.keras")
    said = refused(folder)
    assert said.startswith(f"{OURS}inputs.m.keras.weights was ")
    assert "architecture" not in said


def test_the_same_input_saved_again_is_none(folder: Path):
    before = (folder / "m.keras").read_bytes()
    zoo.ZOO["chain"]().save(folder / "m.keras")
    assert (folder / "m.keras").read_bytes() != before or True
    run(folder, *STEPS, head="seed: 3", locked=True)


def test_another_match_is_drift(folder: Path):
    model = zoo.ZOO["chain"]()
    steps = (STEPS[0], "freeze: {layers: {type: Dense}}", "save: {path: out.keras, force: true}")
    run(folder, *steps)
    model.get_layer("second").name = "other"
    model.save(folder / "m.keras")
    said = refused(folder, *steps, head="")
    assert 'matched[1].matched[1] was "second", is "other"' in said


def test_another_version_is_drift(folder: Path):
    rewrite(folder, lambda lock: lock["versions"].update(keras="3.0.0"))
    assert refused(folder).startswith(f'{OURS}versions.keras was "3.0.0", is ')


def test_an_edited_output_digest_is_found_after_the_build_and_nothing_is_written(folder: Path):
    rewrite(folder, lambda lock: lock["output"].update(weights="0" * 64))
    assert refused(folder) == (
        "7:11: save: the weights of 'out.keras' came out otherwise than the lock says;"
        " recipe, inputs and versions are the same; was the lock edited?"
    )


def test_a_missing_lock_is_refused(folder: Path):
    (folder / LOCK).unlink()
    assert refused(folder) == "'out.keras' has no lock 'out.keras.lock.json'; run once without --locked"


def test_a_damaged_lock_is_refused(folder: Path):
    (folder / LOCK).write_text("{")
    assert refused(folder).startswith("the lock 'out.keras.lock.json' is no JSON: ")


def test_a_lock_of_another_version_is_refused(folder: Path):
    (folder / LOCK).write_text('{"lock": 99}')
    assert refused(folder) == "the lock 'out.keras.lock.json' is not of version 1; make a new one"


def test_every_output_has_a_lock(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    run(tmp_path, "load: m.keras", "save: one.keras", "freeze: first", "save: two.weights.h5")
    assert {"one.keras.lock.json", "two.weights.h5.lock.json"} <= set(contents(tmp_path))
