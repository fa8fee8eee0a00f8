"""The command line: measures and prints, or writes the page of the documentation."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import growth, machine, models
from benchmarks.child import ROOT, FailedError, run
from benchmarks.contest import hold
from benchmarks.page import write_page
from benchmarks.picture import draw
from benchmarks.report import as_text
from benchmarks.table import contests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.contest import Contest

GROWTH = "growth"
ROWS = ("start", "headers", "values", "legacy", "weights", "digest", "structure", "steps", "training", GROWTH)


def main(words: Sequence[str] | None = None) -> None:
    """Carry out a command line."""
    given = sys.argv[1:] if words is None else list(words)
    if given[:1] == ["page"]:
        _write_page(given[1:])
    else:
        _measure(_options(given))


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what recipes cost. `python -m benchmarks page results.json` writes docs/benchmarks.md.",
    )
    parser.add_argument("--rows", default=",".join(ROWS), help="which, with commas between: %(default)s")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each program (%(default)s)")
    parser.add_argument("--cold", action="store_true", help="measure with files out of the page cache too")
    parser.add_argument("--folder", type=Path, help="keep models and outputs here; else in a temporary folder")
    parser.add_argument("--json", type=Path, help="write results there, and a picture beside it")
    parser.add_argument("--megabytes", type=int, default=1000, help="size of .h5 and .weights.h5 (%(default)s)")
    parser.add_argument("--full", action="store_true", help="Keras' own growth up to 10,000 layers: minutes")
    parser.add_argument("--short", action="store_true", help="models of a few megabytes, one run: does it all work?")
    options = parser.parse_args(words)
    options.rows = options.rows.split(",")
    unknown = sorted({*options.rows} - {*ROWS})
    if unknown:
        parser.error(f"there are no rows {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if options.repeat < 1 or options.megabytes < 1:
        parser.error("--repeat and --megabytes begin at 1")
    return options


def _measure(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            results = measure(options, folder, lambda text: print(text, file=sys.stderr))
        except FailedError as error:
            sys.exit(str(error))
    print(as_text(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        options.json.with_suffix(".svg").write_text(draw(results), encoding="utf-8")
    if not all(check["equal"] for check in results["checks"]):
        sys.exit("an output differs from that of plain Keras")


def measure(options: argparse.Namespace, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Make the models, hold the contests, compare the outputs.

    Args:
        options: those of the command line.
        folder: for models and outputs.
        tell: told what runs.
    """
    files = models.short_models(folder) if options.short else models.full_models(folder, options.megabytes)
    outputs = folder / "outputs"
    outputs.mkdir(exist_ok=True)
    # As pip does for what it installs; a checkout would be compiled by the first run, or by none that may write.
    compileall.compile_dir(ROOT / "modelrecipe", quiet=1)
    held = [contest for contest in contests(files, outputs) if contest.key in options.rows]
    series = _series(options, folder) if GROWTH in options.rows else []
    tell("making models")
    read = {path for contest in held for path in contest.reads}
    models.make(
        [*(file for file in files.all() if file.path in read), *(model for item in series for model in item.models)]
    )
    repeat = 1 if options.short else options.repeat
    rounds = [
        (contest, is_cold)
        for contest in held
        for is_cold in ((False, True) if options.cold and contest.reads else (False,))
    ]
    # Where times mean nothing, contests need not wait for each other.
    with ThreadPoolExecutor(os.cpu_count() if options.short else 1) as pool:
        results = pool.map(lambda item: hold(item[0], repeat=repeat, is_cold=item[1], tell=tell), rounds)
        rows = [row for rows in results for row in rows]
    # Before this process takes memory: Linux counts it as that of every process which it starts.
    grown = [growth.measure(item, outputs, repeat=repeat, tell=tell) for item in series]
    tell("comparing outputs with those of plain Keras")
    return {
        "machine": machine.facts(folder, probe=2**24) if options.short else machine.facts(folder),
        "repeat": repeat,
        "is_short": options.short,
        "rows": rows,
        "checks": _checks(held, outputs),
        "growth": grown,
    }


def _series(options: argparse.Namespace, folder: Path) -> list[growth.Series]:
    if options.short:
        return growth.all_series(folder, (10, 100), (1, 4), ())
    layers = (100, 1000, 10_000)
    return growth.all_series(folder, layers, (10, 100, 1000, 10_000), layers if options.full else layers[:2])


def _checks(held: Iterable[Contest], folder: Path) -> list[dict[str, Any]]:
    jobs = [
        {"output": entrant.program.output, **asdict(entrant.check)}
        for contest in held
        for entrant in contest.entrants
        if entrant.check is not None
    ]
    if not jobs:
        return []
    asked, told = folder / "jobs.json", folder / "compared.json"
    asked.write_text(json.dumps(jobs, default=str), encoding="utf-8")
    run([sys.executable, "-m", "benchmarks.checking", str(asked), str(told)])
    return json.loads(told.read_text(encoding="utf-8"))


def _write_page(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks page", description="Write docs/benchmarks.md.")
    parser.add_argument("results", type=Path, nargs="+", help="what --json wrote, of one run or of several")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs", help="where page and picture go")
    options = parser.parse_args(words)
    write_page([json.loads(path.read_text(encoding="utf-8")) for path in options.results], options.folder)
