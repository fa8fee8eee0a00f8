"""Optimizer, loss and metrics of a recipe, made in Keras and given to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import LanguageError, did_you_mean
from modelrecipe.live.construct import foreign_code, reason
from modelrecipe.live.session import import_keras
from modelrecipe.live.training.rates import course, grouped, schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from modelrecipe.live.training.subject import Subject
    from modelrecipe.steps.train import Train
    from modelrecipe.training.settings import Group, KerasObject, Objects

_CHOSEN = ("accuracy", "acc", "crossentropy", "ce")
"""Metrics of which Keras takes the kind that fits the targets."""
_FILES = ("filename", "filepath", "log_dir")
"""Arguments of callbacks that name what they write."""


def compile_model(
    subject: Subject, train: Train, groups: Sequence[tuple[Group, Sequence[Any]]], total: int, *, learns: Sequence[Any]
) -> None:
    """Compile the live model as the recipe says.

    Args:
        subject: the model.
        train: the step.
        groups: those of `train.rates` with the variables of each.
        total: batches of the training.
        learns: all variables that are ever trained, for which the optimizer keeps its state.

    Raises:
        LanguageError: Keras does not know a class, or refuses its arguments.
    """
    model = subject.model
    optimizer = make_optimizer(train, groups, total)
    with foreign_code(lambda error: LanguageError(f"Keras cannot compile the model: {reason(error)}")):
        model.compile(
            optimizer=optimizer,
            loss=losses_of(train.loss, "loss"),
            loss_weights=dict(train.loss_weights) or None,
            weighted_metrics=None,
            metrics=metrics_of(train.metrics),
            jit_compile=train.jit,
        )
    model.optimizer.build(list(learns))


def make_optimizer(train: Train, groups: Sequence[tuple[Group, Sequence[Any]]], total: int) -> Any:
    """The optimizer with its rates, bounds and accumulation."""
    keras = import_keras()
    spec, config = train.optimizer, dict(train.optimizer.config)
    if train.learning_rate is not None:
        config["learning_rate"] = schedule(train.learning_rate, total)
    if train.clip_gradients is not None:
        names = {"norm": "clipnorm", "global_norm": "global_clipnorm", "value": "clipvalue"}
        given = {new: getattr(train.clip_gradients, old) for old, new in names.items()}
        config |= {key: value for key, value in given.items() if value is not None}
    if train.accumulate > 1:
        config["gradient_accumulation_steps"] = train.accumulate
    kind = _class_of(keras.optimizers, spec, "optimizer")
    own: dict[int, Callable[[Any, Any], Any]] = {}
    for group, variables in groups:
        for variable in variables:
            own.setdefault(id(variable), _rate_of(group, total))
    if own:
        kind = grouped(kind, own)
    with foreign_code(lambda error: _refused(keras.optimizers, spec, error, "optimizer", ())):
        return kind(**config)


def _rate_of(group: Group, total: int) -> Callable[[Any, Any], Any]:
    keras = import_keras()
    own, factor = group.learning_rate, group.factor
    if own is not None:
        return lambda rate, iteration: course(own, total, keras.ops.cast(iteration, "float32"), keras.ops)
    return lambda rate, iteration: rate * factor


def make(room: Any, spec: KerasObject, noun: str, *at: str | int) -> Any:
    """An object of Keras from its class and arguments, or its short name.

    Args:
        room: of Keras, where its class stands.
        spec: what the recipe says.
        noun: what it is, for messages.
        at: keys of the step that lead to it, for errors; without them `noun`.

    Raises:
        LanguageError: Keras does not know it, or refuses the arguments.
    """
    keras = import_keras()
    kind = getattr(room, spec.class_, None)
    with foreign_code(lambda error: _refused(room, spec, error, noun, at)):
        if isinstance(kind, type):
            return kind(**spec.config)
        if room is keras.callbacks:
            raise ValueError("there is no such class")
        return room.get({"class_name": spec.class_, "config": dict(spec.config)} if spec.config else spec.class_)


def _class_of(room: Any, spec: KerasObject, noun: str) -> type:
    kind = getattr(room, spec.class_, None)
    if isinstance(kind, type):
        return kind
    with foreign_code(lambda error: _refused(room, spec, error, noun, ())):
        return type(room.get(spec.class_))


def _refused(room: Any, spec: KerasObject, error: Exception, noun: str, at: Sequence[str | int]) -> LanguageError:
    at = at or (noun,)
    if isinstance(getattr(room, spec.class_, None), type) or spec.config:
        return LanguageError(f"{noun} '{spec.class_}' does not take these arguments: {reason(error)}", at=at)
    names = [name for name, value in vars(room).items() if isinstance(value, type)]
    return LanguageError(f"Keras knows no {noun} '{spec.class_}'", hint=did_you_mean(spec.class_, names), at=at)


def losses_of(given: Objects, key: str) -> Any:
    """The losses of a recipe; `key` is the parameter that names them."""
    keras = import_keras()
    if isinstance(given, Mapping):
        return {name: losses_of(item, key) for name, item in given.items()}
    if isinstance(given, tuple):
        return [make(keras.losses, item, "loss", key) for item in given]
    return make(keras.losses, given, "loss", key)


def metrics_of(given: Objects | None) -> Any:
    """The metrics of a recipe."""
    keras = import_keras()
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {name: metrics_of(item) for name, item in given.items()}
    items = given if isinstance(given, tuple) else (given,)
    # Short names stay text: only then Keras chooses the accuracy that fits the loss.
    return [make(keras.metrics, item, "metric", "metrics") if item.config else _named(item) for item in items]


def _named(item: KerasObject) -> Any:
    if item.class_ in _CHOSEN:
        return item.class_
    keras = import_keras()
    made = make(keras.metrics, item, "metric", "metrics")
    return made if isinstance(getattr(keras.metrics, item.class_, None), type) else item.class_


def make_callbacks(train: Train, place: Callable[[str], Path]) -> list[Any]:
    """Keras' callbacks that the recipe names.

    Args:
        train: the step.
        place: where a file goes that the recipe names.

    Raises:
        LanguageError: Keras has no such callback, or refuses its arguments; or it cannot work here.
    """
    keras = import_keras()
    found: list[Any] = []
    for number, spec in enumerate(train.callbacks):
        if spec.class_ == "BackupAndRestore":
            hint = "write checkpoints: {every: 1 epoch}"
            raise LanguageError("BackupAndRestore belongs to 'fit'", hint=hint, at=("callbacks", number))
        files = {key: place(spec.config[key]) for key in _FILES if key in spec.config}
        for file in files.values():
            file.parent.mkdir(parents=True, exist_ok=True)
        named = replace(spec, config={**spec.config, **{key: str(file) for key, file in files.items()}})
        found.append(make(keras.callbacks, named, "callback", "callbacks", number))
    return found
