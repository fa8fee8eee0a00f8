"""Whether values that a training watches will be there, as far as the names of its metrics tell before Keras starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelrecipe.catalog import training as catalog
from modelrecipe.engine.totals import totals
from modelrecipe.errors import LanguageError, Problems, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.steps.train import Train
    from modelrecipe.training.keras_objects import Metric

_ADDED = ("learning_rate",)
"""What callbacks themselves add to the values."""


def refuse_unknown_values(checkpoint: Checkpoint, train: Train) -> None:
    """Refuse to watch what the training will not give; Keras' callbacks would only warn, and do nothing.

    Raises:
        LanguageError: a value that is watched will not exist.
        Problems: several will not.
    """
    known = _known(checkpoint, train)
    found: list[LanguageError] = []
    for at, name in _watched(train):
        if known is not None and name not in (*known, *_ADDED):
            hint = did_you_mean(name, known) or "there are: " + ", ".join(known)
            found.append(LanguageError(f"the training gives no '{name}'", hint=hint, at=at))
    if found:
        raise found[0] if len(found) == 1 else Problems(found)


def _watched(train: Train) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every value that is watched, with the keys that lead to its name."""
    if train.stop_early is not None:
        yield ("stop_early", "monitor"), train.stop_early.monitor
    if train.restore_best is not None:
        yield ("restore_best",), train.restore_best
    for number, callback in enumerate(train.callbacks):
        name = callback.config.get("monitor", catalog.default_of("callback", callback.class_, "monitor"))
        if isinstance(name, str):
            yield ("callbacks", number), name


def _known(checkpoint: Checkpoint, train: Train) -> list[str] | None:
    """The names of all values; None where only Keras can tell them, as of several outputs."""
    given = train.metrics
    if len(totals(checkpoint).outputs) != 1:
        return None
    if isinstance(given, Mapping):
        given = next(iter(given.values()), None)
    items = given if isinstance(given, tuple) else () if given is None else (given,)
    names = ["loss", *(_name(item) for item in items)]
    if len(set(names)) < len(names) or any(item.is_registered for item in items):
        return None
    return names if train.data.validation is None else [*names, *(f"val_{name}" for name in names)]


def _name(metric: Metric) -> str:
    """What Keras calls a metric: its short name, the name that it is given, or that of its class."""
    if not metric.config and metric.class_ != catalog.class_named("metric", metric.class_):
        return metric.class_
    name = metric.config.get("name") or catalog.default_of("metric", metric.class_, "name")
    return name if isinstance(name, str) else _snake(metric.class_name)


def _snake(name: str) -> str:
    """A class name as Keras makes a name of it (`keras.src.utils.naming.to_snake_case`)."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
