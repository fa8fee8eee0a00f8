"""Optimizer, loss and metrics of a recipe, made in Keras and given to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import LanguageError
from modelrecipe.live.construct import foreign_code, reason
from modelrecipe.live.private import inner_layers
from modelrecipe.live.session import import_keras
from modelrecipe.live.training.rates import course, grouped, schedule
from modelrecipe.training.keras_objects import CHOSEN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from modelrecipe.live.training.subject import Subject
    from modelrecipe.steps.train import Train
    from modelrecipe.training.keras_objects import KerasObject, Losses, Metric, Metrics
    from modelrecipe.training.settings import Group

_FILES = ("filename", "filepath", "log_dir", "directory")
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
    if any(layer.compute_dtype == "float16" and layer.weights for layer in inner_layers(model)):
        # Keras asks the model for its policy, which is that of the session, not that of its layers.
        optimizer = import_keras().optimizers.LossScaleOptimizer(optimizer)
    with foreign_code(lambda error: LanguageError(f"Keras cannot compile the model: {reason(error)}")):
        model.compile(
            optimizer=optimizer,
            loss=losses_of(train.loss, "loss"),
            loss_weights=loss_weights_of(train.loss_weights, train.loss, model),
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
    with foreign_code(lambda error: _refused(spec, error, ("optimizer",))):
        return kind(**config)


def _rate_of(group: Group, total: int) -> Callable[[Any, Any], Any]:
    keras = import_keras()
    own, factor = group.learning_rate, group.factor
    if own is not None:
        return lambda rate, iteration: course(own, total, keras.ops.cast(iteration, "float32"), keras.ops)
    return lambda rate, iteration: rate * factor


def make(room: Any, spec: KerasObject, *at: str | int) -> Any:
    """An object of Keras from its class and arguments, or its short name; or one that the recipe's imports registered.

    Args:
        room: of Keras, where its class stands.
        spec: what the recipe says.
        at: keys of the step that lead to it, for errors.

    Raises:
        LanguageError: nothing is registered under the name, or the class refuses the arguments.
    """
    kind = _class_of(room, spec, *at)
    if not isinstance(kind, type):
        return kind
    # Keras takes arguments of a short name without a word and drops them, as those of sparse_categorical_crossentropy.
    is_short = not spec.config and not spec.is_registered and spec.class_ != spec.class_name
    with foreign_code(lambda error: _refused(spec, error, at)):
        return room.get(spec.class_) if is_short else kind(**spec.config)


def _class_of(room: Any, spec: KerasObject, *at: str | int) -> Any:
    """The class that is meant; of what is registered, a function perhaps."""
    if not spec.is_registered:
        return getattr(room, spec.class_name)
    found = import_keras().saving.get_registered_object(spec.class_)
    if found is None:
        hint = "write the module that registers it in imports"
        raise LanguageError(f"nothing is registered as '{spec.class_}'", hint=hint, at=at)
    return found


def _refused(spec: KerasObject, error: Exception, at: Sequence[str | int]) -> LanguageError:
    return LanguageError(f"{spec.kind} '{spec.class_}' does not take these arguments: {reason(error)}", at=at)


def losses_of(given: Losses, key: str) -> Any:
    """The losses of a recipe; `key` is the parameter that names them."""
    keras = import_keras()
    if isinstance(given, Mapping):
        return {name: losses_of(item, key) for name, item in given.items()}
    if isinstance(given, tuple):
        return [make(keras.losses, item, key) for item in given]
    return make(keras.losses, given, key)


def loss_weights_of(given: Mapping[str, float], losses: Losses | None, model: Any) -> Any:
    """How much the loss of each output counts, once where nothing is said; Keras takes all of them or none.

    Of losses in a list the weights are a list too: Keras would take those of a mapping by sorted name.
    """
    if not given:
        return None
    if isinstance(losses, tuple) and set(given) <= set(model.output_names):
        return [given.get(name, 1.0) for name in model.output_names]
    names = losses if isinstance(losses, Mapping) else model.output_names
    return {**dict.fromkeys(names, 1.0), **given}


def metrics_of(given: Metrics | None) -> Any:
    """The metrics of a recipe."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {name: metrics_of(item) for name, item in given.items()}
    return [_metric(item) for item in (given if isinstance(given, tuple) else (given,))]


def _metric(item: Metric) -> Any:
    """A metric; short names stay text: they name its values, and Keras chooses the accuracy that fits the targets."""
    if not item.config and not item.is_registered and item.class_ != item.class_name:
        return item.class_
    return item.class_ if item.class_ in CHOSEN else make(import_keras().metrics, item, "metrics")


def make_callbacks(train: Train, place: Callable[[str], Path]) -> list[Any]:
    """Keras' callbacks that the recipe names.

    Args:
        train: the step.
        place: where a file goes that the recipe names.

    Raises:
        LanguageError: Keras refuses the arguments of one.
    """
    keras = import_keras()
    found: list[Any] = []
    for number, spec in enumerate(train.callbacks):
        files = {key: place(spec.config[key]) for key in _FILES if key in spec.config}
        for file in files.values():
            file.parent.mkdir(parents=True, exist_ok=True)
        named = replace(spec, config={**spec.config, **{key: str(file) for key, file in files.items()}})
        found.append(make(keras.callbacks, named, "callbacks", number))
    return found
