"""A training in a process of its own: killed, interrupted, on a full disk, and with a loss that is no number."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from modelrecipe.errors import TrainingError
from tests.killing import run_on_full_disk
from tests.live.training.plain import DATA, different, network, training
from tests.live.training.test_resuming import EVERYTHING, STATES, STEPS, interrupt, prepare, states
from tests.running import OUTPUT, SOURCE, load, run, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONG = (STEPS[0], EVERYTHING.replace("epochs: 3", "epochs: 30").replace("every: 1 batch,", "every: 10 batches,"))
EVENTS = "events.ndjson"


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "modelrecipe", "run", "recipe.yaml", "--events", EVENTS, "--no-color", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def events(folder: Path) -> list[dict[str, Any]]:
    path = folder / EVENTS
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while not condition() and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_ctrl_c_ends_cleanly_and_the_training_goes_on_later(tmp_path: Path):
    recipe = prepare(tmp_path, *LONG)
    recipe.run()
    wanted = load(tmp_path / OUTPUT)
    (tmp_path / OUTPUT).unlink()
    for path in (tmp_path / STATES).iterdir():
        path.unlink()
    process = start(tmp_path)
    wait_for(lambda: any(event["event"] == "state" for event in events(tmp_path)), process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    found = re.search(r"interrupted after batch (\d+) of 120; its state is kept: go on with --resume", err)
    assert found is not None, err
    assert states(tmp_path)[-1] == f"batch-{int(found[1]):09d}.state"
    assert not (tmp_path / OUTPUT).exists()
    outcome = recipe.run(resume=True)
    assert f"resumed after batch {found[1]}" in outcome.steps[2].notes
    assert different(load(tmp_path / OUTPUT), wanted) == []


@pytest.mark.slow
def test_a_training_that_is_killed_anywhere_goes_on_to_the_same_bits(tmp_path: Path):
    recipe = prepare(tmp_path, *LONG)
    begun = time.perf_counter()
    process = start(tmp_path)
    wait_for(lambda: bool(events(tmp_path)), process)
    first = time.perf_counter()
    process.communicate()
    lasts = time.perf_counter() - first
    assert first - begun < 60
    wanted, kept, dice = load(tmp_path / OUTPUT), states(tmp_path), random.Random(4)
    for path in (tmp_path / STATES).iterdir():
        path.unlink()
    for _ in range(6):
        (tmp_path / EVENTS).unlink(missing_ok=True)
        (tmp_path / OUTPUT).unlink(missing_ok=True)
        process = start(tmp_path, "--resume")
        wait_for(lambda: bool(events(tmp_path)), process)
        time.sleep(dice.uniform(0, lasts / 3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    recipe.run(resume=True)
    assert different(load(tmp_path / OUTPUT), wanted) == []
    assert states(tmp_path) == kept


def test_a_full_disk_leaves_the_states_that_were_there(tmp_path: Path):
    """Files may not grow beyond a size: a state is larger, the recipe's other files are smaller."""
    recipe = prepare(tmp_path, *STEPS)
    interrupt(recipe, 3)
    before = states(tmp_path)
    size = (tmp_path / STATES / before[-1]).stat().st_size
    done = run_on_full_disk(tmp_path, size // 2, "--resume")
    assert done.returncode == 1
    assert f"'{STATES}/batch-000000004.state' cannot be written: no space is left" in done.stderr
    assert "Traceback" not in done.stderr
    assert states(tmp_path) == before
    assert not (tmp_path / OUTPUT).exists()
    assert "resumed after batch 3" in recipe.run(resume=True).steps[2].notes


def refused(folder: Path, step: str) -> str:
    """What the training ends with; it fails, and nothing is written."""
    prepare(folder, step, model=network())
    with pytest.raises(TrainingError) as caught:
        run(folder, f"load: {SOURCE}", step, f"save: {OUTPUT}", head="seed: 3")
    assert caught.value.exit_code == 1
    assert not (folder / OUTPUT).exists()
    return told(caught.value)


HINT = "lower the learning rate, write clip_gradients, or look at the data"


def test_a_loss_that_is_no_number_ends_the_training_and_the_last_good_state_stays(tmp_path: Path):
    """Finite weights that are much too large give the next batch a loss that is none."""
    step = training(
        "batch_size: 4, steps: 5, checkpoints: {every: 1 batch}, optimizer: {class: SGD, config: {learning_rate: 0.1}},"
        " during: [{at: batch 2, do: [{rescale: {layers: first, weights: kernel, factor: 1.0e+37}}]}]",
        loss="{class: MeanSquaredError}",
        data=f"npz: {DATA}, y: {{key: y, one_hot: 3}}",
    )
    found = refused(tmp_path, step)
    assert re.search(r"the loss is (nan|inf) after batch 3|holds infinite numbers or none at all after batch 3", found)
    assert found.endswith(f"(epoch 1); {HINT}")
    folder = tmp_path / "recipe.training" / "step-2"
    assert sorted(path.name for path in folder.iterdir()) == ["batch-000000001.state", "batch-000000002.state"]


TOO_FAST = "batch_size: 4, optimizer: {class: SGD, config: {learning_rate: 1.0e+38, momentum: 0.0}}"


def test_numbers_that_are_none_are_never_kept(tmp_path: Path):
    """The first update breaks the weights, and the loss before it does not show it."""
    step = training(
        f"{TOO_FAST}, steps: 5, checkpoints: {{every: 1 batch}}, clip_gradients: {{value: 1000}}, loss_weights: {{last: 100}}"
    )
    found = refused(tmp_path, step)
    assert re.fullmatch(
        rf"5:12: train: '[a-z/]+' holds infinite numbers or none at all after batch 1 \(epoch 1\); {HINT}", found
    )
    assert not (tmp_path / "recipe.training").exists()


def test_a_training_does_not_end_with_numbers_that_are_none(tmp_path: Path):
    step = training(f"{TOO_FAST}, steps: 1, loss_weights: {{last: 100}}")
    found = refused(tmp_path, step)
    assert "holds infinite numbers or none at all after batch 1 (epoch 1)" in found
