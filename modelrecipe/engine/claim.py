"""What is refused of an output's place before any work is done for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.errors import LanguageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint


def refuse_place(target: Path, path: str, *, claimed: Collection[Path], inputs: Iterable[Checkpoint]) -> None:
    """Refuse an output that another step writes, that is an input, or that is no file.

    Args:
        target: where the output would go.
        path: what the recipe calls it.
        claimed: resolved places of the outputs before.
        inputs: what the recipe has read so far.

    Raises:
        LanguageError: nothing may be written there, whatever is forced.
    """
    real = target.resolve()
    if real in claimed:
        raise LanguageError(f"two steps write '{path}'", hint="give each output a name of its own", at=("path",))
    if real in [item.origin.path.resolve() for item in inputs if item.origin is not None]:
        raise LanguageError(
            f"'{path}' is an input of the recipe, which is never changed", hint="write another file", at=("path",)
        )
    if target.is_dir():
        raise LanguageError(f"'{path}' is a directory", hint="add a file name", at=("path",))
