"""Writes `docs/benchmarks.md` and its picture from results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.picture import draw
from benchmarks.report import GROWTH_HEADS, HEADS, check_lines, growth_rows, machine_line, measured_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_HEAD = """# Benchmarks

<!-- Written by `python -m benchmarks page results.json [more.json ...]`. -->

What recipes cost, against what the same work costs otherwise. On any Linux machine:

```sh
python -m benchmarks --folder FOLDER --cold --json results.json    # about 45 GB of disk, 10 GB of memory
python -m benchmarks --short                                       # half a minute: does it all work?
```

Models have random weights, and nothing is downloaded. Program and peer run in turn, each as a process of its own, from
its start to its end; time and memory are the operating system's count. Figures are medians. `cp + fsync` writes a copy
of the same file. The Keras scripts stand in [`benchmarks/peers`](../benchmarks/peers), the recipes in
[`benchmarks/recipes`](../benchmarks/recipes). `cold` means that the files were out of the page cache. Each table is one
run of the benchmarks; where rows stand in several, the difference is what one machine makes of the same work.
"""
_GROWTH = """
## Growth

Time as models grow: chains of dense layers, many or large. The exponent p of time ~ size^p is taken between the two
largest sizes, after the time for a model of one layer is subtracted. A run with structural steps loads and saves with
Keras, whose own growth is the last row.

"""


def write_page(runs: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write page and picture of the results of one or several runs into a folder."""
    parts = [_HEAD]
    for results in (run for run in runs if run["rows"]):
        parts += [f"\n{machine_line(results)}.\n\n", _table(HEADS, measured_rows(results))]
    parts += ["\n![Each program's time as a part of its peer's, with its limit](benchmarks.svg)\n"]
    together = {key: [item for results in runs for item in results[key]] for key in ("rows", "growth", "checks")}
    if together["growth"]:
        parts += [_GROWTH, _table(GROWTH_HEADS, growth_rows(together))]
    if together["checks"]:
        parts += ["\n## Equal\n\n", *(f"{line}.\n" for line in check_lines(together))]
    (folder / "benchmarks.md").write_text("".join(parts), encoding="utf-8")
    (folder / "benchmarks.svg").write_text(draw(together), encoding="utf-8")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
