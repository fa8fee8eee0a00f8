"""Which examples a model is shown, and what is measured meanwhile: parameters that several steps share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from modelrecipe.data import DataSource, DataSpec
from modelrecipe.errors import LanguageError, did_you_mean
from modelrecipe.fields import Doc, Rule
from modelrecipe.selector import COMPARISON
from modelrecipe.training.direction import Mode
from modelrecipe.training.keras_objects import Losses, Metric, Metrics
from modelrecipe.training.settings import AT_LEAST_ONE

Part = Literal["all", "train", "validation"]
_SAYS_COMPARISON = Rule({"pattern": COMPARISON, "patternErrorMessage": "must be a comparison, as '>= 0.95'"})


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Examples that a model is only shown: in the order of their source, and without augmentation."""

    data: Annotated[DataSpec, Doc("the examples")]
    part: Annotated[
        Part | None, Doc("which of them, where `data` keeps some apart for validation: the same ones as in `train`")
    ] = None
    batch_size: Annotated[int, Doc("examples in a batch"), AT_LEAST_ONE] = 32

    def problems(self) -> Iterator[LanguageError]:
        """A part that is not there, or none where it must be said which."""
        apart = self.data.validation
        if apart is None and self.part in ("train", "validation"):
            yield LanguageError(
                f"there is no part '{self.part}': the data keep nothing apart",
                hint="write validation below data, or leave 'part' out",
                at=("part",),
            )
        elif apart is not None and self.part is None:
            yield LanguageError(
                "the data keep examples apart for validation, so it must be said which are meant",
                hint="write part: validation, train or all",
            )
        elif isinstance(apart, DataSource) and self.part == "all":
            yield LanguageError(
                "'all' would be examples of two sources", hint="write part: validation or train", at=("part",)
            )


@dataclass(frozen=True, kw_only=True)
class Evaluation(Examples):
    """What is measured of a model on examples, in inference mode."""

    loss: Annotated[Losses | None, Doc("a loss; for several outputs, output name to loss")] = None
    metrics: Annotated[Metrics | None, Doc("what is measured beside it; or output name to metrics")] = None
    loss_weights: Annotated[Mapping[str, float], Doc("output name to how much its loss counts")] = field(
        default_factory=dict
    )

    @property
    def deciding(self) -> tuple[str, ...]:
        """Names of measures that something depends on."""
        return ()

    def place_of(self, name: str) -> tuple[str, ...]:
        """Keys that lead to a measure that something depends on."""
        return (name,)

    @property
    def measures(self) -> Metrics | None:
        """What is measured beside the loss: what is named, else what something depends on."""
        return self.metrics if self.metrics is not None else _metrics(self.deciding)

    def problems(self) -> Iterator[LanguageError]:
        """As of all examples; and something must be measured."""
        yield from super().problems()
        if self.loss is None and "loss" in self.deciding:
            yield LanguageError("no loss is given, so it cannot decide", hint="write loss, as loss: mse")
        elif self.loss is None and self.measures is None:
            yield LanguageError("nothing is measured", hint="write loss or metrics, as metrics: accuracy")
        for name in self.deciding if self.metrics is None else ():
            for error in Metric(class_=name).problems() if name != "loss" else ():
                yield LanguageError(error.message, hint=error.hint, at=self.place_of(name))


def _metrics(names: Iterable[str]) -> Metrics | None:
    return tuple(Metric(class_=name) for name in names if name != "loss") or None


@dataclass(frozen=True, kw_only=True)
class Demanded(Evaluation):
    """An evaluation with what it must give."""

    demand: Annotated[
        Mapping[str, Annotated[str, _SAYS_COMPARISON]], Doc("measure to what it must be, as {accuracy: '>= 0.95'}")
    ]

    @property
    def deciding(self) -> tuple[str, ...]:
        """What is demanded."""
        return tuple(self.demand)

    def place_of(self, name: str) -> tuple[str, ...]:
        """See `Evaluation.place_of`."""
        return ("demand", name)

    def problems(self) -> Iterator[LanguageError]:
        """As of all evaluations; and something must be demanded."""
        if not self.demand:
            yield LanguageError("nothing is demanded", hint="write it as {accuracy: '>= 0.95'}", at=("demand",))
        else:
            yield from super().problems()


@dataclass(frozen=True, kw_only=True)
class Greedy(Evaluation):
    """An evaluation that decides which models are good enough to be taken in."""

    metric: Annotated[str, Doc("the measure that decides, as accuracy or loss")]
    mode: Annotated[Mode, Doc("whether less or more of it is better; auto goes by its name")] = "auto"

    @property
    def deciding(self) -> tuple[str, ...]:
        """The one measure."""
        return (self.metric,)

    def place_of(self, name: str) -> tuple[str, ...]:
        """See `Evaluation.place_of`."""
        return ("metric",)


def value_of(values: Mapping[str, float], name: str, *at: str) -> float:
    """One of the values that an evaluation gave.

    Args:
        values: by name.
        name: the one that is wanted.
        at: keys of the step that lead to the name, for errors.

    Raises:
        LanguageError: there is none of that name.
    """
    if name not in values:
        hint = did_you_mean(name, values) or "there are: " + ", ".join(values)
        raise LanguageError(f"the evaluation gives no '{name}'", hint=hint, at=at)
    return values[name]
