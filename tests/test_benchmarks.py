"""The benchmarks run, give numbers in every row, and find outputs equal. No time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.child import FailedError, run
from benchmarks.command import ROWS
from benchmarks.growth import exponent

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


def benchmarks(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks")
    done = benchmarks("--short", "--folder", str(folder), "--json", str(folder / "results.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_every_row_gives_numbers(results: dict[str, Any]) -> None:
    assert {row["key"] for row in results["rows"]} == {*ROWS} - {"growth"}
    for row in results["rows"]:
        costs = [row[side][key] for side in ("ours", "peer") for key in ("wall", "cpu", "peak")]
        assert all(cost > 0 for cost in costs), row
        assert row["limits"]
    assert {(item["program"], item["unit"]) for item in results["growth"]} == {
        ("plan", "layers"),
        ("run, streamed", "layers"),
        ("run, streamed", "MB"),
    }


def test_every_output_is_that_of_plain_keras(results: dict[str, Any]) -> None:
    assert {check["output"]: (check["equal"], check["differing"]) for check in results["checks"]} == {
        name: (True, [])
        for name in (
            "rescale.keras",
            "rescale_freeze_rename.keras",
            "rescale_one.keras",
            "rescale.h5",
            "rescaled.weights.h5",
            "structure-small.keras",
            "ten-steps.keras",
        )
    }
    assert all(check["tensors"] for check in results["checks"])


def test_page_and_picture_are_written_from_results(folder: Path, results: dict[str, Any]) -> None:
    more = folder / "more.json"
    more.write_text(json.dumps(results | {"rows": results["rows"][:1], "checks": []}), encoding="utf-8")
    assert benchmarks("page", str(folder / "results.json"), str(more), "--folder", str(folder)).returncode == 0
    page = (folder / "benchmarks.md").read_text(encoding="utf-8")
    first = results["rows"][0]
    assert page.count(f"| {first['work']} | {first['program']} | {first['peer_program']} | {first['cache']} | ") == 2
    assert all(f"| {row['work']} | {row['program']} | " in page for row in results["rows"])
    assert ElementTree.parse(folder / "benchmarks.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_an_unknown_row_is_refused() -> None:
    done = benchmarks("--rows", "values,speed")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "python -m benchmarks: error: there are no rows speed; there are start, headers, values, legacy, weights, digest,"
        " structure, steps, training, growth"
    )


def test_a_program_that_fails_tells_its_words() -> None:
    with pytest.raises(FailedError, match="ended with 3:\nno such thing") as raised:
        run([sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"])
    assert str(raised.value).startswith(sys.executable)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_the_exponent_is_that_of_the_growth(power: float) -> None:
    sizes = (100, 1000, 10_000)
    assert exponent(sizes, [3e-3 * size**power for size in sizes]) == pytest.approx(power)
