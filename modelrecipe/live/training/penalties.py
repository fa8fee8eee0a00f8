"""Additions to the loss that are no layer's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelrecipe.training.settings import Penalty


def pull_back(model: Any, pulled: Sequence[tuple[Penalty, Sequence[Any]]]) -> None:
    """Add strength / 2 * sum of (w - w0)^2 to the loss, where w0 is what the weights are now.

    Li, Grandvalet & Davoine 2018, "Explicit Inductive Bias for Transfer Learning" (arXiv 1802.01483), equation 2. It
    stands beside the regularizers of the variables themselves, and is gone with the live model.

    Args:
        model: the live model.
        pulled: penalties with their variables.
    """
    keras = import_keras()
    for penalty, variables in pulled:
        for variable in variables:
            # A copy: Keras makes a variable of a TensorFlow variable by taking that one in.
            start = keras.Variable(keras.ops.copy(variable), trainable=False, dtype=variable.dtype)
            variable.regularizer = _PulledBack(variable.regularizer, start, penalty.l2_sp)


def set_regularizer(variable: Any, regularizer: Any) -> None:
    """Give a variable another regularizer of its own; all pulls to where it was stay."""
    pull = variable.regularizer
    if not isinstance(pull, _PulledBack):
        variable.regularizer = regularizer
        return
    while isinstance(pull.other, _PulledBack):
        pull = pull.other
    pull.other = regularizer


class _PulledBack:
    """What Keras calls as a variable's regularizer."""

    def __init__(self, other: Any, start: Any, strength: float) -> None:
        self.other = other
        self._start = start
        self._strength = strength

    def __call__(self, variable: Any) -> Any:
        """The penalty, and what the variable had before."""
        ops = import_keras().ops
        own = 0.5 * self._strength * ops.sum(ops.square(variable - self._start))
        return own if self.other is None else own + self.other(variable)
