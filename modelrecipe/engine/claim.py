"""What is refused of an output's place before any work is done for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.engine.output import format_of
from modelrecipe.errors import FileError, LanguageError
from modelrecipe.formats.keras_zip.shard_plan import ENDING
from modelrecipe.formats.keras_zip.shard_set import is_shard_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.bench import WorkBench


def claim(bench: WorkBench, path: str, format: str | None, *, force: bool) -> tuple[str, Path]:
    """Take a place for an output; a plan only notes that a file stands there.

    Returns:
        The output's format, and where it goes.

    Raises:
        LanguageError: the ending names no format, or nothing may be written there.
        FileError: a file stands there, and is not to be replaced.
    """
    kind, target = format or format_of(path), bench.target(path)
    _refuse_place(target, path, kind, claimed=bench.claimed, inputs=bench.inputs.values())
    bench.claimed.append(target.resolve())
    if target.exists() and not (force or bench.force):
        exists = FileError(f"'{path}' exists", hint="pass --force, or write force: true", at=("path",))
        if not bench.is_dry:
            raise exists
        bench.problems.append(exists)
    return kind, target


def _refuse_place(
    target: Path, path: str, kind: str, *, claimed: Collection[Path], inputs: Iterable[Checkpoint]
) -> None:
    """Refuse an output that another step writes, that is an input, or that is no file.

    Args:
        target: where the output would go.
        path: what the recipe calls it.
        kind: its format.
        claimed: resolved places of the outputs before.
        inputs: what the recipe has read so far.

    Raises:
        LanguageError: nothing may be written there, whatever is forced.
    """
    real = target.resolve()
    if real in claimed:
        raise LanguageError(f"two steps write '{path}'", hint="give each output a name of its own", at=("path",))
    read = [item.origin.path.resolve() for item in inputs if item.origin is not None]
    if real in read:
        raise LanguageError(
            f"'{path}' is an input of the recipe, which is never changed", hint="write another file", at=("path",)
        )
    if target.is_dir():
        raise LanguageError(f"'{path}' is a directory", hint="add a file name", at=("path",))
    for other in (*claimed, *read):
        if is_shard_of(other, real) or is_shard_of(real, other):
            whose = "is an input of the recipe" if other in read else "another step writes"
            raise LanguageError(
                f"'{path}' and '{other.name}', which {whose}, would be a list of shards and one of them",
                hint="give them other names",
                at=("path",),
            )
    if kind == "weights_json":
        _refuse_list(target, path)


def _refuse_list(target: Path, path: str) -> None:
    """A list's name is what its shards are called by, and where they are looked for."""
    if not target.name.endswith(ENDING) or target.name == ENDING:
        raise LanguageError(
            f"'{path}' has no name that shards can take theirs from", hint=f"end it in {ENDING}", at=("path",)
        )
    if target.is_symlink():
        raise LanguageError(
            f"'{path}' is a link, beside which its shards would be looked for", hint="write another file", at=("path",)
        )
