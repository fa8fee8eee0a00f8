"""Live models are shown examples in inference mode: what they are worth, and what they give."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from modelrecipe.errors import BuildError, LanguageError
from modelrecipe.live import build, filling
from modelrecipe.live.construct import foreign_code, reason
from modelrecipe.live.session import import_keras
from modelrecipe.live.training.compiling import loss_weights_of, losses_of, metrics_of
from modelrecipe.live.training.step_function import testing_function, untold_tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.data.feed import Feed
    from modelrecipe.live.workshop import Workshop
    from modelrecipe.training.examples import Evaluation


@dataclass
class Gauge:
    """Measures versions of one model on the same examples: the model is built once, and filled for each version.

    Args:
        built: a live model that nobody else has, compiled.
        feed: the examples.
        wanted: what is measured.
        filled: the version whose numbers it has.
    """

    built: build.Built
    feed: Feed
    wanted: Evaluation
    filled: Checkpoint
    _test: Callable[[Any], Any] = field(init=False)

    def __post_init__(self) -> None:
        model = self.built.model
        self._test = testing_function(model) if self.wanted.loss is not None else _metrics_function(model)

    @classmethod
    def of(cls, workshop: Workshop, document: Checkpoint, wanted: Evaluation, feed: Feed) -> Gauge:
        """A gauge for versions of a document.

        Raises:
            LanguageError: Keras does not know a loss or metric, or refuses its arguments.
        """
        built = workshop.lend(document)
        with foreign_code(lambda error: LanguageError(f"Keras cannot compile the model: {reason(error)}")):
            built.model.compile(
                optimizer=import_keras().optimizers.SGD(),  # never used, but Keras makes one
                loss=None if wanted.loss is None else losses_of(wanted.loss, "loss"),
                loss_weights=loss_weights_of(wanted.loss_weights, wanted.loss, built.model),
                metrics=metrics_of(wanted.measures),
                jit_compile=False,
            )
        return cls(built=built, feed=feed, wanted=wanted, filled=document)

    def measure(self, document: Checkpoint) -> dict[str, float]:
        """What a version gives, by name: the loss first, with what regularizers add to it.

        Raises:
            BuildError: the model cannot be run on the examples.
        """
        if document is not self.filled:
            filling.fill_all(self.built, document)
            self.filled = document
        model = self.built.model
        model.reset_metrics()
        with _running(model):
            for batch in self.feed.dataset(0):
                self._test(batch)
            found = model.get_metrics_result()
        values = dict(item for name, value in found.items() for item in _numbers(name, value))
        return values if self.wanted.loss is not None else {k: v for k, v in values.items() if k != "loss"}


def _metrics_function(model: Any) -> Callable[[Any], None]:
    """A function of one batch, which adds it to the metrics of a model without a loss; Keras' own wants one."""
    keras = import_keras()

    def one(data: Any) -> None:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        model.compute_metrics(x, y, model(x, training=False), weight)

    return _traced(one)


def _traced(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return tf.function(tf.autograph.experimental.do_not_convert(function), reduce_retracing=True)


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """A measure as plain numbers: several where it gives one for each class."""
    found = np.asarray(value, dtype=np.float64)
    if found.ndim == 0:
        yield name, float(found)
    else:
        yield from ((f"{name}[{number}]", float(one)) for number, one in enumerate(found.reshape(-1)))


def predictions(workshop: Workshop, document: Checkpoint, feed: Feed) -> list[NDArray[np.generic]]:
    """What a model gives for examples, an array for each of its outputs, in their order.

    Raises:
        BuildError: the model cannot be run on the examples.
    """
    model = workshop.lend(document).model

    def flat(x: Any) -> list[Any]:
        return import_keras().tree.flatten(model(x, training=False))

    run = _traced(flat)
    with _running(model):
        pieces = [[np.asarray(tensor) for tensor in run(batch[0])] for batch in feed.dataset(0)]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


@contextmanager
def _running(model: Any) -> Iterator[None]:
    refusal = foreign_code(lambda error: BuildError(f"'{model.name}' cannot be run on the data: {reason(error)}"))
    with refusal, untold_tracing(), warnings.catch_warnings():
        # Keras remarks on the form of the inputs, which is the one that the recipe names.
        warnings.simplefilter("ignore", UserWarning)
        yield
