"""`average`: take the mean of several models of one architecture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from modelrecipe import measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.edit.blend import averaged
from modelrecipe.edit.combining import combined_places, further_checkpoints
from modelrecipe.edit.counterparts import Other
from modelrecipe.edit.soup import Tasted, greedy_soup
from modelrecipe.edit.values import Place, with_numbers
from modelrecipe.errors import LanguageError
from modelrecipe.fields import Doc, Rule
from modelrecipe.selector import Selector
from modelrecipe.step import VALUES, Bench, Step, Touch
from modelrecipe.training.direction import is_more_better
from modelrecipe.training.examples import Greedy, value_of
from modelrecipe.weight_selector import WeightSelector


@dataclass(frozen=True, kw_only=True)
class Average(Step):
    """Take the mean of the weights of several models of one architecture.

    That is a uniform model soup (Wortsman et al., 2022, arXiv:2203.05482): w = mean of all w_i, of the current model
    and those named by `with`; with `coefficients` c, the sum of c_i × w_i over the sum of c_i. Sums are taken in
    float64 and rounded once; equal weights keep their bits, and the order of the models does not matter.

    Weights are matched by the layer's path and their own name, and must have one shape and type. Moving statistics are
    averaged as well, and fit the averaged model only roughly until they are estimated anew on data. Integers and the
    state of random generators are left as in the current model.

    With `greedy`, not all go in: the best model on data begins, and each further one, the better ones before, stays in
    if the mean is not worse for it. Choose on other examples than those that tell how good the soup is.

    Example:
        - average: {with: [second.keras, third.keras]}
    """

    word: ClassVar[str] = "average"
    touches: ClassVar[Touch] = VALUES

    with_: Annotated[
        str | tuple[str, ...], Doc("the other models: names that `load` gave them with `as`, or paths of files")
    ]
    layers: Annotated[Selector | None, Doc("whose weights; all, if not given")] = None
    weights: Annotated[WeightSelector, Doc("which variables of each layer: names, globs or roles")] = "*"
    coefficients: Annotated[
        tuple[Annotated[float, Rule({"minimum": 0})], ...] | None,
        Doc("weights of the mean, that of the current model first; equal ones, if not given"),
    ] = None
    greedy: Annotated[Greedy | None, Doc("take in only what does not make the mean worse on data")] = None

    def problems(self) -> Iterator[LanguageError]:
        """One coefficient for each model, and not only zeros."""
        if self.coefficients is None:
            return
        if self.greedy is not None:
            yield LanguageError("a greedy mean has no coefficients", hint="keep one", at=("coefficients",))
        count = 1 + len(self._names())
        if len(self.coefficients) != count:
            yield LanguageError(
                f"there are {len(self.coefficients)} coefficients for {count} models",
                hint="write one for the current model and one for each of 'with'",
                at=("coefficients",),
            )
        elif not any(self.coefficients):
            yield LanguageError("all coefficients are 0", at=("coefficients",))

    def _names(self) -> tuple[str, ...]:
        return (self.with_,) if isinstance(self.with_, str) else self.with_

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Combine the tensors lazily: nothing is read until the model is written."""
        checkpoint = with_numbers(checkpoint, bench)
        others = further_checkpoints(bench, self.with_)
        places = combined_places(checkpoint, bench, self.layers, self.weights)
        if self.greedy is not None:
            return self._chosen(checkpoint, bench, places, others, self.greedy)
        soup = averaged(checkpoint, places, others, self.coefficients, is_whole=self.layers is None)
        kind = "mean" if self.coefficients is None else "weighted mean"
        for place in places:
            bench.record(place.change(f"{place.label} to the {kind} of {1 + len(others)} models"))
        bench.note(f"{kind} of the model and {measures.quoted([other.name for other in others])}")
        return soup

    def _chosen(
        self, checkpoint: Checkpoint, bench: Bench, places: list[Place], others: list[Other], wanted: Greedy
    ) -> Checkpoint:
        """The greedy mean; in a plan, which looks at no data, that of all."""
        is_whole = self.layers is None
        soup = averaged(checkpoint, places, others, is_whole=is_whole)
        for place in places:
            bench.record(place.change(f"{place.label} to the greedy mean of up to {1 + len(others)} models"))
        measure = bench.evaluator(checkpoint, wanted, "greedy")
        if measure is None:
            return soup

        def score(version: Checkpoint) -> float:
            return value_of(measure(version), wanted.metric, "greedy", "metric")

        more = is_more_better(wanted.metric, wanted.mode)
        soup, tasted = greedy_soup(checkpoint, places, others, score, is_more_better=more, is_whole=is_whole)
        names = ["the current model", *(f"'{other.name}'" for other in others)]
        for item in tasted:
            bench.note(_told(item, names[item.number], wanted.metric))
        best = [item.together for item in tasted if item.is_kept][-1]
        bench.report({wanted.metric: best})
        return soup


def _told(item: Tasted, name: str, metric: str) -> str:
    """What became of a model: `kept 'a.keras': accuracy 0.97 alone, 0.98 in the mean`."""
    verb = "kept" if item.is_kept else "left out"
    return f"{verb} {name}: {metric} {item.alone:.6g} alone, {item.together:.6g} in the mean"
