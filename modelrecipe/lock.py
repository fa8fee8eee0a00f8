"""The lock beside an output: what it was made of, so that a later run can say what drifted.

Text for version control: sorted, one entry per line, relative paths, and no date.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe.engine.digest import TensorDigests, content_digest
from modelrecipe.errors import LockError
from modelrecipe.files import atomic_output, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.outcome import StepOutcome
    from modelrecipe.recipe import Recipe

LOCK_VERSION = 1
_PACKAGES = ("keras", "modelrecipe", "numpy", "tensorflow")
_LIMIT = 64 * 2**20


def lock_path(output: Path) -> Path:
    """Where the lock of an output stands: `model.keras.lock.json`."""
    return output.with_name(f"{output.name}.lock.json")


def write_locks(recipe: Recipe, bench: WorkBench, steps: Sequence[StepOutcome]) -> list[Path]:
    """Write the lock of every output that the run wrote."""
    written: list[Path] = []
    for item in bench.written:
        output = item.output
        content = {
            "lock": LOCK_VERSION,
            **_made_of(recipe, bench.inputs, steps, bench.digests),
            "output": {"format": output.format, "path": output.path, **(asdict(item.content) if item.content else {})},
        }
        path = lock_path(item.target)
        with atomic_output(path) as temporary:
            temporary.write_text(
                json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
            )
        written.append(path)
    return written


def _made_of(
    recipe: Recipe, inputs: Mapping[str, Checkpoint], steps: Sequence[StepOutcome], digests: TensorDigests
) -> dict[str, Any]:
    return {
        "inputs": {path: _digests(checkpoint, digests) for path, checkpoint in inputs.items()},
        "matched": [{"matched": list(step.matched), "step": f"{step.number} {step.word}"} for step in steps],
        "recipe": recipe.resolved(),
        "versions": {package: version(package) for package in _PACKAGES},
    }


def _digests(checkpoint: Checkpoint, digests: TensorDigests) -> dict[str, str]:
    return asdict(content_digest(checkpoint, digests))


def expectations(recipe: Recipe, tried: WorkBench, steps: Sequence[StepOutcome]) -> dict[str, dict[str, str]]:
    """What the locks of a recipe's outputs demand of a run; refuses when what it begins with has drifted.

    Args:
        recipe: the recipe as it is now.
        tried: the bench on which it was tried without writing.
        steps: what the trial matched.

    Returns:
        For every output, as the recipe names it, the digests that it must have.

    Raises:
        LockError: a lock is missing or damaged, or the recipe, an input, a match or a version differs; names all.
    """
    demanded: dict[str, dict[str, str]] = {}
    for item in tried.written:
        output = item.output
        found = _read(output.path, item.target, recipe.folder / output.path)
        now = json.loads(json.dumps(_made_of(recipe, tried.inputs, steps, tried.digests)))
        drifted = [line for key in sorted(now) for line in _differences(found.get(key), now[key], key)]
        if drifted:
            shown = "; ".join(drifted[:5]) + (f"; and {len(drifted) - 5} more" if len(drifted) > 5 else "")
            raise LockError(
                f"the lock of '{output.path}' does not fit any more: {shown}",
                hint="run without --locked to make a new lock, or restore what changed",
            )
        demanded[output.path] = found["output"]
    return demanded


def _read(shown: str, *places: Path) -> dict[str, Any]:
    for place in places:
        path = lock_path(place)
        if path.exists():
            try:
                found = json.loads(read_text(path, _LIMIT))
            except json.JSONDecodeError as error:
                raise LockError(f"the lock '{path.name}' is no JSON: {error}", hint="make a new one") from error
            if not isinstance(found, dict) or found.get("lock") != LOCK_VERSION or "output" not in found:
                raise LockError(f"the lock '{path.name}' is not of version {LOCK_VERSION}", hint="make a new one")
            return found
    raise LockError(f"'{shown}' has no lock '{lock_path(Path(shown)).name}'", hint="run once without --locked")


def _differences(locked: Any, now: Any, at: str) -> Iterator[str]:
    """Every entry that differs, by name, with both values where they are short."""
    if isinstance(locked, dict) and isinstance(now, dict):
        for key in sorted({*locked, *now}):
            yield from _differences(locked.get(key), now.get(key), f"{at}.{key}")
    elif isinstance(locked, list) and isinstance(now, list) and len(locked) == len(now):
        for number, (one, other) in enumerate(zip(locked, now, strict=True)):
            yield from _differences(one, other, f"{at}[{number}]")
    elif locked != now:
        yield f"{at} was {_short(locked)}, is {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
