"""Whether a recipe does something that no file will hold; a note for its author, no error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.step import NOTHING
from modelrecipe.steps.save import Save

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.cli.screen import Screen
    from modelrecipe.recipe import Recipe


def unsaved(recipe: Recipe) -> str | None:
    """What of a recipe is not written, in words; None where all that it does is."""
    saves = [
        number for number, item in enumerate(recipe.steps) if isinstance(item.step, Save) or item.word == "predict"
    ]
    if not saves:
        return "note: no 'save' step is carried out, so nothing is written"
    later = [item for item in recipe.steps[saves[-1] + 1 :] if item.step.touches != NOTHING]
    if later:
        place = later[0].source.place(later[0].at)
        return (
            f"note: '{later[0].word}' in {place.file}:{place.line} stands after the last 'save', so it is not written"
        )
    return None


def tell_unsaved(screen: Screen, recipe: Recipe, path: Path | None = None) -> None:
    """Say what the recipe does without writing it, with the recipe's file where there may be several."""
    if not screen.is_json and (note := unsaved(recipe)):
        screen.say(note if path is None else f"{path}: {note}")
