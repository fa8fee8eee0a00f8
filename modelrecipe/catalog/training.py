"""What Keras' optimizers, losses, metrics and callbacks are: their names, short names and arguments.

Learnt from one Keras version by `live/catalog_training.py` and committed beside this file. Custom classes, which are
registered as `package>Name`, are not in it. Knows neither recipes nor Keras.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelrecipe.catalog.config import ConfigProblem, check_arguments
from modelrecipe.catalog.entry import KINDS, Argument

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["optimizer", "loss", "metric", "callback"]


def class_named(kind: Kind, name: str) -> str | None:
    """The class that a name means: its own, or that behind a short name; None where Keras has none.

    Example:
        >>> class_named("loss", "mse")
        'MeanSquaredError'
    """
    if name in _facts(kind)["classes"]:
        return name
    word = name.lower() if kind == "optimizer" else name  # as Keras itself looks them up
    return _facts(kind)["words"].get(word)


def names_of(kind: Kind) -> tuple[str, ...]:
    """Every short name, those in small letters first, and every class."""
    words = sorted(_facts(kind)["words"], key=lambda word: (not word.islower(), word))
    return (*words, *_facts(kind)["classes"])


def has_argument(kind: Kind, name: str, argument: str) -> bool:
    """Whether the class that a name means takes an argument."""
    return any(item.name == argument for item in arguments_of(kind, name))


def arguments_of(kind: Kind, name: str) -> tuple[Argument, ...]:
    """The arguments of the class that a name means; none where Keras has none."""
    return _arguments(kind, class_named(kind, name))


def default_of(kind: Kind, name: str, argument: str) -> Any:
    """The default of an argument of the class that a name means; None without one."""
    return next((item.default for item in arguments_of(kind, name) if item.name == argument), None)


def check_object(kind: Kind, name: str, config: Mapping[str, Any]) -> list[ConfigProblem]:
    """Every problem of the arguments of a class; none for one that the catalog does not know."""
    found = class_named(kind, name)
    return [] if found is None else list(check_arguments(found, _arguments(kind, found), config))


@functools.cache
def _arguments(kind: Kind, name: str | None) -> tuple[Argument, ...]:
    return tuple(
        Argument(
            name=facts["name"],
            kind=tuple(facts.get("kind", KINDS)),
            default=facts.get("default"),
            required=facts.get("required", False),
            choices=tuple(facts.get("choices", ())),
        )
        for facts in _facts(kind)["classes"].get(name, ())
    )


def _facts(kind: Kind) -> Mapping[str, Any]:
    return _data()[kind]


@functools.cache
def _data() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("training.json").read_text(encoding="utf-8"))
