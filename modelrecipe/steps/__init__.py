"""The built-in steps: one YAML word, one file, one class. The order is that of the documentation.

A step's file is imported when its word is met: a recipe needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelrecipe.step import Step

    BUILT_IN: tuple[type[Step], ...]
    """All of them."""

WORDS = (
    "load",
    "replace",
    "insert",
    "remove",
    "rename",
    "rescale",
    "clip",
    "noise",
    "prune",
    "average",
    "interpolate",
    "freeze",
    "unfreeze",
    "configure",
    "regularize",
    "enable_lora",
    "merge_lora",
    "train",
    "swa",
    "ema",
    "weight_decay",
    "bn_reestimate",
    "evaluate",
    "predict",
    "keep",
    "check",
    "save",
)


def built_in(word: str) -> type[Step]:
    """The step of one of `WORDS`; the class is called after the word, as `BnReestimate` after `bn_reestimate`."""
    name = "".join(part.capitalize() for part in word.split("_"))
    return getattr(import_module(f"modelrecipe.steps.{word}"), name)


def __getattr__(name: str) -> Any:
    """Import all steps, for who wants them all."""
    if name != "BUILT_IN":
        raise AttributeError(f"module 'modelrecipe.steps' has no attribute '{name}'")
    return tuple(built_in(word) for word in WORDS)
