"""Which examples are used, and in which order: a function of seeds and counts alone.

The streams of `numpy.random.RandomState` are frozen (NEP 19): the same seed draws the same examples in every version.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.errors import DataError
from modelrecipe.frozen import frozen
from modelrecipe.measures import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.int64]


@frozen(kw_only=False)
class Parts:
    """The numbers of the examples that each part has, in the order of the source."""

    training: Indices
    validation: Indices | None


def random_stream(seed: int, purpose: str, *numbers: int) -> np.random.RandomState:
    """A stream of random numbers of its own for every purpose and, say, epoch."""
    # Their count too: without it a number 0 would be the same as none.
    words = [seed, zlib.crc32(purpose.encode()), len(numbers), *numbers]
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(words)))


def divide(
    examples: Indices,
    *,
    seed: int,
    take: float | None = None,
    validation: float | None = None,
    labels: NDArray[Any] | None = None,
) -> Parts:
    """Draw the part that is used, and from it what is kept apart for validation.

    Args:
        examples: numbers of the examples that may be drawn.
        seed: of both draws; the batch size plays no part.
        take: a share below 1 or a number of examples; None for all.
        validation: likewise; None for no validation.
        labels: one for each of `examples`, whose shares each part keeps as nearly as whole examples can; None to draw
            from all alike.

    Raises:
        DataError: a part would be empty, or larger than what there is; `at` names the amount.
    """
    used = np.arange(len(examples))
    if take is not None:
        used, _ = _drawn(used, _size(take, len(used), "take", least_rest=0), random_stream(seed, "take"), labels)
    if validation is None:
        return Parts(examples[used], None)
    size = _size(validation, len(used), "validation", least_rest=1)
    apart, rest = _drawn(used, size, random_stream(seed, "validation"), None if labels is None else labels[used])
    return Parts(examples[rest], examples[apart])


def _size(amount: float, count: int, key: str, *, least_rest: int) -> int:
    size = amount if isinstance(amount, int) else round(amount * count)
    if size < 1:
        raise DataError(f"{amount:g} of {counted(count, 'example')} is none", hint="write a larger share", at=(key,))
    if size > count - least_rest:
        what = f"{counted(size, 'example')} cannot be drawn from {count:,}"
        hint = "validation leaves at least one for training" if least_rest and size == count else "write fewer"
        raise DataError(what, hint=hint, at=(key,))
    return int(size)


def _drawn(
    pool: Indices, size: int, stream: np.random.RandomState, labels: NDArray[Any] | None
) -> tuple[Indices, Indices]:
    """`size` of the pool, and the rest; both in the order of the pool."""
    chosen = np.zeros(len(pool), bool)
    if labels is None:
        chosen[stream.permutation(len(pool))[:size]] = True
        return pool[chosen], pool[~chosen]
    _, group, counts = np.unique(labels, return_inverse=True, return_counts=True)
    for number, quota in enumerate(_quotas(counts, size)):
        members = np.flatnonzero(group.reshape(-1) == number)
        chosen[stream.permutation(members)[:quota]] = True
    return pool[chosen], pool[~chosen]


def _quotas(counts: NDArray[np.intp], size: int) -> list[int]:
    """How many of each group: its share rounded down, and what is missing to those that lost most by it."""
    share = counts * (size / counts.sum())
    quotas = np.floor(share).astype(int)
    losers = np.argsort(quotas - share, kind="stable")[: size - quotas.sum()]
    quotas[losers] += 1
    return [int(quota) for quota in quotas]
