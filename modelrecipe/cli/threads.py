"""NumPy without the threads of its linear algebra: one for each core, started when it is imported.

That takes as long as reading a small model, and of all that recipes do only products of matrices would gain by it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from modelrecipe.steps import WORDS

if TYPE_CHECKING:
    from modelrecipe.recipe import Recipe

_VARIABLE = "OPENBLAS_NUM_THREADS"
_MULTIPLYING = ("merge_lora",)


def spare_threads() -> None:
    """Ask for one thread, of which NumPy hears if it is ever imported; not where the user chose a number."""
    os.environ.setdefault(_VARIABLE, "1")


def multiplies(recipe: Recipe) -> bool:
    """Whether a step multiplies matrices; of those of other packages that is not known."""
    return any(item.word in _MULTIPLYING or item.word not in WORDS for item in recipe.steps)
