"""The contract of a step: what it declares, what it may use, and how it says what it did.

Everything else about a step (schema, documentation, validation, plan, proof) follows from the class. This room knows
no YAML, no files and no Keras.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.applications import Application
    from modelrecipe.assembly import Assembly
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Located
    from modelrecipe.layer_spec import LayerSpec
    from modelrecipe.selector import Selector
    from modelrecipe.steps.bn_reestimate import BnReestimate
    from modelrecipe.steps.predict import Predict
    from modelrecipe.steps.train import Train
    from modelrecipe.training.examples import Evaluation
    from modelrecipe.weights import Tensor


class Touch(enum.Flag):
    """What may differ after a step; the runner refuses the run when anything else does."""

    NOTHING = 0
    VALUES = enum.auto()
    FLAGS = enum.auto()
    NAMES = enum.auto()
    STRUCTURE = enum.auto()
    LIVE = enum.auto()
    SETTINGS = enum.auto()
    """Arguments of layers that change neither variables, nor shapes, nor the graph."""


NOTHING, VALUES, FLAGS, NAMES, STRUCTURE, LIVE, SETTINGS = (
    Touch.NOTHING,
    Touch.VALUES,
    Touch.FLAGS,
    Touch.NAMES,
    Touch.STRUCTURE,
    Touch.LIVE,
    Touch.SETTINGS,
)

ChangeKind = Literal["+", "-", "~", "-/+"]


@frozen
class Change:
    """One thing that a step did to one layer.

    Args:
        kind: `+` added, `-` removed, `~` changed in place, `-/+` replaced.
        layer: path of the layer, before the step where it existed before.
        key: the layer's key; what the proof goes by.
        what: the change in words, as `kernel x 0.8` or `MaxPooling2D to AveragePooling2D`.
        weights: names of the variables whose numbers may differ afterwards.
        flag: whether the layer's trainable flag may differ afterwards.
        settings: arguments that may differ afterwards: `rate`; of a layer inside the layer, `layer.rate`.
    """

    kind: ChangeKind
    layer: str
    key: str
    what: str
    weights: tuple[str, ...] = ()
    flag: bool = False
    settings: tuple[str, ...] = ()


class Bench(Protocol):
    """What a step may use of the world. `run` and `plan` each have one; a step cannot tell them apart."""

    def select(
        self, checkpoint: Checkpoint, selector: Selector, key: str = "layers", *, may_be_empty: bool = False
    ) -> Sequence[Located]:
        """The layers that the selector names; also noted for the report and the lock.

        Args:
            checkpoint: the model.
            selector: which layers are meant.
            key: the parameter of the step that holds the selector.
            may_be_empty: whether no layer at all is an answer too.

        Raises:
            SelectorError: nothing matched, or not as many as `expect` says.
        """
        ...

    def record(self, change: Change) -> None:
        """Say what was done to one layer."""
        ...

    def note(self, text: str) -> None:
        """Say something about the whole step, for the report."""
        ...

    def open(
        self,
        path: str,
        format: str | None = None,
        *,
        aside: bool = False,
        mends: bool = True,
        replace: Mapping[str, LayerSpec] | None = None,
    ) -> Checkpoint:
        """Read a model file, named relative to the recipe.

        The model is the source that later steps begin with, and that the proof compares with, unless it is put `aside`.
        What old files hold otherwise is repaired (`mends`); layers in `replace` are of another class from the start.
        """
        ...

    def construct(self, application: Application, *, aside: bool = False) -> Checkpoint:
        """Build an architecture of `keras.applications`; see `open` for `aside`."""
        ...

    def assemble(self, assembly: Assembly, *, aside: bool = False) -> Checkpoint:
        """Put an architecture and weights from elsewhere together; see `open` for `aside`."""
        ...

    def keep(self, name: str, checkpoint: Checkpoint) -> None:
        """Put a further checkpoint aside under a name, for steps that read `from` it."""
        ...

    def further(self, name: str, *at: str | int) -> Checkpoint:
        """A further checkpoint: what was put aside under that name, else the model file at that path.

        Args:
            name: as the recipe says it.
            at: keys of the step that lead to the name, for errors.

        Raises:
            LanguageError: nothing is called so.
            FileError: the file cannot be read, or is damaged.
        """
        ...

    def measure(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same checkpoint with all shapes and new weights known, which may need Keras once.

        In a plan without `--exact`, what only Keras can tell stays unknown.
        """
        ...

    def numbers(self, tensor: Tensor) -> NDArray[np.generic] | None:
        """The numbers of a tensor; None in a plan, which reads no weights."""
        ...

    def seed_for(self, *parts: str) -> int:
        """A seed of its own for what `parts` name, as a layer's key and a variable's name.

        It follows from the recipe's seed, the number of the step, in training that of the batch, and `parts` alone, so
        that nothing depends on the order in which tensors are read.
        """
        ...

    def hold_zeros(self, key: str, name: str) -> None:
        """In training, keep those numbers of a layer's variable at zero that are zero after this step."""
        ...

    def average(self, key: str, name: str, decay: float | None) -> None:
        """In training, take a variable's numbers into their mean, which takes their place when the training ends.

        Args:
            key: the layer's.
            name: the variable's.
            decay: of an exponential mean, its share of what was before; None for the mean of all.
        """
        ...

    def decay_weights(self, rate: float) -> None:
        """In training, give the optimizer another weight decay."""
        ...

    def train(self, checkpoint: Checkpoint, training: Train) -> Checkpoint:
        """The model after a training; in a plan the same model, with what may differ recorded."""
        ...

    def evaluator(
        self, checkpoint: Checkpoint, wanted: Evaluation, *at: str | int
    ) -> Callable[[Checkpoint], Mapping[str, float]] | None:
        """What measures the model, or another version of it with other numbers; None in a plan.

        Args:
            checkpoint: the model.
            wanted: what is measured, and on which examples.
            at: keys of the step that lead to `wanted`, for errors.

        Raises:
            RecipeError: data, model, loss and metrics do not fit each other; also in a plan.
        """
        ...

    def report(self, values: Mapping[str, float]) -> None:
        """Tell what was measured, in words and as data."""
        ...

    def predict(self, checkpoint: Checkpoint, prediction: Predict) -> None:
        """Write what the model gives for examples; in a plan, only find out whether that can be done."""
        ...

    def reestimate(self, checkpoint: Checkpoint, step: BnReestimate, paths: Mapping[str, str]) -> Checkpoint:
        """The model with statistics that are taken anew from data; in a plan the same model.

        Args:
            checkpoint: the model.
            step: says which data.
            paths: key of each layer that is meant, to its path.
        """
        ...

    def compare(self, checkpoint: Checkpoint, path: str, batch: int) -> float | None:
        """The largest difference of outputs to those of the model file at `path`; None in a plan."""
        ...

    def write(
        self, checkpoint: Checkpoint, path: str, format: str | None, *, force: bool, shard_size: int | None = None
    ) -> Checkpoint:
        """Write the model, whole or not at all; gives back what later steps go on with.

        Weights in shards have at most `shard_size` bytes of numbers in each.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """One word of the recipe language."""

    word: ClassVar[str]
    touches: ClassVar[Touch]

    @abstractmethod
    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """The edited checkpoint; the one given is left as it was."""

    @classmethod
    def summary(cls) -> str:
        """The first paragraph of the docstring, in one line."""
        return " ".join((cls.__doc__ or "").strip().partition("\n\n")[0].split())
