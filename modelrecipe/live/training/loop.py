"""The training loop: batches in blocks that end exactly where something is to happen, epochs, validation, callbacks.

Time is the number of batches since the beginning, over all epochs (`training.moments`). What happens at a time is in
the hands of `Acts`; the loop knows neither steps nor files.
"""

from __future__ import annotations

import math
import sys
import time as clock
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import tensorflow as tf

from modelrecipe.errors import TrainingError
from modelrecipe.live.construct import foreign_code, reason
from modelrecipe.live.private import deterministic
from modelrecipe.live.training.listening import begun
from modelrecipe.live.training.step_function import testing_function, training_function, untold_tracing
from modelrecipe.live.training.workers import is_loss_of_worker, is_wide, local_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from modelrecipe.data.feed import Feed
    from modelrecipe.live.training.weighting import WeightedFeed
    from modelrecipe.training.moments import Course

_PAUSE = 0.25
"""Seconds between two looks at the loss, each of which waits for the device."""


class Acts(Protocol):
    """What happens beside the training itself."""

    def next(self, time: int) -> int:
        """The next time at which something happens, at most the end of the training."""
        ...

    def after(self, time: int) -> bool:
        """Do what comes after a batch; gives back whether the training step has to be made anew."""
        ...

    def before_epoch(self, time: int) -> bool:
        """Do what comes before the first batch of an epoch; likewise."""
        ...

    def epoch_ended(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """See how an epoch went; gives back whether the training ends here."""
        ...

    def keep(self, run: Run) -> None:
        """Save the state of the training, where it is time to."""
        ...

    def tell(self, event: str, **facts: Any) -> None:
        """Tell whoever watches."""
        ...

    def is_stopped(self) -> bool:
        """Whether the user wants an end."""
        ...


@dataclass
class Run:
    """A training on its way.

    Args:
        model: a compiled model, with all its variables made.
        feed: training data.
        validation: data that are looked at after every epoch.
        course: how long it is.
        callbacks: Keras' callbacks.
        held: key and name of a variable to it and to its mask of zeros and ones.
        block: batches that run without coming back to Python, at most.
        jit: compile with XLA.
        is_deterministic: use deterministic operations alone.
        time: batches that were seen.
        is_over: whether it has ended, early perhaps.
        history: values of each epoch.
        resumed: attributes of the callbacks as they were when the state was kept that this run goes on from.
    """

    model: Any
    feed: Feed | WeightedFeed
    validation: Feed | None
    course: Course
    callbacks: Sequence[Any] = ()
    held: dict[tuple[str, str], tuple[Any, Any]] = field(default_factory=dict)
    block: int = 1
    jit: bool = False
    is_deterministic: bool = False
    time: int = 0
    is_over: bool = False
    history: list[dict[str, float]] = field(default_factory=list)
    resumed: Sequence[Mapping[str, Any]] = ()
    _train: Callable[[Any, int], None] | None = None
    _test: Callable[[Any], None] | None = None
    _looked: float = 0.0

    def __post_init__(self) -> None:
        # What was infinite before, as a mask of -inf, may stay so.
        self._sound = [variable for variable in self.model.variables if _is_finite(variable)]

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left to do."""
        return self.is_over or self.time >= self.course.total

    def go(self, acts: Acts) -> None:
        """Train to the end, or until somebody stops it.

        Args:
            acts: what else happens.

        Raises:
            TrainingError: the loss is no number any more, or something breaks.
        """
        # Keras' callbacks say what they do on stdout, which is for data.
        with (
            redirect_stdout(sys.stderr),
            untold_tracing(),
            deterministic(self.is_deterministic),
            foreign_code(self._broken),
        ):
            self._train_on(acts)

    def _broken(self, error: Exception) -> TrainingError:
        if is_wide(self.model.distribute_strategy) and is_loss_of_worker(error):
            return TrainingError(
                f"the training broke off after batch {self.time}: another worker is gone",
                hint="look there for the cause, and start all workers anew",
            )
        return TrainingError(f"the training broke off after batch {self.time}: {reason(error)}")

    def _train_on(self, acts: Acts) -> None:
        self.model.stop_training = False
        listeners = begun(self.callbacks, self.resumed, model=self.model, course=self.course, epochs=len(self.history))
        while not self.is_at_end and not acts.is_stopped():
            self._epoch(acts, listeners)
        listeners.on_train_end(self.history[-1] if self.history else {})

    def _epoch(self, acts: Acts, listeners: Any) -> None:
        """From where the epoch is to its end, or until the user wants an end."""
        epoch, done = divmod(self.time, self.course.length)
        length = min(self.course.length, self.course.total - epoch * self.course.length)
        if done == 0:
            self.model.reset_metrics()
            listeners.on_epoch_begin(epoch)
            self._restep(acts.before_epoch(self.time))
        batches = self._batches(epoch, done)
        begun = clock.perf_counter()
        while done < length and not acts.is_stopped():
            count = min(self.block, length - done, acts.next(self.time) - self.time)
            listeners.on_train_batch_begin(done)
            self._function()(batches, count)
            done, self.time = done + count, self.time + count
            if self.callbacks:
                listeners.on_train_batch_end(done - 1, self._logs())
            self._restep(acts.after(self.time))
            self._look(acts, epoch + 1, done, length, begun)
            if done < length:
                acts.keep(self)
        if done < length:
            return
        self.check_loss()
        self._end_of(acts, epoch, listeners, clock.perf_counter() - begun)

    def _end_of(self, acts: Acts, epoch: int, listeners: Any, seconds: float) -> None:
        logs = self._logs()
        if self.validation is not None:
            logs |= {f"val_{name}": value for name, value in self._evaluate(self.validation, listeners).items()}
        self.history.append(logs)
        acts.tell("epoch", epoch=epoch + 1, batch=self.time, seconds=round(seconds, 3), **logs)
        listeners.on_epoch_end(epoch, logs)
        self.is_over = acts.epoch_ended(epoch + 1, logs) or bool(self.model.stop_training)
        acts.keep(self)

    def _evaluate(self, feed: Feed, listeners: Any) -> dict[str, float]:
        """Loss and metrics over data, in inference mode; the model's metrics begin anew."""
        if self._test is None:
            self._test = testing_function(self.model)
        self.model.reset_metrics()
        listeners.on_test_begin()
        for number, batch in enumerate(feed.dataset(0)):
            listeners.on_test_batch_begin(number)
            self._test(batch)
            if self.callbacks:
                listeners.on_test_batch_end(number, self._logs())
        logs = self._logs()
        listeners.on_test_end(logs)
        return logs

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        return iter(self.feed.dataset(epoch, start))

    def _function(self) -> Callable[[Any, int], None]:
        if self._train is None:
            self._train = training_function(self.model, list(self.held.values()), jit=self.jit)
        return self._train

    def _restep(self, is_needed: bool) -> None:
        """Flags and settings are part of a compiled step, so that others need another one."""
        if is_needed:
            self._train = None

    def _logs(self) -> dict[str, float]:
        return {name: _number(value) for name, value in self.model.get_metrics_result().items()}

    def _look(self, acts: Acts, epoch: int, done: int, length: int, begun: float) -> None:
        now = clock.perf_counter()
        if now - self._looked < _PAUSE:
            return
        self._looked = now
        is_alone = not is_wide(self.model.distribute_strategy)
        loss = self.check_loss() if is_alone else local_mean(self.model.metrics[0])
        acts.tell("batch", epoch=epoch, batch=self.time, done=done, of=length, loss=loss, seconds=now - begun)

    def check_loss(self) -> float:
        """The mean loss of the epoch so far.

        Raises:
            TrainingError: it is no number.
        """
        loss = _number(self.model.metrics[0].result())
        if not math.isfinite(loss):
            raise self._unsound(f"the loss is {loss}")
        return loss

    def refuse_unsound(self) -> None:
        """Refuse numbers of the model that are none: a training cannot go on from there, nor may it end so.

        Raises:
            TrainingError: there are some.
        """
        for variable in self._sound:
            if not _is_finite(variable):
                raise self._unsound(f"'{variable.path}' holds infinite numbers or none at all")

    def _unsound(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what} after batch {self.time} (epoch {self.course.epoch_of(self.time - 1)})",
            hint="lower the learning rate, write clip_gradients, or look at the data",
        )


def _number(value: Any) -> float:
    return float(value) if not isinstance(value, Mapping) else math.nan


def _is_finite(variable: Any) -> bool:
    return "float" in variable.dtype and bool(tf.reduce_all(tf.math.is_finite(variable.value)))
