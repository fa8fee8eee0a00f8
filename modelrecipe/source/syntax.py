"""What PyYAML complains of, in words that say what to write instead.

The rules are tried in order on PyYAML's context and problem texts (6.0, pure Python parser); what none of them knows
is passed on in PyYAML's own words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from modelrecipe.errors import LanguageError
from modelrecipe.source.scalar import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    import yaml

    from modelrecipe.source.lines import Lines

_WORD = re.compile(r"[^\s,\]}]+")
_LONGEST_HINT = 60
_VARIABLE = re.compile(r"\$\{[^}\s]*\}?")
_BROKEN = re.compile(r"(?:\$\{[^}\r\n]*\}?|(?!:\s)[^,\[\]{}\r\n])*")
_NO_SPACE = re.compile(r"\s*(?:- +)*([\w.-]+):(\S.*?)\s*")


class _Complaint(NamedTuple):
    """Where PyYAML stopped, where the thing it was reading began, and both of its texts."""

    at: int
    since: int
    context: str
    problem: str
    lines: Lines

    def found(self) -> str:
        """The word where reading stopped, or `the end of the text`."""
        rest = self.lines.text[self.at :].strip()
        return quoted(word_at(self.lines, self.at).rstrip(":") or ":") if rest else "the end of the text"


class _Spot(NamedTuple):
    """What to say, and about which characters."""

    message: str
    hint: str
    start: int
    stop: int | None = None


def explain(error: yaml.MarkedYAMLError, lines: Lines) -> LanguageError:
    """PyYAML's error as one of ours, with its place."""
    mark = error.problem_mark or error.context_mark
    since = error.context_mark or mark
    complaint = _Complaint(
        at=min(mark.index, len(lines.text)) if mark else 0,
        since=min(since.index, len(lines.text)) if since else 0,
        context=error.context or "",
        problem=error.problem or "invalid YAML",
        lines=lines,
    )
    spot = next(
        say(complaint) for pattern, say in _RULES if re.search(pattern, f"{complaint.context}|{complaint.problem}")
    )
    return LanguageError(spot.message, hint=spot.hint, place=lines.place(spot.start, spot.stop))


def word_at(lines: Lines, offset: int, *, to_line_end: bool = False) -> str:
    """The word that begins at `offset`; with `to_line_end`, all up to a comment or the end of the line."""
    if to_line_end:
        rest = lines.text[offset : lines.span(lines.number(offset))[1]]
        return re.split(r"\s+#", rest, maxsplit=1)[0].rstrip()
    matched = _WORD.match(lines.text, offset)
    return matched.group() if matched else lines.text[offset : offset + 1].strip()


def quote_hint(word: str) -> str:
    """How to write a word so that YAML takes it as text."""
    if len(word) > _LONGEST_HINT:
        return "put it in quotes"
    return f"write '{word}' with the quotes" if '"' in word or "\\" in word else f'write "{word}"'


def _tab(c: _Complaint) -> _Spot:
    if c.lines.before(c.at).strip():
        return _Spot("a tab cannot separate words in YAML", "use spaces", c.at)
    return _Spot("a tab cannot indent YAML", "use spaces", c.at)


def _reserved(c: _Complaint) -> _Spot:
    word = word_at(c.lines, c.at)
    return _Spot(f"'{word[:1]}' cannot begin a value", quote_hint(word), c.at, c.at + len(word))


def _pattern(c: _Complaint) -> _Spot:
    word = word_at(c.lines, c.since)
    kind = "alias" if word.startswith("*") else "anchor"
    hint = f"{quote_hint(word)} if text is meant"
    return _Spot(f"{quoted(word)} is read as a YAML {kind}, and is not one", hint, c.since, c.since + len(word))


def _tag(c: _Complaint) -> _Spot:
    word = word_at(c.lines, c.since)
    message = f"tag {quoted(word)} is not allowed"
    return _Spot(message, f"{quote_hint(word)} if text is meant", c.since, c.since + len(word))


def _second_colon(c: _Complaint) -> _Spot:
    """`a: b: c`, or a mapping below a value, or a line before it where the space after ':' was forgotten."""
    before = c.lines.before(c.at)
    line_start = c.at - len(before)
    value = re.search(r":\s+(?=\S)", before)
    if value:
        start = line_start + value.end()
        word = word_at(c.lines, start, to_line_end=True)
        return _Spot(
            "a value holds a second ': '", f"quote the whole value: {quote_hint(word)}", start, start + len(word)
        )
    start = line_start + len(before) - len(before.lstrip(" "))
    above = c.lines.text[:line_start].rstrip()
    glued = _NO_SPACE.fullmatch(c.lines.before(len(above)))
    if glued:
        hint = f"write {quoted(f'{glued[1]}: {glued[2]}')} there"
        return _Spot("the line above has no space after ':'", hint, start, c.at)
    key = quoted(before.strip() or ":")
    return _Spot(f"key {key} stands below a value that is not a mapping", "align it with its siblings", start, c.at)


def _flow(c: _Complaint) -> _Spot:
    opening = c.lines.text[c.since]
    closing, kind = ("]", "list") if opening == "[" else ("}", "mapping")
    if c.lines.text[c.at - 1 : c.at + 1] == "${":
        start, word = _with_variable(c)
        found = _VARIABLE.search(c.lines.text, c.at - 1)
        variable = found.group() if found else "${...}"
        message = f"variable {quoted(variable)} inside '{opening}{closing}' needs quotes"
        return _Spot(message, quote_hint(word), start, start + len(word))
    if c.found() == "the end of the text" or _is_outside(c):
        return _Spot(f"'{opening}' is never closed", f"write the '{closing}' that ends the {kind}", c.since)
    message = (
        f"expected ',' or '{closing}' in the {kind} that begins in line {c.lines.number(c.since)}, found {c.found()}"
    )
    return _Spot(message, f"add the ',' or '{closing}' before it, or quote the text", c.at)


def _with_variable(c: _Complaint) -> tuple[int, str]:
    """Where the plain text begins that a `${` broke, and all of it: `y-${b}` of `[y-${b}, z]`."""
    line = c.lines.span(c.lines.number(c.at))[0]
    before = c.lines.text[line : c.at - 1]
    start = c.at - 1 - len(re.split(r"[\[{,]\s*|:\s+", before)[-1])
    matched = _BROKEN.match(c.lines.text, start)
    return start, matched.group().rstrip() if matched else "${...}"


def _is_outside(c: _Complaint) -> bool:
    """Whether reading stopped at the ':' of a later line that is indented no deeper than the opening's line."""
    here, opening = (c.lines.text[slice(*c.lines.span(c.lines.number(offset)))] for offset in (c.at, c.since))
    depths = [len(line) - len(line.lstrip(" ")) for line in (here, opening)]
    return c.lines.text[c.at] == ":" and c.lines.number(c.at) > c.lines.number(c.since) and depths[0] <= depths[1]


def _open_quote(c: _Complaint) -> _Spot:
    return _Spot("a quote is never closed", f"end the text with {c.lines.text[c.since]}", c.since)


def _escape(c: _Complaint) -> _Spot:
    start = c.lines.text.rfind("\\", c.since, c.at + 1)
    start = start if start >= 0 else c.at
    shown = c.lines.text[start : start + 2]
    return _Spot(
        f"'{shown}' is no escape in double quotes",
        r"write '\\' for a backslash, or use single quotes",
        start,
        start + 2,
    )


def _block_text(c: _Complaint) -> _Spot:
    word = word_at(c.lines, c.since, to_line_end=True)
    message = f"'{word[:1]}' begins a block of text on the next lines, but more follows on its own line"
    return _Spot(message, quote_hint(word), c.since, c.since + len(word))


def _no_colon(c: _Complaint) -> _Spot:
    word = word_at(c.lines, c.since, to_line_end=True)
    return _Spot(
        f"{quoted(word)} has no ': ' after it", "write 'key: value', or quote the text", c.since, c.since + len(word)
    )


def _inline_item(c: _Complaint) -> _Spot:
    return _Spot(
        "a list item '- ' cannot begin in the line of its key", "begin the list in the next line, or write [a, b]", c.at
    )


def _question_mark(c: _Complaint) -> _Spot:
    return _Spot("'?' cannot stand here, where YAML reads it as the start of a key", "quote the text", c.at)


def _not_an_item(c: _Complaint) -> _Spot:
    hint = f"align it with the '-' of line {c.lines.number(c.since)}, or indent it below an item"
    return _Spot(f"expected a list item '- ', found {c.found()}", hint, c.at)


def _misplaced(c: _Complaint) -> _Spot:
    """Something in a block mapping that is no key of it."""
    before = c.lines.before(c.at)
    number = c.lines.number(c.since)
    if not before.strip():
        is_item = word_at(c.lines, c.at) == "-"
        hint = "align it with the '-' of its siblings" if is_item else f"align it with line {number} to continue there"
        return _Spot(f"the indentation of {c.found()} fits no level above it", hint, c.at)
    if before.rstrip()[-1] in "\"'":
        return _Spot(f"{c.found()} stands behind a closing quote", "quote the whole value", c.at)
    return _Spot(f"{c.found()} does not belong here", "quote the text that holds it", c.at)


def _no_value(c: _Complaint) -> _Spot:
    return _Spot(f"expected a value, found {c.found()}", "write the value, or quote it", c.at)


def _behind_the_end(c: _Complaint) -> _Spot:
    return _Spot(f"{c.found()} stands behind the end of the document", "align it with the lines above it", c.at)


def _directive(c: _Complaint) -> _Spot:
    start, stop = c.lines.span(c.lines.number(c.at))
    return _Spot(f"directive {quoted(c.lines.text[start:stop])} is not read", "remove the line", start, stop)


def _unknown(c: _Complaint) -> _Spot:
    message = f"invalid YAML: {c.context}: {c.problem}" if c.context else f"invalid YAML: {c.problem}"
    return _Spot(message.replace("\n", " "), "quote texts that hold special characters", c.at)


_RULES: tuple[tuple[str, Callable[[_Complaint], _Spot]], ...] = (
    (r"found character '\\t' that cannot start", _tab),
    (r"that cannot start any token", _reserved),
    (r"mapping values are not allowed", _second_colon),
    (r"flow (sequence|mapping)\|expected ','", _flow),
    (r"scanning a quoted scalar\|found unexpected", _open_quote),
    (r"double-quoted scalar", _escape),
    (r"scanning a block scalar", _block_text),
    (r"scanning an (alias|anchor)", _pattern),
    (r"(scanning|parsing) a tag|undefined tag handle", _tag),
    (r"could not find expected ':'", _no_colon),
    (r"sequence entries are not allowed", _inline_item),
    (r"mapping keys are not allowed", _question_mark),
    (r"parsing a block collection\|", _not_an_item),
    (r"parsing a block mapping\|", _misplaced),
    (r"expected the node content", _no_value),
    (r"expected '<document start>'", _behind_the_end),
    (r"directive|incompatible YAML", _directive),
    (r"", _unknown),
)
