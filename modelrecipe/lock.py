"""The lock beside an output: what it was made of, so that a later run can say what drifted.

Text for version control: sorted, one entry per line, relative paths, and no date.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe import measures
from modelrecipe.engine.digest import content_digest
from modelrecipe.errors import FileError, LockError
from modelrecipe.files import atomic_output, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.digest import TensorDigests
    from modelrecipe.engine.execution import Execution, Milestone
    from modelrecipe.recipe import Recipe

LOCK_VERSION = 1
_PACKAGES = ("keras", "modelrecipe", "numpy", "tensorflow")
_PARTS = {
    "inputs": (dict, "a mapping"),
    "matched": (list, "a list"),
    "recipe": (dict, "a mapping"),
    "versions": (dict, "a mapping"),
    "output": (dict, "a mapping"),
}
_LIMIT = 64 * 2**20
_MOST = 12
"""Differences that a message lists."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ANEW = "restore it, or run without --locked to make a new one"


def lock_path(output: Path) -> Path:
    """Where the lock of an output stands: `model.keras.lock.json`."""
    return output.with_name(f"{output.name}.lock.json")


def versions() -> dict[str, str | None]:
    """The versions that an output depends on; None for a package that is not installed.

    A package may come from a distribution of another name (`tensorflow-cpu`), or from a folder without any.
    """
    return {package: _version(package) for package in _PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        pass
    for distribution in packages_distributions().get(package, ()):
        return version(distribution)
    found = getattr(sys.modules.get(package), "__version__", None)
    return str(found) if found is not None else None


def write_lock(
    recipe: Recipe, milestone: Milestone, digests: TensorDigests, versions: Mapping[str, str | None]
) -> Path:
    """Write the lock of one output, and say where it stands.

    Args:
        recipe: the recipe.
        milestone: the output with what led to it.
        digests: knows the digests that were computed before.
        versions: those that the run began with.
    """
    written = milestone.written
    output = {
        "format": written.output.format,
        "path": written.name,
        **(asdict(written.content) if written.content else {}),
    }
    content = {"lock": LOCK_VERSION, **_made_of(recipe, milestone, digests, versions), "output": output}
    path = lock_path(written.target)
    with atomic_output(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _made_of(
    recipe: Recipe, milestone: Milestone, digests: TensorDigests, versions: Mapping[str, str | None]
) -> dict[str, Any]:
    inputs = milestone.inputs
    return {
        **({"data": dict(sorted(milestone.data.items()))} if milestone.data else {}),
        "inputs": {name: _input(inputs[name], digests) for name in inputs},
        "matched": [{"matched": list(step.matched), "step": f"{step.number} {step.word}"} for step in milestone.steps],
        "recipe": recipe.resolved(),
        "versions": dict(versions),
    }


def _input(checkpoint: Checkpoint, digests: TensorDigests) -> dict[str, Any]:
    """Digests of what was read, and which repairs that took, where it took any."""
    repairs = [item.repair for item in checkpoint.origin.repairs] if checkpoint.origin else []
    return {**asdict(content_digest(checkpoint, digests)), **({"repairs": repairs} if repairs else {})}


def expectations(recipe: Recipe, trial: Execution, versions: Mapping[str, str | None]) -> dict[str, dict[str, str]]:
    """What the locks of a recipe's outputs demand of a run; refuses when what it begins with has drifted.

    Args:
        recipe: the recipe as it is now.
        trial: a pass that wrote nothing; its bench is still open.
        versions: those that the run begins with.

    Returns:
        For the name of every output, the digests that it must have.

    Raises:
        LockError: the trial did not come to every output, a lock is missing or damaged, or the recipe, an input, a
            match or a version differs; names all.
    """
    unknown = [step.target for step in trial.outcomes if step.is_unknown and step.word == "save"]
    if unknown:
        raise LockError(
            f"the lock of '{unknown[0]}' cannot be compared: the trial ended before it", hint="run without --locked"
        )
    demanded: dict[str, dict[str, str]] = {}
    for milestone in trial.milestones:
        written = milestone.written
        found = _read(written.output.path, written.target, recipe.folder / written.name)
        now = json.loads(json.dumps(_made_of(recipe, milestone, trial.bench.digests, versions)))
        drifted = [line for key in sorted(now) for line in _differences(found.get(key), now[key], key)]
        if drifted:
            more = [f"and {len(drifted) - _MOST} more"] if len(drifted) > _MOST else []
            shown = "".join(f"\n  {line}" for line in (*drifted[:_MOST], *more))
            raise LockError(
                f"the lock of '{written.output.path}' does not fit any more:{shown}",
                hint="run without --locked to make a new lock, or restore what changed",
            )
        demanded[written.name] = found["output"]
    return demanded


def _read(shown: str, *places: Path) -> dict[str, Any]:
    for place in places:
        path = lock_path(place)
        if path.exists():
            return _sound(_parsed(path), path)
    raise LockError(f"'{shown}' has no lock '{lock_path(Path(shown)).name}'", hint="run once without --locked")


def _parsed(path: Path) -> Any:
    try:
        return json.loads(read_text(path, _LIMIT))
    except FileError as error:
        raise LockError(f"the lock cannot be read: {error.message}", hint=_ANEW) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise LockError(f"the lock '{path}' is damaged: no JSON from {where} on", hint=_ANEW) from error
    except (ValueError, RecursionError) as error:
        raise LockError(f"the lock '{path}' is damaged: {error}", hint=_ANEW) from error


def _sound(found: Any, path: Path) -> dict[str, Any]:
    """A lock as it was written, as far as its parts are what they should be; their content is compared later."""
    if not isinstance(found, dict) or "lock" not in found:
        raise LockError(f"the lock '{path}' is damaged: it does not say 'lock: {LOCK_VERSION}'", hint=_ANEW)
    if found["lock"] != LOCK_VERSION:
        version_found = _short(found["lock"])
        raise LockError(f"the lock '{path}' is of version {version_found}, not {LOCK_VERSION}", hint=_ANEW)
    for name, (kind, wanted) in _PARTS.items():
        if not isinstance(found.get(name), kind):
            what = f"'{name}' is {_short(found[name])}, not {wanted}" if name in found else f"'{name}' is missing"
            raise LockError(f"the lock '{path}' is damaged: {what}", hint=_ANEW)
    for part in ("architecture", "weights"):
        if not isinstance(found["output"].get(part), str):
            raise LockError(f"the lock '{path}' is damaged: 'output' has no digest of the {part}", hint=_ANEW)
    return found


def _differences(locked: Any, now: Any, at: str) -> Iterator[str]:
    """Every entry that differs: its name, then both values where they are short, of a digest its beginning."""
    if isinstance(locked, dict) and isinstance(now, dict):
        for key in sorted({*locked, *now}):
            yield from _differences(locked.get(key), now.get(key), f"{at}.{key}")
    elif locked != now and _are_names(locked) and _are_names(now):
        gone, new = ([name for name in one if name not in other] for one, other in ((locked, now), (now, locked)))
        said = [f"{word} {measures.quoted(names)}" for word, names in (("no longer", gone), ("newly", new)) if names]
        yield f"{at}: {', '.join(said) or 'in another order'}"
    elif isinstance(locked, list) and isinstance(now, list) and len(locked) == len(now):
        for number, (one, other) in enumerate(zip(locked, now, strict=True)):
            yield from _differences(one, other, f"{at}[{number}]")
    elif locked != now:
        yield f"{at}: locked {_short(locked)}, now {_short(now)}"


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return value[:12]
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
