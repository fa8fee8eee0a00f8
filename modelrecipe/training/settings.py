"""What is minimised, how, and how fast: the parameters of a training that are not steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from typing import Annotated, Literal

from modelrecipe.errors import LanguageError, TrainingError
from modelrecipe.fields import Doc, Rule
from modelrecipe.frozen import frozen
from modelrecipe.selector import Selector
from modelrecipe.training.moments import PERIOD
from modelrecipe.weight_selector import ALL, WeightSelector

POSITIVE = Rule({"exclusiveMinimum": 0})
NOT_NEGATIVE = Rule({"minimum": 0})
AT_LEAST_ONE = Rule({"minimum": 1})
SHARE = Rule({"exclusiveMinimum": 0, "maximum": 1})
_SAYS_PERIOD = Rule({"pattern": PERIOD, "patternErrorMessage": "must be a period, as '100 batches' or '1 epoch'"})


@frozen
class Rate:
    """A learning rate: a number, or how it changes from batch to batch over the training.

    `slanted_triangular` is equation 3 of Howard & Ruder 2018 (arXiv 1801.06146): up to the peak within the share `cut`
    of the batches, then down to it divided by `ratio`. `cosine` is Loshchilov & Hutter 2016 (arXiv 1608.03983,
    equation 5) without restarts.
    """

    value: Annotated[float, Doc("the rate; of a schedule, its peak"), POSITIVE]
    schedule: Annotated[
        Literal["constant", "linear", "cosine", "slanted_triangular"], Doc("how it goes on after warmup")
    ] = "constant"
    end: Annotated[float, Doc("where linear and cosine end"), NOT_NEGATIVE] = 0.0
    warmup: Annotated[int, Doc("batches in which the rate grows from 0"), NOT_NEGATIVE] = 0
    cut: Annotated[float, Doc("slanted_triangular: share of the batches in which it grows"), SHARE] = 0.1
    ratio: Annotated[float, Doc("slanted_triangular: peak divided by the lowest rate"), AT_LEAST_ONE] = 32.0

    def problems(self) -> Iterator[LanguageError]:
        """Values of another schedule."""
        if self.end and self.schedule not in ("linear", "cosine"):
            yield LanguageError("'end' belongs to linear and cosine", at=("end",))
        if self.warmup and self.schedule == "slanted_triangular":
            yield LanguageError("slanted_triangular has a warmup of its own, the share 'cut'", at=("warmup",))


@frozen
class Group:
    """Layers that learn at a rate of their own."""

    layers: Annotated[Selector, Doc("which layers")]
    factor: Annotated[float | None, Doc("times the learning rate of the others"), NOT_NEGATIVE] = None
    learning_rate: Annotated[Rate | None, Doc("a rate or schedule of its own")] = None
    weights: Annotated[WeightSelector, Doc("which variables of each layer")] = ALL

    def problems(self) -> Iterator[LanguageError]:
        """One of `factor` and `learning_rate`."""
        if (self.factor is None) == (self.learning_rate is None):
            yield LanguageError("needs either 'factor' or 'learning_rate'", hint="say how fast, as factor: 0.1")


@frozen
class Penalty:
    """An addition to the loss that pulls weights to where they were: L2-SP, Li et al. 2018 (arXiv 1802.01483).

    strength / 2 * sum of (w - w0)^2 over the selected weights, w0 being their numbers when the training begins.
    """

    l2_sp: Annotated[float, Doc("the strength, alpha in the paper"), POSITIVE]
    layers: Annotated[Selector, Doc("whose weights")] = field(default_factory=lambda: Selector(name="*"))
    weights: Annotated[WeightSelector, Doc("which variables of each layer")] = ALL


@frozen
class Clipping:
    """Bounds of gradients: the names of Keras' optimizers for them."""

    norm: Annotated[float | None, Doc("largest L2 norm of each variable's gradient"), POSITIVE] = None
    global_norm: Annotated[float | None, Doc("largest L2 norm of all gradients together"), POSITIVE] = None
    value: Annotated[float | None, Doc("largest absolute value"), POSITIVE] = None

    def problems(self) -> Iterator[LanguageError]:
        """Exactly one of them."""
        given = [name for name in ("norm", "global_norm", "value") if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"has both '{given[0]}' and '{given[1]}'" if given else "needs norm, global_norm or value"
            yield LanguageError(said, hint="keep one" if given else "write one")


@frozen
class Stopping:
    """When to stop early: the monitored value did not get better for some epochs."""

    monitor: Annotated[str, Doc("what is watched, as val_loss or val_accuracy")] = "val_loss"
    patience: Annotated[int, Doc("epochs without improvement"), NOT_NEGATIVE] = 3
    min_delta: Annotated[float, Doc("smallest change that counts"), NOT_NEGATIVE] = 0.0
    mode: Annotated[Literal["auto", "min", "max"], Doc("whether less or more is better")] = "auto"


@frozen
class Saving:
    """Where and how often the state of a training is kept, so that it can be resumed."""

    every: Annotated[str, Doc("how often, as '500 batches' or '1 epoch'"), _SAYS_PERIOD] = "1 epoch"
    keep: Annotated[int, Doc("how many states stay; the oldest go first"), AT_LEAST_ONE] = 2
    folder: Annotated[str | None, Doc("where; without it, a folder beside the recipe's outputs")] = None


@frozen
class Distribution:
    """Several devices that train one model together, each on its share of every batch."""

    strategy: Annotated[Literal["mirrored", "multi_worker"], Doc("devices of this machine, or of several")]
    devices: Annotated[tuple[str, ...] | None, Doc("as ['GPU:0', 'GPU:1']; without it, all of the best kind")] = None

    def problems(self) -> Iterator[LanguageError]:
        """Devices are chosen for one machine alone, and have names as TensorFlow gives them."""
        if self.devices is not None and self.strategy == "multi_worker":
            yield LanguageError("multi_worker takes its machines from TF_CONFIG", at=("devices",))
        for number, name in enumerate(self.devices or ()):
            if re.fullmatch(r"(CPU|GPU|TPU):(0|[1-9][0-9]{0,2})", name) is None:
                hint = "write its kind and number, as 'GPU:0'"
                yield LanguageError(f"'{name}' is no name of a device", hint=hint, at=("devices", number))
            elif name in (self.devices or ())[:number]:
                yield LanguageError(f"'{name}' is named twice", hint="name each once", at=("devices", number))


def refuse_batches(batch_size: int, devices: int) -> None:
    """Refuse batches that cannot be shared evenly.

    Raises:
        TrainingError: the number of devices does not divide their size.
    """
    if batch_size % devices:
        raise TrainingError(
            f"batches of {batch_size} cannot be shared evenly by {devices} devices",
            hint=f"write a batch_size that {devices} divides",
            at=("batch_size",),
        )


@frozen
class Logs:
    """Files that tell how a training went, as it goes."""

    csv: Annotated[str | None, Doc("a table with one line for each epoch")] = None
    tensorboard: Annotated[str | None, Doc("a folder for TensorBoard")] = None
