"""What numbers hold, as far as a model or a loss cares: range, whole numbers, counts of labels, rows of shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.errors import DataError
from modelrecipe.frozen import frozen
from modelrecipe.measures import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from modelrecipe.data.layout import Wanted

_MOST_CLASSES = 10_000
_PIECE = 1 << 22
"""Numbers that are looked at in one go."""


@frozen
class Values:
    """The numbers of one tensor.

    Args:
        lowest, highest: the range.
        is_whole: whether there is no fraction among them.
        counts: how often each label occurs, for whole numbers of not too many kinds.
        is_share: whether each row lies between 0 and 1 and adds up to 1.
    """

    lowest: float
    highest: float
    is_whole: bool = False
    counts: Mapping[int, int] | None = None
    is_share: bool | None = None


def refuse_gaps(values: NDArray[Any], label: str, at: tuple[str | int, ...]) -> None:
    """Refuse numbers that are not finite, piece by piece, so that a mapped file is never in memory as a whole.

    Raises:
        DataError: there are some; says how many and which example has the first.
    """
    if values.dtype.kind != "f" or not values.size:
        return
    rows = max(1, _PIECE // max(1, values[0].size))
    bad, first = 0, None
    for start in range(0, len(values), rows):
        found = ~np.isfinite(values[start : start + rows])
        if found.any():
            bad += int(found.sum())
            first = start + int(np.argwhere(found)[0][0]) if first is None else first
    if bad:
        what = f"{label} holds {counted(bad, 'number')} that {'is' if bad == 1 else 'are'} not finite"
        raise DataError(f"{what}, the first in example {first}", hint="mend the data, or leave the examples out", at=at)


def numbered(labels: NDArray[Any], classes: tuple[int | str, ...]) -> NDArray[np.int32]:
    """The place of each label in `classes`; -1 for those that are not in it."""
    flat = labels.reshape(len(labels))
    result = np.full(len(flat), -1, np.int32)
    for number, label in enumerate(classes):
        result[flat == _like(flat, label)] = number
    return result


def _like(values: NDArray[Any], label: int | str) -> Any:
    return str(label).encode() if values.dtype.kind == "S" else label


def look(wanted: Wanted, raw: NDArray[Any]) -> Values | None:
    """The values of a tensor after what is done to it; None for texts.

    Args:
        wanted: the tensor.
        raw: its numbers in the source, labels already numbered where there are classes.

    Raises:
        DataError: labels that `one_hot` has no column for; weights below zero.
    """
    if raw.dtype.kind not in "biuf" or not raw.size:
        return None
    spec = wanted.spec
    lowest, highest = float(raw.min()), float(raw.max())
    if spec.one_hot is not None:
        if lowest < 0 or highest >= spec.one_hot:
            reach = f"reaches {highest:g}" if highest >= spec.one_hot else f"goes down to {lowest:g}"
            hint = f"write one_hot: {int(highest) + 1}" if lowest >= 0 else "number the labels from 0, as by 'classes'"
            raise DataError(
                f"{wanted.label} {reach}, but one_hot is {spec.one_hot}", hint=hint, at=(*wanted.at, "one_hot")
            )
        return Values(lowest=0, highest=1, is_whole=True, counts=_counts(raw), is_share=True)
    scale, offset = 1.0 if spec.scale is None else spec.scale, spec.offset or 0.0
    if wanted.role == "sample_weight" and min(lowest * scale, highest * scale) + offset < 0:
        raise DataError(f"{wanted.label} goes down to {lowest:g}", hint="weights are not below zero", at=wanted.at)
    ends = sorted((lowest * scale + offset, highest * scale + offset))
    is_plain = scale == 1.0 and offset == 0.0
    is_whole = raw.dtype.kind in "biu" or bool((raw == np.floor(raw)).all())
    is_label = is_whole and is_plain and raw.size == len(raw)
    return Values(
        lowest=ends[0],
        highest=ends[1],
        is_whole=is_whole and is_plain,
        counts=_counts(raw) if is_label else None,
        is_share=_is_share(raw) if is_plain and raw.ndim > 1 else None,
    )


def _is_share(rows: NDArray[Any]) -> bool:
    sums = rows.sum(axis=-1, dtype=np.float64)
    return bool(rows.min() >= 0 and np.allclose(sums, 1, rtol=0, atol=1e-3))


def _counts(labels: NDArray[Any]) -> Mapping[int, int] | None:
    kinds, counts = np.unique(labels, return_counts=True)
    if len(kinds) > _MOST_CLASSES:
        return None
    return {int(kind): int(count) for kind, count in zip(kinds, counts, strict=True)}
