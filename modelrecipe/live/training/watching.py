"""Values that are watched over the epochs: when to stop, and which epoch's weights were best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelrecipe.errors import LanguageError, did_you_mean
from modelrecipe.training.direction import Mode, is_more_better

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class Watch:
    """One value with the best that it was.

    Args:
        monitor: its name.
        mode: whether less or more is better.
        min_delta: the smallest change that counts.
        best: the best value so far.
        epoch: the epoch that it was in, counted from 1; 0 before any.
        waited: epochs since then.
    """

    monitor: str
    mode: Mode = "auto"
    min_delta: float = 0.0
    best: float | None = None
    epoch: int = 0
    waited: int = 0

    def refuse_unknown(self, known: Sequence[str], at: Sequence[str]) -> None:
        """Refuse to watch what does not exist.

        Args:
            known: the names of the values that the training gives.
            at: the parameter that names this one.

        Raises:
            LanguageError: it is not among them.
        """
        if self.monitor not in known:
            hint = did_you_mean(self.monitor, known) or "there are: " + ", ".join(known)
            raise LanguageError(f"the training gives no '{self.monitor}'", hint=hint, at=at)

    def see(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Take the values of an epoch in; gives back whether it is the best so far."""
        value = logs[self.monitor]
        sign = 1 if is_more_better(self.monitor, self.mode) else -1
        is_best = not math.isnan(value) and (self.best is None or sign * (value - self.best) > self.min_delta)
        if is_best:
            self.best, self.epoch, self.waited = value, epoch, 0
        else:
            self.waited += 1
        return is_best

    def has_waited(self, patience: int) -> bool:
        """Whether the last `patience` epochs were no better, as Keras' `EarlyStopping` counts; 0 is as 1."""
        return self.waited >= max(1, patience)
