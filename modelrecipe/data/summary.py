"""What a recipe's data are, without TensorFlow: counts, shapes, types, values, digests; and what is wrong with them."""

from __future__ import annotations

import os
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe.data.digest import digest_of
from modelrecipe.data.sources import open_stock
from modelrecipe.data.spec import DataSource, DataSpec
from modelrecipe.data.survey import Survey, parts_of, survey
from modelrecipe.data.values import Values
from modelrecipe.errors import DataError, LanguageError, Problems, RecipeError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.data.layout import Role, Wanted
    from modelrecipe.data.selection import Parts


@frozen
class TensorSummary:
    """One tensor as the model gets it.

    Args:
        role: input, target or weight.
        name: of the model's input or output; None where there is one only.
        key: what messages call it: its key in the source.
        shape: of a batch, so that the first size is None.
        dtype: type of the numbers.
        values: what is known of the numbers, over all examples that are kept.
        at: keys below `data` that lead to it.
    """

    role: Role
    name: str | None
    key: str
    shape: tuple[int | None, ...]
    dtype: str
    values: Values | None = None
    at: tuple[str | int, ...] = ()


@frozen
class DataSummary:
    """What is known of the data of a recipe without TensorFlow.

    Args:
        examples: for training; None where only TensorFlow can tell.
        validation_examples: kept apart; None without validation or where only TensorFlow can tell.
        tensors: what the model gets; None where only TensorFlow can tell.
        validation_tensors: likewise of a validation source of its own; else None.
        class_names: what the labels stand for, where the source says.
        notes: what a reader of a plan should know.
        roots: files and folders by the names that the lock has, with the files that are read.
    """

    examples: int | None
    validation_examples: int | None
    tensors: tuple[TensorSummary, ...] | None
    validation_tensors: tuple[TensorSummary, ...] | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    roots: Mapping[str, tuple[Path, tuple[Path, ...]]] = field(default_factory=dict, repr=False, compare=False)
    _digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def digests(self) -> Mapping[str, str]:
        """Name of every file and folder to the digest of its content; each is read once, at the first call.

        Raises:
            FileError: one cannot be read.
        """
        for name, (root, files) in self.roots.items():
            if name not in self._digests:
                self._digests[name] = digest_of(root, files)
        return dict(self._digests)


def describe(spec: DataSpec, folder: Path) -> DataSummary:
    """What the data are.

    Reads headers, targets and weights; tables as a whole; no inputs of other sources, and no image.

    Args:
        spec: what the recipe says.
        folder: what its paths are relative to.

    Raises:
        RecipeError: one thing is wrong with them; `at` leads to it from `data`.
        Problems: several are.
    """
    problems: list[RecipeError] = []
    main = look_at(spec, folder, spec, problems)
    own_source = spec.validation_source()
    other = None if own_source is None else look_at(own_source, folder, spec, problems, at=("validation",))
    problems += class_problems(main, other)
    counts = _counts(spec, main, other, problems)
    if problems:
        raise problems[0] if len(problems) == 1 else Problems(problems)
    return summary_of(spec, folder, main, other, counts)


def summary_of(
    spec: DataSpec,
    folder: Path,
    main: Survey | None,
    other: Survey | None,
    counts: tuple[int | None, int | None],
) -> DataSummary:
    """What the surveys of the training source and, where it has one of its own, of validation found."""
    sources = [(source, found) for source, found in ((spec, main), (spec.validation_source(), other)) if found]
    return DataSummary(
        examples=counts[0],
        validation_examples=counts[1],
        tensors=_tensors(main) if main is not None else None,
        validation_tensors=_tensors(other, ("validation",)) if other is not None else None,
        class_names=main.class_names if main is not None else (),
        notes=tuple(note for _, found in sources for note in found.stock.notes),
        roots={
            _shown(root, folder, source): (root, files)
            for source, found in sources
            for root, files in found.stock.roots
        },
    )


def look_at(
    source: DataSource,
    folder: Path,
    spec: DataSpec,
    problems: list[RecipeError],
    at: tuple[str | int, ...] = (),
) -> Survey | None:
    """Open and survey a source; what is wrong goes to `problems`."""
    try:
        stock = open_stock(source, folder)
    except RecipeError as error:
        error.at = (*at, *error.at)
        problems.append(error)
        return None
    found = survey(stock, source, classes=spec.classes, stratified=spec.stratified if not at else False, at=at)
    problems += found.problems
    return found


def class_problems(main: Survey | None, other: Survey | None) -> list[RecipeError]:
    """A validation source whose labels stand for other classes than those of training."""
    if main is None or other is None or not main.class_names or not other.class_names:
        return []
    if main.class_names == other.class_names:
        return []
    theirs, ours = ", ".join(other.class_names[:12]), ", ".join(main.class_names[:12])
    what = f"the classes for validation are {theirs}, but those for training {ours}"
    return [DataError(what, hint="write classes: [...] with the names that both have", at=("validation",))]


def shares(spec: DataSpec) -> tuple[float | None, float | None]:
    """The amounts to draw: what is used, and what is kept apart."""
    apart = spec.validation
    return spec.take, None if isinstance(apart, DataSource) else apart


def require_permission(spec: DataSpec, *, allow_code: bool) -> None:
    """Refuse data that run Python code unless they may.

    Raises:
        LanguageError: they do, and may not.
    """
    for source, at in ((spec, ()), (spec.validation_source(), ("validation",))):
        if source is not None and source.function is not None and not allow_code:
            raise LanguageError(
                f"the data run Python code: they come from '{source.function}'",
                hint="pass --allow-code if you trust it",
                at=(*at, "function"),
            )


def _counts(
    spec: DataSpec, main: Survey | None, other: Survey | None, problems: list[RecipeError]
) -> tuple[int | None, int | None]:
    """Sizes of the parts, which do not depend on the seed."""
    parts: Parts | None = None
    if main is not None and main.kept is not None and not main.problems:
        try:
            parts = parts_of(main, 0, *shares(spec))
        except RecipeError as error:
            problems.append(error)
    apart = other.kept if other is not None else parts.validation if parts is not None else None
    return len(parts.training) if parts is not None else None, len(apart) if apart is not None else None


def _tensors(found: Survey, at: tuple[str | int, ...] = ()) -> tuple[TensorSummary, ...] | None:
    return tuple(_tensor(item, found, at) for item in found.wanted) or None


def _tensor(item: Wanted, found: Survey, at: tuple[str | int, ...]) -> TensorSummary:
    header, values = found.after[item], found.values.get(item)
    bounds = found.stock.bounds.get(item.keys[0])
    if values is None and bounds is not None and not item.classes and item.spec.one_hot is None:
        values = Values(lowest=bounds[0], highest=bounds[1], is_whole=True)
    return TensorSummary(
        role=item.role,
        name=item.name,
        key=item.label,
        shape=(None, *header.shape),
        dtype=header.dtype,
        values=values,
        at=(*at, *item.at),
    )


def _shown(path: Path, folder: Path, source: DataSource | None) -> str:
    """A path relative to the recipe, as the lock has it; what lies in Keras' cache by its name alone."""
    is_cached = source is not None and source.keras is not None
    return path.name if is_cached else Path(os.path.relpath(path, folder)).as_posix()
