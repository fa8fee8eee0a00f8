"""Several machines in one training: they agree about what is asked of all of them, and one alone writes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from modelrecipe.errors import TrainingError
from modelrecipe.live.session import import_keras
from modelrecipe.live.training.replicas import is_shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

_WRITING = ("CSVLogger", "ModelCheckpoint", "TensorBoard")


@dataclass
class Workers:
    """The machines of a training; of one machine it asks nobody.

    Args:
        strategy: the devices.
    """

    strategy: Any
    _sum: Callable[[float], float] | None = field(default=None, init=False)

    def is_agreed(self, claim: bool) -> bool:
        """Whether a claim holds here or on any other machine; all of them must ask."""
        return self._add(float(claim)) > 0 if is_wide(self.strategy) else claim

    def refuse_strangers(self, identity: Iterable[str]) -> None:
        """Refuse a training that is another one on another machine.

        Args:
            identity: digests of the training.

        Raises:
            TrainingError: on all machines, when any differs.
        """
        if self._is_other(float(sum(int(digest[:10], 16) for digest in identity))):
            self.part()
            raise TrainingError(
                "the workers have other data or models", hint="give all machines the same files", at=("distribute",)
            )

    def refuse_apart(self, states: Sequence[Path]) -> None:
        """Refuse to resume from other states than another machine; before they are read, which asks all of them.

        Args:
            states: those that this machine finds.

        Raises:
            TrainingError: on all machines, when any differs.
        """
        if self._is_other(float(sum(int(path.stem.rpartition("-")[2]) + 1 for path in states))):
            self.part()
            raise TrainingError(
                "the workers would resume from different batches",
                hint="keep the checkpoints in a folder that all machines share",
                at=("checkpoints",),
            )

    def part(self) -> None:
        """Wait for the others, so that none leaves while another one still needs it; that one is gone is no matter."""
        with suppress(TrainingError):
            self.is_agreed(False)

    def _is_other(self, mine: float) -> bool:
        """Whether any machine has another number than this one, or another one than a third."""
        return is_wide(self.strategy) and self.is_agreed(self._add(mine) != mine * self._add(1.0))

    def _add(self, number: float) -> float:
        if self._sum is None:
            self._sum = _sum_of_workers(self.strategy)
        try:
            return self._sum(number)
        except tf.errors.OpError as error:
            raise TrainingError(
                "another worker is gone",
                hint="look there for the cause, and start all workers anew",
                at=("distribute",),
            ) from error


def is_wide(strategy: Any) -> bool:
    """Whether they belong to several machines, so that all of them must ask the same questions in the same order."""
    return is_shared(strategy) and strategy.extended._in_multi_worker_mode()


def _sum_of_workers(strategy: Any) -> Callable[[float], float]:
    """A function that adds up the numbers that all machines give it; all of them must call it."""

    def summed(mine: Any) -> Any:
        here = tf.identity(mine)  # what stands on no device cannot be summed
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)

    def added(number: Any) -> Any:
        return strategy.experimental_local_results(strategy.run(summed, args=(number,)))[0]

    compiled, local = tf.function(added), len(strategy.extended.worker_devices)
    return lambda number: float(compiled(tf.constant(number, tf.float64))) / local


def is_loss_of_worker(error: Exception) -> bool:
    """Whether an error says that another machine is gone."""
    return isinstance(error, tf.errors.UnavailableError | tf.errors.AbortedError | tf.errors.CancelledError)


def silent(callbacks: Sequence[Any]) -> list[Any]:
    """Callbacks without those that write files, each of which leaves its place to one that does nothing."""
    keras = import_keras()
    return [keras.callbacks.Callback() if type(item).__name__ in _WRITING else item for item in callbacks]


def local_mean(metric: Any) -> float:
    """The value of a mean on this machine alone, for which no other one has to be asked."""
    parts = [sum(float(item) for item in variable.value.values) for variable in (metric.total, metric.count)]
    return parts[0] / parts[1] if parts[1] else 0.0
