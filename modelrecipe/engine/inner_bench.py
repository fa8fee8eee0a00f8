"""The bench of a step inside a training: it sees the live model as a document, and may do little else than edit it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import EditError
from modelrecipe.selector import Selector, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.graph import Located
    from modelrecipe.step import Change
    from modelrecipe.weights import Tensor


@dataclass
class InnerBench:
    """Implements `Bench` for the steps of `during`.

    Args:
        outer: the bench of the training.
        time: batches that were seen; None when the steps are only tried, on the document.
        moment: when the steps are carried out, in words.
        holds: variables whose zeros stay zero, as key and name.
        means: variables whose running mean takes their numbers in, with the decay of an exponential one.
        decay: the weight decay that the optimizer gets; None where it keeps its own.
    """

    outer: WorkBench
    time: int | None = None
    moment: str = ""
    holds: list[tuple[str, str]] = field(default_factory=list)
    means: list[tuple[str, str, float | None]] = field(default_factory=list)
    decay: float | None = None

    def select(
        self, checkpoint: Checkpoint, selector: Selector, key: str = "layers", *, may_be_empty: bool = False
    ) -> Sequence[Located]:
        """See `Bench.select`; what a try matches is noted as the training's own."""
        if self.time is None:
            return self.outer.select(checkpoint, selector, key, may_be_empty=may_be_empty)
        return select(checkpoint, selector, may_be_empty=may_be_empty)

    def record(self, change: Change) -> None:
        """See `Bench.record`; noted once, however often it is done."""
        if self.time is None:
            self.outer.record(replace(change, what=f"{self.moment}: {change.what}"))

    def note(self, text: str) -> None:
        """See `Bench.note`; likewise."""
        if self.time is None:
            self.outer.note(f"{self.moment}: {text}")

    def numbers(self, tensor: Tensor) -> NDArray[np.generic] | None:
        """See `Bench.numbers`."""
        return None if self.time is None or tensor.source is None else tensor.read()

    def seed_for(self, *parts: str) -> int:
        """See `Bench.seed_for`."""
        return self.outer.seed_for(f"batch {self.time}", self.moment, *parts)

    def hold_zeros(self, key: str, name: str) -> None:
        """See `Bench.hold_zeros`."""
        self.holds.append((key, name))

    def average(self, key: str, name: str, decay: float | None) -> None:
        """See `Bench.average`."""
        self.means.append((key, name, decay))

    def decay_weights(self, rate: float) -> None:
        """See `Bench.decay_weights`."""
        self.decay = rate

    def measure(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Bench.measure`: everything is measured already."""
        return checkpoint

    def further(self, name: str, *at: str | int) -> Checkpoint:
        """See `Bench.further`."""
        return self.outer.further(name, *at)

    def __getattr__(self, name: str) -> Any:
        """Whatever else steps may do they do outside.

        Raises:
            EditError: a step asks for it.
        """
        raise EditError("this step cannot stand inside a training", hint="move it before or behind 'train'")
