"""Which steps there are: the built-in ones as an explicit tuple, those of other packages by entry point."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from modelrecipe import steps as built_ins
from modelrecipe.errors import UsageError
from modelrecipe.step import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

ENTRY_POINTS = "modelrecipe.steps"


def is_step(word: object) -> bool:
    """Whether a step has this word.

    Raises:
        UsageError: as `steps`, where the word is none of the built-in ones.
    """
    return word in built_ins.WORDS or word in steps()


def step(word: str) -> type[Step]:
    """The step of a known word; what other packages offer is only looked through when the word is not built in.

    Raises:
        UsageError: as `steps`, likewise.
    """
    return built_ins.built_in(word) if word in built_ins.WORDS else steps()[word]


@lru_cache(maxsize=1)
def steps() -> Mapping[str, type[Step]]:
    """Every step by its word, the built-in ones first, in the order in which recipes tend to use them.

    Raises:
        UsageError: an installed package offers a step that cannot be imported, whose word is taken, or that is no step.
    """
    from importlib.metadata import entry_points  # slow to import, and needed by few

    found = {word: built_ins.built_in(word) for word in built_ins.WORDS}
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            step = entry.load()
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"the step '{entry.name}' of another package cannot be imported: {error}",
                hint=f"repair or remove the package that offers '{entry.value}'",
            ) from error
        if not (isinstance(step, type) and issubclass(step, Step)):
            raise UsageError(f"the entry point '{entry.value}' is no step", hint="name a subclass of modelrecipe.Step")
        if step.word in found:
            raise UsageError(
                f"the step '{step.word}' of '{entry.value}' stands there already", hint="give it another word"
            )
        found[step.word] = step
    return found
