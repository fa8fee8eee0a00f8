"""When something happens in a training: moments as recipes write them, and the batches that they mean.

Time is counted in batches since the training began, over all epochs: after batch 1 it is 1, before it 0. Epoch `n`
begins at `(n - 1) * length` and ends at `n * length`.
"""

from __future__ import annotations

import math
from typing import Literal

from modelrecipe.errors import LanguageError
from modelrecipe.frozen import frozen

Unit = Literal["batch", "epoch"]
Shape = Literal["linear", "cosine", "cubic"]

_NUMBER = r"[1-9][0-9]*"
PERIOD = rf"^{_NUMBER} (batch|batches|epoch|epochs)$"
POINT = rf"^(start|end|(batch|epoch) {_NUMBER})$"


@frozen
class Course:
    """How long a training is.

    Args:
        length: batches of an epoch.
        total: batches of all epochs.
    """

    length: int
    total: int

    def epoch_of(self, batches: int) -> int:
        """The epoch, counted from 1, in which the batch after `batches` lies; after the last one, the last epoch."""
        return min(batches, self.total - 1) // self.length + 1


@frozen(kw_only=False)
class Period:
    """`100 batches`, `2 epochs`."""

    count: int
    unit: Unit

    @classmethod
    def read(cls, text: str) -> Period:
        """A period from its text, which fits `PERIOD`."""
        count, unit = text.split()
        return cls(int(count), "epoch" if unit.startswith("epoch") else "batch")

    def batches(self, course: Course) -> int:
        """How many batches it is long."""
        return self.count * (course.length if self.unit == "epoch" else 1)

    def __str__(self) -> str:
        plural = "batches" if self.unit == "batch" else "epochs"
        return f"{self.count} {self.unit if self.count == 1 else plural}"


@frozen(kw_only=False)
class Point:
    """`start`, `end`, `batch 700`, `epoch 3`; the number is 0 for the first two."""

    word: Literal["start", "end", "batch", "epoch"]
    number: int = 0

    @classmethod
    def read(cls, text: str) -> Point:
        """A point from its text, which fits `POINT`."""
        word, _, number = text.partition(" ")
        return cls(word, int(number or 0))  # type: ignore[arg-type]  # the pattern admits these four words alone

    def begins(self, course: Course) -> int:
        """Its time; of an epoch, when its first batch has not been seen yet."""
        at = {"start": 0, "end": course.total, "batch": self.number, "epoch": (self.number - 1) * course.length}
        return at[self.word]

    def ends(self, course: Course) -> int:
        """Its time; of an epoch, when its last batch has been seen."""
        return self.number * course.length if self.word == "epoch" else self.begins(course)

    def __str__(self) -> str:
        return f"{self.word} {self.number}" if self.number else self.word


@frozen
class Timing:
    """The times at which something happens: once, or again and again within a range.

    Args:
        at: the one time.
        every: the distance of two times; counted from the beginning of the range, at which it happens as well if the
            recipe names it.
        begin: where the range begins; None for that of the training.
        end: the last time that it may happen; None for the end of the training.
    """

    at: Point | None = None
    every: Period | None = None
    begin: Point | None = None
    end: Point | None = None

    def range(self, course: Course) -> tuple[int, int]:
        """First and last time of the range."""
        if self.at is not None:
            return self.at.begins(course), self.at.begins(course)
        first = self.begin.begins(course) if self.begin is not None else 0
        return first, min(self.end.ends(course) if self.end is not None else course.total, course.total)

    def is_at(self, time: int, course: Course) -> bool:
        """Whether it happens at a time."""
        first, last = self.range(course)
        if not first <= time <= last:
            return False
        if self.every is None:
            return True
        distance = time - self._origin(course)
        return distance % self.every.batches(course) == 0 and (
            distance > 0 or (not distance and self.begin is not None)
        )

    def after(self, time: int, course: Course) -> int | None:
        """The next time after a time; None when there is none."""
        first, last = self.range(course)
        if self.every is None:
            found = first if first > time else None
        else:
            step, origin = self.every.batches(course), self._origin(course)
            begun = origin if self.begin is not None else origin + step
            found = max(begun, origin + ((time - origin) // step + 1) * step)
        return found if found is not None and found <= last else None

    def last(self, course: Course) -> int:
        """The last time at which it happens, if it does at all."""
        first, last = self.range(course)
        if self.every is None:
            return first
        return last - (last - self._origin(course)) % self.every.batches(course)

    def count(self, course: Course) -> int:
        """How often it happens."""
        first, last = self.range(course)
        if self.every is None:
            return 1 if first <= course.total else 0
        return max(0, (last - self._origin(course)) // self.every.batches(course) + (self.begin is not None))

    def _origin(self, course: Course) -> int:
        """From where periods are counted; those of epochs from the first end of an epoch in the range."""
        first, _ = self.range(course)
        if self.every is None or self.every.unit == "batch" or self.begin is None:
            return first
        if self.begin.word == "batch":
            return math.ceil(first / course.length) * course.length
        return first if self.begin.word == "end" else first + course.length

    def __str__(self) -> str:
        if self.at is not None:
            return f"at {self.at}"
        parts = [f"every {self.every}"]
        parts += [f"from {self.begin}"] if self.begin is not None else []
        parts += [f"until {self.end}"] if self.end is not None else []
        return " ".join(parts)


def ramped(shape: Shape, first: float, last: float, progress: float) -> float:
    """A value on its way from `first` to `last`.

    Args:
        shape: `linear`; `cosine`, half a period; `cubic`, fast at first, as Zhu & Gupta 2017 prune (arXiv 1710.01878,
            equation 1: s_t = s_f + (s_i - s_f) (1 - progress)^3).
        first: where it begins, exactly.
        last: where it ends, exactly.
        progress: from 0 to 1.
    """
    if progress <= 0:
        return first
    if progress >= 1:
        return last
    left = {
        "linear": 1 - progress,
        "cosine": (1 + math.cos(math.pi * progress)) / 2,
        "cubic": (1 - progress) ** 3,
    }[shape]
    return last + (first - last) * left


def refuse_later(timing: Timing, course: Course) -> LanguageError | None:
    """What is wrong with a moment that the training never comes to, or with a range that is empty."""
    first, last = timing.range(course)
    length = f"the training has {Period(course.total, 'batch')} in epochs of {course.length}"
    point = timing.at or timing.begin
    if first > course.total or (point is not None and point.word == "epoch" and first == course.total):
        key = "at" if timing.at is not None else "from"
        return LanguageError(f"'{point}' comes after the end: {length}", hint="write an earlier one", at=(key,))
    if last < first:
        return LanguageError(f"'until {timing.end}' comes before 'from {timing.begin}'", at=("until",))
    if timing.count(course) == 0:
        return LanguageError(f"'{timing}' never comes: {length}", hint="write a shorter period", at=("every",))
    return None
