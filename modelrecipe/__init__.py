"""Change Keras models from a reviewed YAML file: refuse or prove.

Importing this package costs nothing: each public name is fetched from its room when it is first used, and neither Keras
nor TensorFlow is imported before a run needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.errors import Problems, RecipeError
    from modelrecipe.outcome import Outcome
    from modelrecipe.recipe import Recipe, load_recipe
    from modelrecipe.run import apply
    from modelrecipe.selector import Selector, select
    from modelrecipe.step import FLAGS, LIVE, NAMES, NOTHING, STRUCTURE, VALUES, Bench, Change, Step, Touch

_ROOMS = {
    "checkpoint": ("Checkpoint",),
    "errors": ("Problems", "RecipeError"),
    "outcome": ("Outcome",),
    "recipe": ("Recipe", "load_recipe"),
    "run": ("apply",),
    "selector": ("Selector", "select"),
    "step": ("FLAGS", "LIVE", "NAMES", "NOTHING", "STRUCTURE", "VALUES", "Bench", "Change", "Step", "Touch"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "FLAGS",
    "LIVE",
    "NAMES",
    "NOTHING",
    "STRUCTURE",
    "VALUES",
    "Bench",
    "Change",
    "Checkpoint",
    "Outcome",
    "Problems",
    "Recipe",
    "RecipeError",
    "Selector",
    "Step",
    "Touch",
    "apply",
    "load_recipe",
    "select",
]


def __getattr__(name: str) -> Any:
    """Fetch a public name from its room."""
    if name not in _HOMES:
        raise AttributeError(f"module 'modelrecipe' has no attribute '{name}'")
    return getattr(importlib.import_module(f"modelrecipe.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names, for completion in a notebook."""
    return __all__
