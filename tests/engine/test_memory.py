from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import keras
import pytest
from click.testing import CliRunner

from modelrecipe import cli, formats
from modelrecipe.engine.memory import estimated_memory
from modelrecipe.errors import MemoryLimitError
from modelrecipe.new_file import RUN
from modelrecipe.outcome import Output
from modelrecipe.weights import Elementwise, Weights
from tests.running import contents, refuse, refuse_plan, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

STREAMED = Output(path="out.keras", format="keras", how="streamed")
PEAK = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "modelrecipe", "-q", "run", "recipe.yaml", "--json"], check=True, stdout=-3)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Asked by a small process, because a child begins with the peak of its parent."""

VALUES = "rescale: {layers: '*', factor: 0.5}"
WHOLE = (
    "noise: {layers: '*', stddev: 0.1, relative: true}",
    "prune: {layers: '*', sparsity: 0.5, scope: global}",
    "clip: {layers: '*', norm: 1, axis: 0}",
    "interpolate: {with: m.keras, alpha: 0.5, mode: slerp}",
)
STRUCTURE = "insert: {after: b, layer: Identity}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    layers = [keras.layers.Dense(500, use_bias=False, name=name) for name in "ab"]
    keras.Sequential([keras.Input((500,)), *layers]).save(tmp_path / "m.keras")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(folder: Path, *steps: str) -> int:
    (output,) = write_recipe(folder, "load: m.keras", *steps, "save: out.keras").plan().outputs
    assert output.memory is not None
    return output.memory


def test_a_tensor_that_is_read_as_a_whole_counts_and_one_that_passes_does_not(folder: Path):
    checkpoint = formats.read_checkpoint(folder / "m.keras")
    whole, passing = (
        replace(
            checkpoint,
            weights=Weights({key: tuple(t.map(edit) for t in items) for key, items in checkpoint.weights.items()}),
        )
        for edit in (lambda values: values, Elementwise(lambda values: values))
    )
    light = estimated_memory(STREAMED, checkpoint)
    assert light is not None
    assert estimated_memory(STREAMED, passing) == light
    assert estimated_memory(STREAMED, whole) == light + 3 * 500 * 500 * 4
    assert estimated_memory(STREAMED, passing, largest_read=10**7) == light + 3 * 10**7


def test_what_a_check_reads_counts(tmp_path: Path):
    keras.Sequential([keras.Input((1500,)), keras.layers.Dense(3000, name="b")]).save(tmp_path / "m.keras")
    assert planned(tmp_path, VALUES, "check: {finite: true}") >= planned(tmp_path, VALUES) + 3 * 1500 * 3000 * 4 - 10**7


@pytest.mark.parametrize(("steps", "way"), [((VALUES,), "streamed"), ((STRUCTURE,), "built by Keras")])
def test_more_than_the_run_may_have_is_refused_by_plan_and_run(folder: Path, steps: tuple[str, ...], way: str):
    needed = planned(folder, *steps)
    steps = ("load: m.keras", *steps, "save: out.keras")
    error = refuse(folder, *steps, memory=needed - 1)
    assert isinstance(error, MemoryLimitError)
    (problem,) = write_recipe(folder, *steps).plan(memory=needed - 1).problems
    assert told(error) == told(problem)
    assert told(error).startswith(f"5:11: save.path: writing 'out.keras', which is {way}, needs about ")
    assert told(error).endswith(" MB; allow more with --memory")
    assert error.exit_code == 1
    assert write_recipe(folder, *steps).plan(memory=needed).problems == ()
    assert write_recipe(folder, *steps).run(memory=needed).outputs[0].proof is not None


def test_of_several_outputs_that_need_too_much_one_is_told(folder: Path):
    steps = ("load: m.keras", "save: one.keras", VALUES, "save: two.keras")
    assert "'one.keras'" in told(refuse(folder, *steps, memory=1000))
    assert len(write_recipe(folder, *steps).plan(memory=1000).problems) == 1


def test_other_refusals_are_told_as_well(folder: Path):
    (folder / "out.keras").touch()
    problems = write_recipe(folder, "load: m.keras", "save: out.keras").plan(memory=1000).problems
    assert [type(problem).__name__ for problem in problems] == ["FileError", "MemoryLimitError"]
    assert "no layer" in told(refuse_plan(folder, "load: m.keras", "freeze: nothing", "save: o.keras", memory=1000))


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_the_option_refuses_before_anything_is_done(folder: Path, verb: str):
    write_recipe(folder, "load: m.keras", VALUES, "save: out.keras")
    before = contents(folder)
    done = CliRunner().invoke(cli.main, [verb, "recipe.yaml", "--memory", "10MB"])
    assert done.exit_code == 1
    shown = " ".join((done.stderr if verb == "run" else done.stdout).split())
    assert "writing 'out.keras', which is streamed, needs about 70 MB of memory, but the run may have 10.0 MB" in shown
    assert contents(folder) == before
    done = CliRunner().invoke(cli.main, [verb, "recipe.yaml", "--memory", "2GB"])
    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("text", "number"),
    [("1000", 1000), ("2GB", 2 * 10**9), ("1.5gib", 3 * 2**29), ("500 MB", 5 * 10**8), ("7kB", 7000), ("3B", 3)],
)
def test_amounts_of_memory(text: str, number: int):
    from modelrecipe.cli.memory_option import Amount

    assert Amount().convert(text, None, None) == number


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "2 G B", "2XB", "1e9", "2GBs"])
def test_what_is_no_amount_is_refused(folder: Path, text: str):
    write_recipe(folder, "load: m.keras", "save: out.keras")
    done = CliRunner().invoke(cli.main, ["plan", "recipe.yaml", "--memory", text])
    assert done.exit_code == 2
    assert f"'{text}' is no amount of memory; write it as 2GB, 500MB or 1.5GiB" in done.stderr


def test_an_estimate_knows_how_numbers_are_written(folder: Path):
    checkpoint = formats.read_checkpoint(folder / "m.keras")
    (tensor,) = checkpoint.weights["a"]
    said = [
        estimated_memory(STREAMED, replace(checkpoint, weights=Weights({"a": (replace(tensor, shape=(size,)),)})))
        for size in (1, RUN // 4, RUN // 2, 10**9, 10**10)
    ]
    assert said[0] == said[1] < said[2] < said[3] == said[4]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the system does not count peaks of processes")
@pytest.mark.parametrize(
    "steps",
    [
        (VALUES,),
        (VALUES, "check: {finite: true}"),
        WHOLE,
        (VALUES, "average: {with: [m.keras, m.keras]}"),
        (STRUCTURE,),
    ],
    ids=str,
)
def test_an_estimate_is_no_lower_than_the_peak_and_no_idle_threat(tmp_path: Path, steps: tuple[str, ...]):
    layers = [keras.layers.Dense(3000, use_bias=False, name=name) for name in "abc"]
    keras.Sequential([keras.Input((3000,)), *layers]).save(tmp_path / "m.keras")
    write_recipe(tmp_path, "load: m.keras", *steps, "save: out.keras")
    said = planned(tmp_path, *steps)
    done = subprocess.run([sys.executable, "-c", PEAK], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert 0.95 * peak <= said <= 2 * peak
