"""One source looked at from all sides: tensors as the model gets them, their values, the examples that are kept.

Finds all that is wrong instead of stopping at the first. `describe` shows what comes out of it; `feed` reads by it.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.data.layout import Wanted, arranged, joined, wanted_tensors
from modelrecipe.data.selection import Parts, divide
from modelrecipe.data.values import Values, look, numbered, refuse_gaps
from modelrecipe.errors import DataError, RecipeError, did_you_mean
from modelrecipe.frozen import frozen
from modelrecipe.measures import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from modelrecipe.data.spec import DataSource
    from modelrecipe.data.stock import Header, Stock


_LARGE = 50_000_000
"""Numbers from which on targets, as masks of images, are read only when they are used."""
_ROLES = ("x", "y", "sample_weight")


@frozen
class Survey:
    """What one source gives.

    Args:
        stock: what it has.
        wanted: the tensors that feed the model; none where only TensorFlow can tell.
        before, after: each tensor as it lies there, and as the model gets it.
        values: of targets and weights, over the examples that are kept.
        length: number of examples before any are left out; None where only TensorFlow can tell.
        kept: numbers of the examples that `classes` keeps; None where nobody knows yet.
        labels: the label of each kept example, for drawing stratified parts; None where none are asked for.
        class_names: what the labels 0, 1, ... that the model gets stand for, where the source says.
        problems: all that is wrong.
    """

    stock: Stock
    wanted: tuple[Wanted, ...] = ()
    before: Mapping[Wanted, Header] = field(default_factory=dict)
    after: Mapping[Wanted, Header] = field(default_factory=dict)
    values: Mapping[Wanted, Values] = field(default_factory=dict)
    length: int | None = None
    kept: NDArray[np.int64] | None = None
    labels: NDArray[Any] | None = None
    class_names: tuple[str, ...] = ()
    problems: tuple[RecipeError, ...] = ()


def survey(
    stock: Stock,
    source: DataSource,
    *,
    classes: tuple[int | str, ...] | None = None,
    stratified: bool | str = False,
    at: tuple[str | int, ...] = (),
) -> Survey:
    """Look at a source.

    Args:
        stock: what it has.
        source: what the recipe says of it.
        classes: labels to keep, in the order of their new numbers.
        stratified: whether labels are needed for drawing, and of which output.
        at: keys that lead to the source.
    """
    if stock.headers is None:
        return Survey(stock=stock)
    look_at = _Look(stock, at)
    try:
        known = (*stock.headers, *(key for key in _ROLES if key in stock.refused))
        classes = _by_number(classes, stock.class_names)
        wanted = wanted_tensors(source, known, classes)
    except RecipeError as error:
        error.at = (*at, *error.at)
        return Survey(stock=stock, problems=(error,))
    for item in wanted:
        look_at.headers_of(item)
    if not look_at.problems:
        look_at.lengths()
    if not look_at.problems and stock.read is not None and (stock.is_cheap or classes is not None or stratified):
        look_at.numbers(wanted, stratified)
    elif not look_at.problems and (classes is None and not stratified) and look_at.length is not None:
        look_at.kept = np.arange(look_at.length)
    return Survey(
        stock=stock,
        wanted=wanted,
        before=look_at.before,
        after=look_at.after,
        values=look_at.values,
        length=look_at.length,
        kept=look_at.kept,
        labels=look_at.labels,
        class_names=tuple(stock.class_names[int(label)] for label in classes or range(len(stock.class_names)))
        if not look_at.problems and stock.class_names
        else (),
        problems=tuple(look_at.problems),
    )


def parts_of(found: Survey, seed: int, take: float | None, validation: float | None) -> Parts:
    """The examples of each part; see `divide`.

    Raises:
        DataError: a part would be empty or too large.
    """
    kept = np.arange(found.length or 0) if found.kept is None else found.kept
    return divide(kept, seed=seed, take=take, validation=validation, labels=found.labels)


def _by_number(classes: tuple[int | str, ...] | None, names: tuple[str, ...]) -> tuple[int | str, ...] | None:
    """Classes that are named as the source names them, as the numbers that its labels are.

    Raises:
        DataError: the source has no class of a name.
    """
    if not classes or not names or not all(isinstance(item, str) for item in classes):
        return classes
    for number, name in enumerate(classes):
        if name not in names:
            hint = did_you_mean(str(name), names) or "it has: " + ", ".join(names[:12])
            raise DataError(f"there is no class '{name}'", hint=hint, at=("classes", number))
    return tuple(names.index(str(name)) for name in classes)


class _Look:
    """Collects a survey."""

    def __init__(self, stock: Stock, at: tuple[str | int, ...]) -> None:
        self.stock, self.at = stock, at
        self.before: dict[Wanted, Header] = {}
        self.after: dict[Wanted, Header] = {}
        self.values: dict[Wanted, Values] = {}
        self.problems: list[RecipeError] = []
        self.length: int | None = None
        self.kept: NDArray[np.int64] | None = None
        self.labels: NDArray[Any] | None = None

    def _note(self, error: RecipeError) -> None:
        error.at = (*self.at, *error.at)
        self.problems.append(error)

    def headers_of(self, item: Wanted) -> None:
        try:
            self.before[item] = joined(item, self.stock)
            self.after[item] = arranged(item, self.before[item])
        except RecipeError as error:
            self._note(error)

    def lengths(self) -> None:
        first, *others = self.before.items()
        self.length = first[1].length
        for item, header in others:
            if header.length != self.length:
                counts = f"{header.length:,}, but {first[0].label} has {self.length or 0:,}"
                what = f"{item.label} has {counts} examples"
                self._note(DataError(what, hint="name tensors that belong together", at=item.at))
        if self.length == 0:
            self._note(DataError("there are no examples"))

    def numbers(self, wanted: tuple[Wanted, ...], stratified: bool | str) -> None:
        """Read targets and weights; inputs are large, and read when they are used."""
        raw: dict[Wanted, NDArray[Any]] = {}
        for item in wanted:
            is_label = bool(item.classes) or bool(stratified)
            if item.role == "x" or (not is_label and self._is_large(item)):
                continue
            try:
                raw[item] = stacked(item, self.stock)
                refuse_gaps(raw[item], item.label, item.at)
            except RecipeError as error:
                self._note(error)
        if self.problems:
            return
        self.kept = np.arange(self.length or 0)
        for item in raw:
            if item.classes:
                self._keep(item, raw)
        for item, values in raw.items():
            self._look(item, values if len(self.kept) == len(values) else values[self.kept])
        if stratified:
            self._label(stratified, raw)

    def _is_large(self, item: Wanted) -> bool:
        header = self.before[item]
        return (header.length or 0) * math.prod(size or 1 for size in header.shape) > _LARGE

    def _keep(self, item: Wanted, raw: dict[Wanted, NDArray[Any]]) -> None:
        """Number the labels of the examples that are kept."""
        found = numbered(raw[item], item.classes)
        missing = [str(label) for number, label in enumerate(item.classes) if not (found == number).any()]
        if missing:
            has = ", ".join(str(label) for label in np.unique(raw[item])[:12])
            what = f"{item.label} has no example of {quoted(missing, most=6)}"
            self._note(DataError(what, hint=f"it holds {has}", at=("classes",)))
        self.kept = np.flatnonzero(found >= 0)
        raw[item] = found

    def _look(self, item: Wanted, values: NDArray[Any]) -> None:
        try:
            seen = look(item, values)
        except RecipeError as error:
            self._note(error)
        else:
            if seen is not None:
                self.values[item] = seen

    def _label(self, stratified: bool | str, raw: Mapping[Wanted, NDArray[Any]]) -> None:
        targets = [item for item in raw if item.role == "y" and stratified in (True, item.name)]
        if len(targets) != 1 or raw[targets[0]].size != len(raw[targets[0]]):
            names = [str(item.name) for item in raw if item.role == "y" and item.name is not None]
            hint = f"write stratified: one of {', '.join(names)}" if names else "name a target with one label each"
            self._note(DataError("'stratified' needs one target with labels", hint=hint, at=("stratified",)))
            return
        values = raw[targets[0]].reshape(-1)[self.kept]
        if values.dtype.kind == "f":
            what = f"{targets[0].label} holds fractions, which are no labels"
            self._note(DataError(what, hint="remove 'stratified'", at=("stratified",)))
            return
        self.labels = values


def stacked(item: Wanted, stock: Stock) -> NDArray[Any]:
    """The numbers that a tensor is made of, before anything is done to them.

    Raises:
        RecipeError: they cannot be read; `at` leads to the tensor.
    """
    if stock.read is None:
        raise DataError(f"{item.label} cannot be read without TensorFlow", at=item.at)
    try:
        parts = [stock.read(key) for key in item.keys]
    except RecipeError as error:
        error.at = item.at
        raise
    return np.stack(parts, axis=-1) if isinstance(item.spec.key, tuple) else parts[0]
