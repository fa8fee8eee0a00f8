"""Whether values that something depends on will be there, as far as names of metrics tell before Keras starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelrecipe.catalog import training as catalog
from modelrecipe.engine.totals import totals
from modelrecipe.errors import LanguageError, Problems, did_you_mean
from modelrecipe.training.examples import value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.steps.train import Train
    from modelrecipe.training.examples import Evaluation
    from modelrecipe.training.keras_objects import Metric, Metrics

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


def refuse_undecided(checkpoint: Checkpoint, evaluation: Evaluation) -> None:
    """Refuse to depend on what an evaluation will not give.

    Raises:
        LanguageError: a value will not exist.
        Problems: several will not.
    """
    known = _names(checkpoint, evaluation.metrics)
    if known is None or evaluation.metrics is None:  # what something depends on is measured then
        return
    given = dict.fromkeys(["loss", *known] if evaluation.loss is not None else known, 0.0)
    found: list[LanguageError] = []
    for name in evaluation.deciding:
        try:
            value_of(given, name, *evaluation.place_of(name))
        except LanguageError as error:
            found.append(error)
    if found:
        raise found[0] if len(found) == 1 else Problems(found)


def _known(checkpoint: Checkpoint, train: Train) -> list[str] | None:
    """The names of all values; None where only Keras can tell them."""
    given = _names(checkpoint, train.metrics)
    if given is None or "loss" in given:
        return None
    names = ["loss", *given]
    return names if train.data.validation is None else [*names, *(f"val_{name}" for name in names)]


def _names(checkpoint: Checkpoint, metrics: Metrics | None) -> list[str] | None:
    """What metrics are called; None where only Keras can tell, as of several outputs."""
    if len(totals(checkpoint).outputs) != 1:
        return None
    if isinstance(metrics, Mapping):
        metrics = next(iter(metrics.values()), None)
    items = metrics if isinstance(metrics, tuple) else () if metrics is None else (metrics,)
    names = [_name(item) for item in items]
    return None if len(set(names)) < len(names) or any(item.is_registered for item in items) else names


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
