"""One training with all that belongs to it: the live model, the compiled loop, masks, means, the best epoch, states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.live.session import import_keras
from modelrecipe.live.training import states
from modelrecipe.live.training.logs import LogFiles
from modelrecipe.live.training.subject import Reader, Subject
from modelrecipe.live.training.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from modelrecipe.live.training.loop import Run
    from modelrecipe.live.training.watching import Watch
    from modelrecipe.steps.train import Train

STOP, BEST = "stop_early", "restore_best"


@dataclass
class Session:
    """A training.

    Args:
        step: what the recipe says.
        subject: the live model with its document.
        run: the loop.
        watches: values that are watched, by the parameter that names them.
        means: variable to its mean and how many numbers went into it.
        best: numbers of the best epoch.
        remarks: what the report should say.
        logs: files that tell how it goes.
        kept: its states on disk, the oldest first.
    """

    step: Train
    subject: Subject
    run: Run
    watches: dict[str, Watch]
    means: dict[tuple[str, str], tuple[NDArray[np.float64], int]] = field(default_factory=dict)
    best: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    logs: LogFiles = field(default_factory=LogFiles)
    kept: list[Path] = field(default_factory=list)
    writes: bool = True
    workers: Workers = field(init=False)

    def __post_init__(self) -> None:
        self.workers = Workers(self.run.model.distribute_strategy)

    def hold_zeros(self, names: Iterable[tuple[str, str]]) -> bool:
        """Keep at zero what is zero now; gives back whether a variable is held that was not before."""
        is_new, fresh = False, set(names)
        for held in self.run.held.keys() - fresh:
            variable, mask = self.run.held[held]
            variable.assign(variable * mask)  # whatever step gave it other numbers
        for key, name in sorted(fresh):
            variable = self.subject.variable(key, name)
            mask = (Reader(variable)() != 0).astype(str(variable.dtype))
            held = self.run.held.get((key, name))
            if held is None:
                with self.run.model.distribute_strategy.scope():
                    made = import_keras().Variable(mask, trainable=False, dtype=variable.dtype)
                self.run.held[key, name] = (variable, made)
                is_new = True
            else:
                held[1].assign(mask)
        return is_new

    def take_means(self, names: Iterable[tuple[str, str, float | None]]) -> None:
        """Take the numbers of now into means, which are kept in float64."""
        for key, name, decay in names:
            now = Reader(self.subject.editable(key, name))().astype(np.float64)
            mean, count = self.means.get((key, name), (now, 0))
            share = 1 / (count + 1) if decay is None else 1 - decay if count else 1.0
            # What did not change keeps its bits: a sum with nothing would make -0 to 0, and infinities to no number.
            with np.errstate(invalid="ignore"):
                self.means[key, name] = (np.where(now == mean, mean, mean + (now - mean) * share), count + 1)

    def decay_weights(self, rate: float | None) -> bool:
        """Give the optimizer another weight decay; gives back whether it differs, which the training step has baked in.

        None leaves it as it is.
        """
        if rate is None or rate == self._optimizer.weight_decay:
            return False
        self._optimizer.weight_decay = rate
        return True

    @property
    def _optimizer(self) -> Any:
        """The optimizer that the recipe names, which Keras wraps at mixed_float16 to scale the loss."""
        return getattr(self.run.model.optimizer, "inner_optimizer", self.run.model.optimizer)

    def epoch_ended(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """See how an epoch went; gives back whether the training ends here."""
        self.logs.write(self.run.history)
        best = self.watches.get(BEST)
        if best is not None and best.see(epoch, logs):
            self.best = states.arrays_of({"best": self.run.model.variables})
        stop = self.watches.get(STOP)
        if stop is None or stop.see(epoch, logs) or self.step.stop_early is None:
            return False
        return stop.has_waited(self.step.stop_early.patience)

    def conclude(self) -> None:
        """Give the model its means, or the numbers of the best epoch.

        Raises:
            TrainingError: some are no numbers.
        """
        self.run.refuse_unsound()
        optimizer = self._optimizer
        stop = self.watches.get(STOP)
        if stop is not None and self.step.stop_early is not None and stop.has_waited(self.step.stop_early.patience):
            ended = len(self.run.history)
            self.remarks.append(f"stopped after epoch {ended}: {stop.monitor} was best in epoch {stop.epoch}")
        if optimizer.use_ema:
            optimizer.finalize_variable_values(optimizer._trainable_variables)
            self.hold_zeros(())
        if self.best:
            self._return_to_best(self.watches[BEST])
        self._give_means()

    def _give_means(self) -> None:
        """Give the model the means of its numbers."""
        for (key, name), (mean, _) in self.means.items():
            variable = self.subject.variable(key, name)
            variable.assign(mean.astype(str(variable.dtype)) if "bfloat" not in str(variable.dtype) else mean)
            if (key, name) in self.run.held:  # what was taken in before it was held may not be zero
                variable.assign(variable * self.run.held[key, name][1])
        if self.means:
            counts = sorted({count for _, count in self.means.values()})
            self.remarks.append(f"{len(self.means)} variables are means of {', '.join(map(str, counts))} states")

    def _return_to_best(self, watch: Watch) -> None:
        """Give the model the numbers of its best epoch, which may be from before the last zeros."""
        states.give({"best": self.run.model.variables}, self.best)
        self.remarks.append(f"weights of epoch {watch.epoch}: {watch.monitor} {watch.best:.4g} was the best")
        alive = sum(int(np.count_nonzero(Reader(item)()[Reader(mask)() == 0])) for item, mask in self.run.held.values())
        if alive:
            self.remarks.append(f"{alive:,} weights that were pruned after epoch {watch.epoch} are therefore not zero")
