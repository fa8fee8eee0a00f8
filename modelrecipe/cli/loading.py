"""What the verbs that take a recipe begin with: its text, and the values of its variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.recipe import Recipe


def load(path: Path, *, pairs: tuple[str, ...], files: tuple[Path, ...]) -> Recipe:
    """Read a recipe with what `--set` and `--vars` say.

    Raises:
        RecipeError: the recipe is wrong, or a value is.
    """
    from modelrecipe.recipe import load_recipe
    from modelrecipe.recipe.given import given_on_command_line

    return load_recipe(path, given_on_command_line(pairs, files))
