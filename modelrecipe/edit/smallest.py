"""Sets the numbers of smallest magnitude to zero: exactly as many as asked, over one tensor or over many.

The magnitude at which to cut is found without sorting and without holding more than one tensor. Without their sign,
the bits of floating-point numbers are ordered as the numbers are, so the cut is found 16 bits at a time, each time by
counting which digits occur: two passes over float32, four over float64. Knows neither layers nor files.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from modelrecipe.edit.arithmetic import pieces
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    Read = Callable[[], NDArray[np.generic]]

_DIGIT = 16
_DIGITS = 1 << _DIGIT


@frozen
class Cut:
    """Up to which magnitude numbers go.

    Args:
        bits: the magnitude, as the bits of `kind`. Whatever is smaller goes.
        ties: how many of those that have this very magnitude go, in each array.
        kind: the type in which magnitudes are compared; it holds every number of the arrays exactly.
    """

    bits: int
    ties: tuple[int, ...]
    kind: np.dtype[np.generic]

    def apply(self, values: NDArray[np.generic], number: int) -> NDArray[np.generic]:
        """The numbers of the array `number` with zero for those that go; all others keep their bits."""
        result = np.array(values, order="C")
        flat, start, left = result.reshape(-1), 0, self.ties[number]
        for piece in pieces(values):
            magnitudes = _magnitudes(piece, self.kind)
            goes = magnitudes < self.bits
            if left:
                equal = np.flatnonzero(magnitudes == self.bits)[:left]
                goes[equal] = True
                left -= equal.size
            flat[start : start + piece.size][goes] = 0
            start += piece.size
        return result


class Smallest:
    """Which numbers of several arrays are the smallest; looked for once, when it is first asked.

    Of equal magnitudes, those go that come first: arrays in their order, numbers in row-major order. NaN counts as
    larger than everything.

    Args:
        arrays: read the arrays; each is read several times, one at a time.
        share: of all numbers, between 0 and 1. Numbers that are zero already count.
    """

    def __init__(self, arrays: Sequence[Read], share: float) -> None:
        self._arrays = arrays
        self._share = share

    def without(self, values: NDArray[np.generic], number: int) -> NDArray[np.generic]:
        """The numbers of the array `number` with zero for the smallest."""
        cut = self._cut
        return np.array(values) if cut is None else cut.apply(values, number)

    @cached_property
    def _cut(self) -> Cut | None:
        """None where nothing goes."""
        facts = [_facts(read()) for read in self._arrays]
        wanted = round(self._share * sum(size for size, _ in facts))
        if not wanted:
            return None
        kind = np.dtype(np.float64 if any(dtype == np.float64 for _, dtype in facts) else np.float32)
        bits, ties = self._find(wanted, kind)
        return Cut(bits=bits, ties=tuple(self._ties(bits, ties, kind)), kind=kind)

    def _find(self, wanted: int, kind: np.dtype[np.generic]) -> tuple[int, int]:
        """The magnitude of the number that is the last to go, and how many of that magnitude go."""
        found, below, width = 0, 0, 8 * kind.itemsize
        for shift in range(width - _DIGIT, -1, -_DIGIT):
            counts = np.zeros(_DIGITS, np.int64)
            above = found if shift + _DIGIT < width else None
            for read in self._arrays:
                _count_digits(read(), kind, shift, above, counts)
            up_to = np.cumsum(counts)
            digit = int(np.searchsorted(up_to, wanted - below))
            below += int(up_to[digit] - counts[digit])
            found = found << _DIGIT | digit
        return found, wanted - below

    def _ties(self, bits: int, left: int, kind: np.dtype[np.generic]) -> Iterable[int]:
        """How many numbers of the magnitude `bits` go from each array: the first `left` of all."""
        if not bits:  # zeros may as well stay
            yield from (0 for _ in self._arrays)
            return
        for read in self._arrays:
            goes = min(_count_equal(read(), kind, bits), left) if left else 0
            yield goes
            left -= goes


# Each array is handed to a function of its own, so that it is let go of before the next one is read.


def _facts(values: NDArray[np.generic]) -> tuple[int, np.dtype[np.generic]]:
    return values.size, values.dtype


def _count_digits(
    values: NDArray[np.generic], kind: np.dtype[np.generic], shift: int, above: int | None, counts: NDArray[np.int64]
) -> None:
    """Add to `counts` how often each digit stands at `shift`, below the digits `above` where these are known."""
    for piece in pieces(values):
        magnitudes = _magnitudes(piece, kind)
        if above is not None:
            magnitudes = magnitudes[magnitudes >> (shift + _DIGIT) == above]
        counts += np.bincount(((magnitudes >> shift) & (_DIGITS - 1)).astype(np.intp), minlength=_DIGITS)


def _count_equal(values: NDArray[np.generic], kind: np.dtype[np.generic], bits: int) -> int:
    return sum(int(np.count_nonzero(_magnitudes(piece, kind) == bits)) for piece in pieces(values))


def _magnitudes(values: NDArray[np.generic], kind: np.dtype[np.generic]) -> NDArray[np.unsignedinteger]:
    """The bits of each number without its sign."""
    bits = np.dtype(f"u{kind.itemsize}")
    return values.astype(kind).view(bits) & bits.type((1 << (8 * kind.itemsize - 1)) - 1)
