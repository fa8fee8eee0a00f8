"""From offsets into a text to places in its file. Knows nothing of what the text says."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cache, cached_property

from modelrecipe.errors import Place

_UNSEEN_ASCII = re.compile("[^\t\n\r\x20-\x7e]")
_LINE_END = re.compile(r"\r\n|\n|\r")


def unseen_in(text: str) -> re.Pattern[str]:
    """A pattern of what nobody sees of a text in a reviewed file.

    Those are control characters, lone surrogates and non-characters, the line ends that only some programs know, byte
    order marks, and the marks that make text read in another order than it is stored (https://trojansource.codes).
    """
    return _UNSEEN_ASCII if text.isascii() else _unseen()


@cache
def _unseen() -> re.Pattern[str]:
    """The same for any text; most do without, and it takes as long to compile as a recipe to be read."""
    plain = "\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff"
    return re.compile(f"[^{plain}]|[\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


class Lines:
    """A text cut into lines, whichever way they end.

    Args:
        text: the whole text, as it stands in the file.
        file: the file as the user wrote it.
    """

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self._shown: dict[int, str] = {}

    @cached_property
    def _bounds(self) -> tuple[list[int], list[int]]:
        """Where each line starts, and where it stops before its line end."""
        ends = list(_LINE_END.finditer(self.text))
        return [0, *(end.end() for end in ends)], [*(end.start() for end in ends), len(self.text)]

    def number(self, offset: int) -> int:
        """The line, counted from 1, that holds the character at `offset`."""
        return bisect_right(self._bounds[0], offset)

    def span(self, number: int) -> tuple[int, int]:
        """Start and stop offsets of a line counted from 1, without its line end."""
        starts, stops = self._bounds
        return starts[number - 1], stops[number - 1]

    def before(self, offset: int) -> str:
        """What stands on the same line before `offset`."""
        return self.text[self.span(self.number(offset))[0] : offset]

    def place(self, start: int, stop: int | None = None) -> Place:
        """The place of `text[start:stop]`, underlined up to the end of its first line; one character by default.

        Characters that cannot be seen are shown as U+FFFD, so that printing a place is safe and keeps its columns.
        """
        number = self.number(start)
        line_start, line_stop = self.span(number)
        token = self.text[start : min(line_stop, start + 1 if stop is None else stop)]
        if number not in self._shown:
            line = self.text[line_start:line_stop]
            self._shown[number] = unseen_in(line).sub("\ufffd", line)
        return Place(self.file, number, start - line_start + 1, max(1, len(token.rstrip())), self._shown[number])
