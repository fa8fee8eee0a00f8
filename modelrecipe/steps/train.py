"""`train`: fit the model to data, with steps that change it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.data import DataSpec
from modelrecipe.errors import LanguageError
from modelrecipe.fields import Doc
from modelrecipe.step import FLAGS, LIVE, SETTINGS, VALUES, Bench, Step, Touch
from modelrecipe.training.during import During
from modelrecipe.training.keras_objects import Callback, Losses, Metrics, Optimizer
from modelrecipe.training.settings import (
    AT_LEAST_ONE,
    Clipping,
    Distribution,
    Group,
    Logs,
    Penalty,
    Rate,
    Saving,
    Stopping,
)
from modelrecipe.weight_selector import ALL, WeightSelector

_BOUNDS = ("clipnorm", "global_clipnorm", "clipvalue")
"""Arguments of Keras' optimizers that bound gradients."""


@dataclass(frozen=True, kw_only=True)
class Train(Step):
    """Train the model on data.

    Layers that are frozen stay bit-identical, statistics of a frozen BatchNormalization included. The steps in
    `during` are carried out after exactly the batches that they name, counted over all epochs. Afterwards the recipe
    goes on with the trained numbers and with the flags as they are then; the optimizer's state is not kept.

    Example:
        - train: {data: {npz: digits.npz, x: images, y: labels}, loss: sparse_categorical_crossentropy, epochs: 1}
    """

    word: ClassVar[str] = "train"
    touches: ClassVar[Touch] = LIVE | VALUES | FLAGS | SETTINGS

    data: Annotated[DataSpec, Doc("what the model is trained on")]
    loss: Annotated[Losses, Doc("what is minimised; for several outputs, output name to loss")]
    epochs: Annotated[int | None, Doc("how often all examples are seen"), AT_LEAST_ONE] = None
    steps: Annotated[int | None, Doc("how many batches the training has, instead of epochs"), AT_LEAST_ONE] = None
    batch_size: Annotated[int, Doc("examples in a batch, over all devices"), AT_LEAST_ONE] = 32
    drop_remainder: Annotated[bool, Doc("leave out the last batch of an epoch when it is smaller")] = False
    optimizer: Annotated[Optimizer, Doc("Adam, or any other that Keras knows, with its arguments")] = field(
        default_factory=lambda: Optimizer(class_="Adam")
    )
    learning_rate: Annotated[Rate | None, Doc("instead of the optimizer's own: a number or a schedule")] = None
    rates: Annotated[
        tuple[Group, ...], Doc("layers that learn faster or slower; the first that selects one counts")
    ] = ()
    loss_weights: Annotated[Mapping[str, float], Doc("output name to how much its loss counts")] = field(
        default_factory=dict
    )
    penalties: Annotated[tuple[Penalty, ...], Doc("additions to the loss, as a pull towards the start")] = ()
    metrics: Annotated[Metrics | None, Doc("what is measured beside the loss; or output name to metrics")] = None
    class_weight: Annotated[Mapping[str, float], Doc("label to how much its examples count; others count 1")] = field(
        default_factory=dict
    )
    only: Annotated[WeightSelector, Doc("which variables of the layers that train learn; without it, all")] = ALL
    during: Annotated[tuple[During, ...], Doc("steps that change the model while it is trained")] = ()
    stop_early: Annotated[Stopping | None, Doc("stop when a value no longer gets better")] = None
    restore_best: Annotated[
        str | None, Doc("end with the weights of the epoch that was best in this, as val_accuracy")
    ] = None
    clip_gradients: Annotated[Clipping | None, Doc("bounds of the gradients")] = None
    accumulate: Annotated[int, Doc("batches whose gradients are averaged for one update"), AT_LEAST_ONE] = 1
    precision: Annotated[
        Literal["float32", "mixed_float16", "mixed_bfloat16"] | None,
        Doc("dtype policy of the layers while they are trained; weights stay float32"),
    ] = None
    jit: Annotated[bool, Doc("compile the training step with XLA")] = False
    steps_per_execution: Annotated[int, Doc("batches that run without coming back to Python"), AT_LEAST_ONE] = 1
    deterministic: Annotated[bool, Doc("let TensorFlow use deterministic operations alone: same bits, run for run")] = (
        False
    )
    callbacks: Annotated[tuple[Callback, ...], Doc("Keras' own callbacks, by class and arguments")] = ()
    checkpoints: Annotated[Saving | None, Doc("keep the state of the training, for run --resume")] = None
    logs: Annotated[Logs | None, Doc("files that tell how it goes")] = None
    distribute: Annotated[Distribution | None, Doc("several devices")] = None

    def problems(self) -> Iterator[LanguageError]:
        """One of `epochs` and `steps`; moments and rates that fit together."""
        if (self.epochs is None) == (self.steps is None):
            yield LanguageError("needs either 'epochs' or 'steps'", hint="say how long, as epochs: 3")
        yield from self._given_twice()
        yield from self._unseen()
        if self.class_weight and isinstance(self.loss, Mapping):
            hint = "write sample_weight in data"
            yield LanguageError("labels of several outputs cannot be weighted", hint=hint, at=("class_weight",))
        if self.jit and self.deterministic:
            yield LanguageError("XLA and deterministic operations exclude each other", hint="keep one", at=("jit",))
        for label in self.class_weight:
            if not label.isdecimal():
                yield LanguageError(
                    f"'{label}' is no label", hint="labels are numbers from 0", at=("class_weight", label)
                )

    def _given_twice(self) -> Iterator[LanguageError]:
        """What the optimizer's arguments say as well, or otherwise."""
        given = self.optimizer.config
        if "learning_rate" in given and self.learning_rate is not None:
            yield LanguageError("the learning rate is given twice", hint="keep one", at=("learning_rate",))
        if self.clip_gradients is not None and any(given.get(key) is not None for key in _BOUNDS):
            yield LanguageError("the gradients are bounded twice", hint="keep one", at=("clip_gradients",))
        if self.restore_best is not None and given.get("use_ema"):
            what = (
                "the training ends with averages of the optimizer, so it cannot end with the weights of its best epoch"
            )
            yield LanguageError(what, hint="remove 'restore_best' or 'use_ema'", at=("restore_best",))
        if self.accumulate > 1 and given.get("gradient_accumulation_steps") is not None:
            yield LanguageError("the batches of an update are given twice", hint="keep one", at=("accumulate",))

    def _unseen(self) -> Iterator[LanguageError]:
        """Values of a validation that does not take place."""
        watched: dict[tuple[str, ...], str | None] = {("restore_best",): self.restore_best}
        if self.stop_early is not None:
            watched["stop_early", "monitor"] = self.stop_early.monitor
        for at, name in watched.items():
            if name is not None and name.startswith("val_") and self.data.validation is None:
                hint = "write validation below data, or watch another value"
                yield LanguageError(f"there is no '{name}' without validation data", hint=hint, at=at)

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The trained model; in a plan, the same model with what may differ named."""
        return bench.train(checkpoint, self)
