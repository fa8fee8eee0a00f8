"""What can go wrong, where it stands in the recipe, and what to write instead.

Every refusal is a `RecipeError`. Rooms further up raise it without knowing YAML; the runner adds the place. This
room knows neither YAML nor Keras, and prints nothing.
"""

from __future__ import annotations

import re
from dataclasses import astuple
from typing import TYPE_CHECKING, ClassVar

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDEST = 72
"""Characters of a source line in an excerpt: with the gutter, a terminal of 80 columns."""
_ENDLESS = re.compile(r"(?<![\w'])'(?=[^\s,;:.)])[^'\n]{400,}'|\S{400,}")


@frozen(kw_only=False)
class Place:
    """A spot in a text file: where a problem begins and how many characters to underline.

    Args:
        file: the file as the user wrote it.
        line: counted from 1.
        column: counted from 1.
        length: characters to underline; at least 1.
        text: the whole source line, without its line end.
    """

    file: str
    line: int
    column: int
    length: int = 1
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def excerpt(self, width: int = 80) -> str:
        """The source line with its number, and carets under the spot; cut around the spot to fit `width` columns."""
        number = str(self.line)
        text = self.text.expandtabs(1)
        start = self.column - 1
        shown, offset = _window(text, start, max(20, min(_WIDEST, width - len(number) - 5)))
        length = max(1, min(self.length, len(shown) - (start - offset)))
        return f"  {number} | {shown}\n  {' ' * len(number)} | {' ' * (start - offset)}{'^' * length}"


def _window(text: str, start: int, width: int) -> tuple[str, int]:
    """Cut a long line to the part around `start`."""
    if len(text) <= width:
        return text, 0
    offset = max(0, min(start - width // 2, len(text) - width))
    return text[offset : offset + width], offset


def shortened(text: str) -> str:
    """The text with each name that no reader would read to its end cut in its middle, be it in quotes or a long word.

    The bound leaves paths whole, which are there to be copied.
    """
    return _ENDLESS.sub(lambda found: f"{found.group()[:60]}...{found.group()[-20:]}", text)


class RecipeError(Exception):
    """Something that the user can mend.

    Args:
        message: subject first, actual then expected, names in quotes, no full stop.
        hint: what to write or do instead.
        key: the dotted key inside the step, as `replace.layers`, where it is known.
        place: where in the recipe it stands; the runner fills it in.
        at: keys below the step's own value that lead to the culprit, as `("layers", "type")`.
        layer: key of the layer at fault, so that the runner can find the step that made it so.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        key: str | None = None,
        place: Place | None = None,
        at: Sequence[str | int] = (),
        layer: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = shortened(message)
        self.hint = hint
        self.key = key
        self.place = place
        self.at = tuple(at)
        self.layer = layer

    def __str__(self) -> str:
        return self.told()

    def told(self, width: int = 80) -> str:
        """Place, key, message and hint in one line, and below it the source line, which fits `width` columns."""
        key = shortened(self.key or "")
        head = ": ".join(part for part in (str(self.place or ""), key, self.message) if part)
        if self.hint:
            # Behind a message of several lines the hint would look like a part of the last one.
            head += ("\n" if "\n" in self.message else "; ") + shortened(self.hint)
        return f"{head}\n{self.place.excerpt(width)}" if self.place and self.place.text else head

    def as_dict(self) -> dict[str, object]:
        """The error as plain data, for `--json`."""
        place = self.place
        return {
            "error": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "key": self.key,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
            "exit_code": self.exit_code,
        }


class UsageError(RecipeError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class LanguageError(RecipeError):
    """The recipe's text is wrong: YAML, keys, types, variables, step parameters."""

    exit_code = 3


class UnknownKeyError(LanguageError):
    """A step, key or argument that does not exist; it stands at the key itself, all else at a value."""


class SelectorError(RecipeError):
    """A selector matched nothing, or not as many layers as `expect` says."""

    exit_code = 4


class CheckError(RecipeError):
    """A `check` step found something else than it demands."""

    exit_code = 5


class ProofError(RecipeError):
    """After the run, something that no step named is not bit-identical."""

    exit_code = 5


class LockError(RecipeError):
    """`run --locked` found that an input, the recipe, a match or an output drifted."""

    exit_code = 5


class FileError(RecipeError):
    """A file cannot be read or written, or is not what its place asks for."""


class DataError(RecipeError):
    """The data are not what the recipe says of them, or what the model takes."""

    exit_code = 3


class TrainingError(RecipeError):
    """A training cannot go on, or an earlier one cannot be taken up again."""


class InterruptedTrainingError(TrainingError):
    """The user stopped a training."""

    exit_code = 130


class MemoryLimitError(RecipeError):
    """The run would need more memory than it may have."""


class EditError(RecipeError):
    """A step cannot do what it says to this model."""

    exit_code = 3


class BuildError(RecipeError):
    """Keras cannot build the edited graph; names the layers and shapes at the break."""


class ShapeError(BuildError):
    """An edit gives a layer behind it something else than it was made for; names both layers and shapes."""

    exit_code = 3


class Problems(RecipeError):  # noqa: N818 - several errors, not one
    """Several problems of one recipe, sorted by where they stand; at least one."""

    def __init__(self, problems: Iterable[RecipeError]) -> None:
        found = list(problems)
        self.problems = sorted(found, key=lambda problem: astuple(problem.place) if problem.place else ())
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # of the gravest kind: text before selectors before checks
        """The exit code of what fails first: text, then selectors, then all else."""
        codes = {problem.exit_code for problem in self.problems}
        return next(code for code in (3, 4, 2, 5, 1, 130) if code in codes)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint naming the nearest of `known`, or None where nothing is near.

    Example:
        >>> did_you_mean("typ", ["type", "name"])
        "did you mean 'type'?"
    """
    nearest = nearest_names(word, known, most=1)
    return f"did you mean '{nearest[0]}'?" if nearest else None


def nearest_names(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Up to `most` names of `known` that resemble `word`, the best first; letter case is forgiven."""
    import difflib  # only mistakes need it

    by_lower = {name.lower(): name for name in reversed(list(known))}
    found = difflib.get_close_matches(word.lower(), by_lower, n=most, cutoff=0.6)
    return [by_lower[name] for name in found]
