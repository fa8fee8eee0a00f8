"""Change Keras models from a reviewed YAML file: refuse or prove.

Importing this package imports neither Keras nor TensorFlow; a run does, when it has to.
"""

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.errors import Problems, RecipeError
from modelrecipe.outcome import Outcome
from modelrecipe.recipe import Recipe, load_recipe
from modelrecipe.run import apply
from modelrecipe.selector import Selector, select
from modelrecipe.step import FLAGS, LIVE, NAMES, NOTHING, STRUCTURE, VALUES, Bench, Change, Step

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
    "apply",
    "load_recipe",
    "select",
]
