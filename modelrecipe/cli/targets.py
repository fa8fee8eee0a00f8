"""Which outputs of a recipe were written when its run ended early."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe.steps.save import Save

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.recipe import Recipe


class Targets:
    """The files that a recipe may write, as they stood before the run.

    Args:
        recipe: the recipe.
        out: the folder that outputs go to instead; None for the recipe's own paths.
    """

    def __init__(self, recipe: Recipe, out: Path | None) -> None:
        self._paths = [
            item.folder / item.step.path if out is None else out / Path(item.step.path).name
            for item in recipe.steps
            if isinstance(item.step, Save)
        ]
        self._before = self._stamps()

    def _stamps(self) -> Mapping[Path, tuple[int, int]]:
        """Inode and time of change of those that exist; a written file has another inode than the one before."""
        found = {path: path.stat() for path in self._paths if path.is_file()}
        return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in found.items()}

    def written(self) -> str:
        """The files that were written since, in words; nothing when none was."""
        now = self._stamps()
        return ", ".join(f"'{path}'" for path, stamp in now.items() if self._before.get(path) != stamp)
