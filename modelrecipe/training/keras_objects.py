"""Optimizers, losses, metrics and callbacks as recipes write them: Keras' own by class or short name, or registered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Any, ClassVar

from modelrecipe.catalog import training as catalog
from modelrecipe.errors import LanguageError, UnknownKeyError, did_you_mean
from modelrecipe.fields import Doc
from modelrecipe.frozen import frozen

CHOSEN = ("accuracy", "acc")
"""Metrics of which Keras takes the kind that fits the targets, as long as they stand alone."""
_BY_FUNCTION = "takes a function, which a recipe cannot hold"
_UNFIT: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "optimizer": {
        "MultiOptimizer": ("takes other optimizers", "write rates: [{layers: ..., factor: 0.1}]"),
        "OptimizerMap": ("is no optimizer by itself", "write rates: [{layers: ..., factor: 0.1}]"),
        "LossScaleOptimizer": ("is put around the optimizer anyway", "write precision: mixed_float16"),
    },
    "loss": {},
    "metric": {
        "Mean": ("compares nothing", "name another metric, as MeanAbsoluteError"),
        "Sum": ("compares nothing", "name another metric, as MeanAbsoluteError"),
        "MeanMetricWrapper": (_BY_FUNCTION, "register a metric of your own, and write package>Metric"),
    },
    "callback": {
        "BackupAndRestore": ("belongs to 'fit'", "write checkpoints: {every: 1 epoch}"),
        "LambdaCallback": (_BY_FUNCTION, "write during, or register a callback of your own"),
        "LearningRateScheduler": (_BY_FUNCTION, "write learning_rate: {value: 0.001, schedule: cosine}"),
        "History": ("is kept anyway", "remove it; logs: {csv: ...} writes it to a file"),
        "ProgbarLogger": ("would draw over the bar that is there anyway", "remove it"),
    },
}
"""Classes of Keras that cannot stand in a recipe: why, and what to write instead."""


@frozen
class KerasObject:
    """Something that Keras knows by its class: an optimizer, a loss, a metric, a callback."""

    kind: ClassVar[catalog.Kind]

    class_: Annotated[str, Doc("its class in Keras, a short name, as adam or mse, or a registered one (package>Class)")]
    config: Annotated[Mapping[str, Any], Doc("constructor arguments")] = field(default_factory=dict)

    @property
    def class_name(self) -> str:
        """The class that is meant; of a registered one, its name as it stands there."""
        return catalog.class_named(self.kind, self.class_) or self.class_

    @property
    def is_registered(self) -> bool:
        """Whether it is a class or function that the recipe's imports register."""
        package, arrow, name = self.class_.partition(">")
        return bool(arrow and package and name)

    def problems(self) -> Iterator[LanguageError]:
        """Names that Keras does not know; unknown, missing and wrongly typed arguments."""
        if self.is_registered or (self.kind == "metric" and self.class_ in CHOSEN):
            yield from self._chosen_problems()
            return
        found = catalog.class_named(self.kind, self.class_)
        if found is None:
            hint = did_you_mean(self.class_, catalog.names_of(self.kind))
            hint = hint or f"a registered {self.kind} is written package>Class"
            yield LanguageError(f"Keras knows no {self.kind} '{self.class_}'", hint=hint, at=("class",))
        elif found in _UNFIT[self.kind]:
            why, instead = _UNFIT[self.kind][found]
            yield LanguageError(f"{found} {why}", hint=instead, at=("class",))
        else:
            for problem in catalog.check_object(self.kind, found, self.config):
                is_key = problem.message.startswith("unknown argument")
                error = UnknownKeyError if is_key else LanguageError
                yield error(problem.message, hint=problem.hint, at=("config", *problem.at))

    def _chosen_problems(self) -> Iterator[LanguageError]:
        if self.config and not self.is_registered:
            what = f"'{self.class_}' takes no arguments: Keras chooses the class that fits the targets"
            yield LanguageError(what, hint="name the class, as SparseCategoricalAccuracy", at=("config",))


@frozen
class Optimizer(KerasObject):
    """How weights are changed by their gradients: an optimizer of Keras."""

    kind: ClassVar[catalog.Kind] = "optimizer"


@frozen
class Loss(KerasObject):
    """What is minimised: a loss of Keras."""

    kind: ClassVar[catalog.Kind] = "loss"

    @property
    def takes_probabilities(self) -> bool:
        """Whether it takes what a softmax or sigmoid gives, and could take what stands before it."""
        return catalog.has_argument("loss", self.class_, "from_logits") and not self.config.get("from_logits")


@frozen
class Metric(KerasObject):
    """What is measured: a metric of Keras."""

    kind: ClassVar[catalog.Kind] = "metric"


@frozen
class Callback(KerasObject):
    """What else happens in a training: a callback of Keras."""

    kind: ClassVar[catalog.Kind] = "callback"


Losses = Loss | tuple[Loss, ...] | Mapping[str, Loss | tuple[Loss, ...]]
Metrics = Metric | tuple[Metric, ...] | Mapping[str, Metric | tuple[Metric, ...]]
