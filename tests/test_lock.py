"""The lock: what it says, that it stays the same, and what `--locked` refuses."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from modelrecipe import lock
from modelrecipe.engine.bench import WorkBench
from modelrecipe.engine.execution import Execution
from modelrecipe.errors import CheckError, LockError
from modelrecipe.lock import expectations, versions
from tests import zoo
from tests.running import contents, refuse, run, told, write_recipe

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


def relative(text: str, folder: Path) -> str:
    return text.replace(f"{folder}/", "")


DRIFT = "; run without --locked to make a new lock, or restore what changed"
OURS = "the lock of 'out.keras' does not fit any more:\n  "
ANEW = "; restore it, or run without --locked to make a new one"


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
    assert refused(folder, *steps) == f"{OURS}recipe.steps[1].rescale.factor: locked 0.5, now 0.25{DRIFT}"


def test_another_seed_is_drift(folder: Path):
    assert refused(folder, head="seed: 4") == f"{OURS}recipe.seed: locked 3, now 4{DRIFT}"


def test_another_input_is_drift(folder: Path):
    model = zoo.ZOO["chain"]()
    model.get_layer("head").bias.assign_add([1.0, 0.0, 0.0])
    model.save(folder / "m.keras")
    locked = read(folder)["inputs"]["m.keras"]["weights"]
    said = refused(folder)
    run(folder, *STEPS, head="seed: 3")
    now = read(folder)["inputs"]["m.keras"]["weights"]
    assert said == f"{OURS}inputs.m.keras.weights: locked {locked[:12]}, now {now[:12]}{DRIFT}"


def test_every_difference_stands_in_a_line_of_its_own_and_the_hint_too(folder: Path):
    rewrite(folder, lambda lock: lock["versions"].update(keras="3.0.0", numpy=None))
    error = refuse(folder, *STEPS, head="seed: 4", locked=True)
    assert str(error) == (
        "the lock of 'out.keras' does not fit any more:\n"
        "  recipe.seed: locked 3, now 4\n"
        f'  versions.keras: locked "3.0.0", now "{version("keras")}"\n'
        f'  versions.numpy: locked nothing, now "{version("numpy")}"\n'
        "run without --locked to make a new lock, or restore what changed"
    )


def test_many_differences_are_counted(folder: Path):
    rewrite(folder, lambda lock: lock["versions"].update({f"package_{number:02}": "1" for number in range(15)}))
    lines = refuse(folder, *STEPS, head="seed: 3", locked=True).message.splitlines()
    assert lines[1] == '  versions.package_00: locked "1", now nothing'
    assert lines[12:] == ['  versions.package_11: locked "1", now nothing', "  and 3 more"]


def test_the_same_input_saved_again_is_none(folder: Path):
    zoo.ZOO["chain"]().save(folder / "m.keras")
    run(folder, *STEPS, head="seed: 3", locked=True)


def test_another_match_is_drift(folder: Path):
    model = zoo.ZOO["chain"]()
    steps = (STEPS[0], "freeze: {layers: {type: Dense}}", "save: {path: out.keras, force: true}")
    run(folder, *steps)
    model.get_layer("second").name = "other"
    model.save(folder / "m.keras")
    said = refused(folder, *steps, head="")
    assert "\n  matched[1].matched: no longer 'second', newly 'other'; run" in said


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        (["first", "head"], "newly 'second'"),
        (["first", "second", "a", "head", "b", "c", "d", "e"], "no longer 'a', 'b', 'c', 'd' and 1 more"),
        (["head", "second", "first"], "in another order"),
    ],
)
def test_a_match_that_grew_or_shrank_is_told_by_names(locked: list[str], said: str, folder: Path):
    steps = (STEPS[0], "freeze: {layers: {type: Dense}}", "save: {path: out.keras, force: true}")
    run(folder, *steps)
    rewrite(folder, lambda lock: lock["matched"][1].update(matched=locked))
    assert refused(folder, *steps, head="") == f"{OURS}matched[1].matched: {said}{DRIFT}"


def test_another_version_is_drift(folder: Path):
    rewrite(folder, lambda lock: lock["versions"].update(keras="3.0.0"))
    assert refused(folder).startswith(f'{OURS}versions.keras: locked "3.0.0", now ')


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
    assert relative(refused(folder), folder) == (
        f"the lock 'out.keras.lock.json' is damaged: no JSON from line 1, column 2 on{ANEW}"
    )


def test_a_lock_of_another_version_is_refused(folder: Path):
    (folder / LOCK).write_text('{"lock": 99}')
    assert relative(refused(folder), folder) == f"the lock 'out.keras.lock.json' is of version 99, not 1{ANEW}"


@pytest.mark.parametrize("text", ["{}", "[1]", "null"])
def test_what_is_no_lock_is_refused(text: str, folder: Path):
    (folder / LOCK).write_text(text)
    assert relative(refused(folder), folder) == (
        f"the lock 'out.keras.lock.json' is damaged: it does not say 'lock: 1'{ANEW}"
    )


def test_every_output_has_a_lock(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    run(tmp_path, "load: m.keras", "save: one.keras", "freeze: first", "save: two.weights.h5")
    assert {"one.keras.lock.json", "two.weights.h5.lock.json"} <= set(contents(tmp_path))


def test_a_lock_stands_beside_its_output_though_a_later_step_fails(tmp_path: Path):
    zoo.ZOO["chain"]().save(tmp_path / "m.keras")
    steps = ("load: m.keras", "save: out.keras", "rescale: {layers: head, factor: 2}")
    with pytest.raises(CheckError):
        run(tmp_path, *steps, "check: {same_outputs_as: m.keras}", "save: late.keras")
    assert sorted(contents(tmp_path)) == ["m.keras", "out.keras", LOCK, "recipe.yaml"]
    assert [step["step"] for step in read(tmp_path)["matched"]] == ["1 load", "2 save"]


def test_inputs_and_outputs_are_named_relative_to_the_recipe(tmp_path: Path):
    for place in (tmp_path, tmp_path / "sub"):
        place.mkdir(exist_ok=True)
        zoo.ZOO["chain"]().save(place / "m.keras")
    included = "version: 1\nsteps:\n  - check: {same_outputs_as: m.keras}\n  - save: out.keras\n"
    (tmp_path / "sub" / "included.yaml").write_text(included)
    steps = ("load: m.keras", "include: sub/included.yaml", "save: out.keras")
    run(tmp_path, *steps)
    assert sorted(read(tmp_path)["inputs"]) == ["m.keras", "sub/m.keras"]
    assert read(tmp_path)["output"]["path"] == "out.keras"
    assert read(tmp_path / "sub")["output"]["path"] == "sub/out.keras"
    run(tmp_path, *steps, locked=True, force=True)
    model = zoo.ZOO["chain"]()
    model.get_layer("second").name = "other"
    model.save(tmp_path / "m.keras")
    assert "inputs.m.keras.architecture: locked" in refused_with_force(tmp_path, *steps)


def refused_with_force(folder: Path, *steps: str) -> str:
    return told(refuse(folder, *steps, locked=True, force=True))


APPLICATION = (
    "load: {application: {name: MobileNetV2, weights: null, alpha: 0.35, input_shape: [32, 32, 3], include_top: false}}",
    "save: {path: out.keras, force: true}",
)


def test_an_application_is_compared_with_its_lock(tmp_path: Path):
    error = refuse(tmp_path, *APPLICATION, locked=True)
    assert told(error) == "'out.keras' has no lock 'out.keras.lock.json'; run once without --locked"
    run(tmp_path, *APPLICATION)
    run(tmp_path, *APPLICATION, locked=True)
    rewrite(tmp_path, lambda lock: lock["inputs"]["keras.applications.MobileNetV2"].update(weights="0"))
    said = refused(tmp_path, *APPLICATION, head="")
    assert said.startswith(f'{OURS}inputs.keras.applications.MobileNetV2.weights: locked "0", now ')


def test_a_trial_that_does_not_come_to_an_output_compares_nothing(tmp_path: Path):
    recipe = write_recipe(tmp_path, *APPLICATION)
    with WorkBench(folder=tmp_path, is_dry=True) as bench:
        trial = Execution(recipe, bench)
        trial.run()
        with pytest.raises(LockError) as error:
            expectations(recipe, trial, versions())
    assert told(error.value) == (
        "the lock of 'out.keras' cannot be compared: the trial ended before it; run without --locked"
    )


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("output", None, "'output' is nothing, not a mapping"),
        ("output", [], "'output' is [], not a mapping"),
        ("output", {}, "'output' has no digest of the architecture"),
        ("output", {"architecture": "0", "weights": 1}, "'output' has no digest of the weights"),
        ("matched", 5, "'matched' is 5, not a list"),
        ("inputs", [], "'inputs' is [], not a mapping"),
        ("recipe", "text", "'recipe' is \"text\", not a mapping"),
        ("versions", None, "'versions' is nothing, not a mapping"),
    ],
)
def test_a_lock_with_a_damaged_part_is_refused(part: str, value: Any, said: str, folder: Path):
    rewrite(folder, lambda lock: lock.update({part: value}))
    assert relative(refused(folder), folder) == f"the lock 'out.keras.lock.json' is damaged: {said}{ANEW}"


def test_a_lock_without_a_part_is_refused(folder: Path):
    rewrite(folder, lambda lock: lock.pop("inputs"))
    assert relative(refused(folder), folder) == (
        f"the lock 'out.keras.lock.json' is damaged: 'inputs' is missing{ANEW}"
    )


def test_a_lock_that_is_no_text_is_refused(folder: Path):
    (folder / LOCK).write_bytes(b"\xff\xfe")
    assert relative(refused(folder), folder) == (
        f"the lock cannot be read: 'out.keras.lock.json' is not UTF-8: byte 0 is 0xff{ANEW}"
    )


def test_a_package_without_a_distribution_of_its_name_has_the_version_of_what_brings_it(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(lock, "_PACKAGES", ("yaml", "nowhere_to_be_found", "folder_on_the_path"))
    on_the_path = ModuleType("folder_on_the_path")
    on_the_path.__version__ = "1.2"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "folder_on_the_path", on_the_path)
    assert versions() == {"yaml": version("pyyaml"), "nowhere_to_be_found": None, "folder_on_the_path": "1.2"}


def test_a_package_that_is_not_installed_is_locked_as_null(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lock, "_PACKAGES", ("keras", "nowhere_to_be_found"))
    run(folder, *STEPS)
    assert read(folder)["versions"]["nowhere_to_be_found"] is None
