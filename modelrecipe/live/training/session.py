"""One training with all that belongs to it: the live model, the compiled loop, masks, means, the best epoch, states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from modelrecipe.errors import LanguageError
from modelrecipe.live.construct import foreign_code, reason
from modelrecipe.live.private import deterministic
from modelrecipe.live.session import import_keras, seeded
from modelrecipe.live.training import states
from modelrecipe.live.training.compiling import compile_model, make_callbacks
from modelrecipe.live.training.logs import LogFiles
from modelrecipe.live.training.loop import Run
from modelrecipe.live.training.penalties import pull_back
from modelrecipe.live.training.precision import with_policy
from modelrecipe.live.training.replicas import is_shared, share_model
from modelrecipe.live.training.settings import awake, put_to_sleep
from modelrecipe.live.training.strategies import strategy_of
from modelrecipe.live.training.subject import Reader, Subject
from modelrecipe.live.training.watching import Watch
from modelrecipe.live.training.weighting import WeightedFeed
from modelrecipe.live.training.workers import Workers, silent
from modelrecipe.step import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data.feed import Feeds
    from modelrecipe.edit.values import Place
    from modelrecipe.engine.training import Prospect
    from modelrecipe.live.workshop import Workshop
    from modelrecipe.steps.train import Train
    from modelrecipe.training.moments import Course

_STOP, _BEST = "stop_early", "restore_best"


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

    @classmethod
    def opened(
        cls,
        workshop: Workshop,
        document: Checkpoint,
        step: Train,
        prospect: Prospect,
        feeds: Feeds,
        course: Course,
        *,
        seed: int,
        place: Callable[[str], Path],
        joined: Any = None,
        writes: bool = True,
    ) -> Session:
        """A training that is ready to begin.

        Args:
            workshop: builds the model.
            document: the model.
            step: what the recipe says.
            prospect: what was found out before.
            feeds: the data.
            course: how long it is.
            seed: of everything random.
            place: where a file goes that the recipe names.
            joined: the strategy for several machines.
            writes: whether files are written; of several machines one does.

        Raises:
            RecipeError: Keras refuses what the recipe says, or a value that is to be watched does not exist.
        """
        strategy = strategy_of(step, feeds.train, joined)
        remarks = [_determined(step, seed)]
        if is_shared(strategy):
            remarks.append(f"{strategy.num_replicas_in_sync} devices, each with its part of every batch")
        with deterministic(step.deterministic), seeded(seed % 2**32), strategy.scope():
            subject = _live(workshop, document, step)
            _compile(subject, step, prospect, course)
            with foreign_code(lambda error: LanguageError(f"Keras cannot compute loss and metrics: {reason(error)}")):
                _make_metrics(subject.model, feeds, strategy)
        run = Run(
            model=subject.model,
            feed=WeightedFeed(feed=feeds.train, class_weight=step.class_weight) if step.class_weight else feeds.train,
            validation=feeds.validation,
            course=course,
            callbacks=make_callbacks(step, place) if writes else silent(make_callbacks(step, place)),
            block=step.steps_per_execution,
            jit=step.jit,
            is_deterministic=step.deterministic,
        )
        watches = _watches(step)
        _refuse_unknown(watches, run)
        logs = LogFiles.opened(step.logs if writes else None, place)
        return cls(step=step, subject=subject, run=run, watches=watches, remarks=remarks, logs=logs, writes=writes)

    # Between batches

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
        best = self.watches.get(_BEST)
        if best is not None and best.see(epoch, logs):
            self.best = states.arrays_of({"best": self.run.model.variables})
        stop = self.watches.get(_STOP)
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
        stop = self.watches.get(_STOP)
        if stop is not None and self.step.stop_early is not None and stop.has_waited(self.step.stop_early.patience):
            ended = len(self.run.history)
            self.remarks.append(f"stopped after epoch {ended}: {stop.monitor} was best in epoch {stop.epoch}")
        if optimizer.use_ema:
            optimizer.finalize_variable_values(optimizer._trainable_variables)
            self.hold_zeros(())
        if self.best:
            self._return_to_best(self.watches[_BEST])
        for (key, name), (mean, count) in self.means.items():
            variable = self.subject.variable(key, name)
            variable.assign(mean.astype(str(variable.dtype)) if "bfloat" not in str(variable.dtype) else mean)
            if (key, name) in self.run.held:  # what was taken in before it was held may not be zero
                variable.assign(variable * self.run.held[key, name][1])
            del count
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


def _determined(step: Train, seed: int) -> str:
    """Seed what TensorFlow draws; gives back what was set, in words."""
    tf.random.set_seed(seed % 2**31)
    return f"deterministic operations alone, seed {seed % 2**32}" if step.deterministic else f"seed {seed % 2**32}"


def _live(workshop: Workshop, document: Checkpoint, step: Train) -> Subject:
    meant = with_policy(document, step.precision)
    if not any(inner.step.touches & SETTINGS for entry in step.during for inner in entry.do):
        return Subject(workshop.lend(meant), document)
    built = workshop.lend(awake(meant))
    put_to_sleep(built.layers, meant)
    return Subject(built, document)


def _compile(subject: Subject, step: Train, prospect: Prospect, course: Course) -> None:
    """Give the model its optimizer, with a state for all that is ever trained, its loss and its metrics."""
    model = subject.model
    learns = [variable for key, names in prospect.learns.items() for variable in subject.learning(key, names)]
    if step.only:
        learning = {id(variable) for variable in learns}
        subject.hold_back([variable for variable in model.weights if id(variable) not in learning])

    def variables(places: Iterable[Place]) -> list[Any]:
        chosen = [subject.variable(place.key, name) for place in places for name in place.names]
        return [variable for variable in chosen if variable is not None]

    pairs = zip(step.penalties, prospect.pulled, strict=True)
    pull_back(model, [(penalty, variables(places)) for penalty, places in pairs])
    groups = [(group, variables(places)) for group, places in zip(step.rates, prospect.groups, strict=True)]
    compile_model(subject, step, groups, course.total, learns=learns)


def _watches(step: Train) -> dict[str, Watch]:
    found: dict[str, Watch] = {}
    if step.stop_early is not None:
        stop = step.stop_early
        found[_STOP] = Watch(monitor=stop.monitor, mode=stop.mode, min_delta=stop.min_delta)
    if step.restore_best is not None:
        found[_BEST] = Watch(monitor=step.restore_best)
    return found


def _refuse_unknown(watches: Mapping[str, Watch], run: Run) -> None:
    """Refuse to watch what the training does not give, before it begins.

    Raises:
        LanguageError: a value that is watched does not exist.
    """
    known = list(run.model.get_metrics_result())
    if run.validation is not None:
        known += [f"val_{name}" for name in known]
    for key, watch in watches.items():
        watch.refuse_unknown(known, ("stop_early", "monitor") if key == _STOP else (key,))


def _make_metrics(model: Any, feeds: Feeds, strategy: Any) -> None:
    """Let the model make the variables of its metrics, which Keras does at the first batch."""
    if is_shared(strategy):
        share_model(model, next(iter(feeds.train.dataset(0))))
        return
    weights = {id(variable) for variable in model.weights}
    random = [(variable, variable.numpy()) for variable in model.variables if id(variable) not in weights]
    model.test_on_batch(*next(iter(feeds.train.dataset(0))))
    model.reset_metrics()
    for variable, before in random:  # recurrent layers draw even then
        variable.assign(before)
