"""From YAML text to values and where each stands, refusing what a reviewed file should not hold.

PyYAML's own constructors are not used: they forget the places, follow YAML 1.1, and copy aliases without end.
"""

from __future__ import annotations

import re
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from itertools import islice
from typing import Any

import yaml

from modelrecipe.errors import LanguageError, Problems, RecipeError
from modelrecipe.source.lines import Lines, unseen_in
from modelrecipe.source.node import Collection, Node
from modelrecipe.source.scalar import name_of_kind, quoted, resolve
from modelrecipe.source.syntax import explain, quote_hint, word_at

MOST_NODES = 100_000
MOST_ALIASED = 10_000
MOST_DEPTH = 100
MOST_PROBLEMS = 50

_LABEL = re.compile(r"0|[1-9][0-9]*")
# Anchors and tags before a value, with the blanks and comments that may follow them.
_PROPERTIES = re.compile(r"(?:[&!]\S*+(?:\s+(?:#[^\r\n]*)?)*)*")


def compose(lines: Lines) -> tuple[Node | None, int]:
    """The root node of the only document of a text, and the offset where what was read ends; None for no document.

    Raises:
        Problems: the text is no YAML, or holds tags, merge keys, duplicate keys, keys that are not text, numbers that
            are not finite, recursive or too many aliases, or characters that cannot be seen.
    """
    composer = _Composer(lines)
    composer.run()
    if composer.problems:
        raise Problems(composer.problems)
    return composer.root, composer.stop


class _Composer:
    """Builds nodes from PyYAML's events with its own stack, and collects problems on the way."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.root: Node | None = None
        self.stop = 0
        self.problems: list[RecipeError] = []
        self._documents = 0
        self._nodes = 0
        self._aliased = 0
        self._stack: list[Collection] = []
        self._anchors: dict[str, Node | None] = {}  # None while the collection is still open

    def run(self) -> None:
        """Read all events; stop at a syntax error, at a bound, or when there are enough problems."""
        self._refuse_unseen()
        if self.problems:
            return
        loader = yaml.SafeLoader(self.lines.text)
        try:
            while len(self.problems) < MOST_PROBLEMS and loader.check_event():
                self._take(loader.get_event())
        except LanguageError as error:
            self.problems.append(error)
        except yaml.MarkedYAMLError as error:
            self.problems.append(explain(error, self.lines))
        except (ValueError, OverflowError):  # PyYAML hands the digits of an escape to chr() and int() unchecked
            self._refuse("a number here is out of range", loader.get_mark().index, hint="correct the escape")
        finally:
            loader.dispose()

    def _refuse_unseen(self) -> None:
        for unseen in islice(unseen_in(self.lines.text).finditer(self.lines.text), MOST_PROBLEMS):
            self._refuse(f"the text holds {_number(unseen)}, which cannot be seen", unseen.start(), hint="delete it")

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._start_document(event)
            case yaml.ScalarEvent():
                self._put(self._scalar(event), event.anchor)
            case yaml.AliasEvent():
                self._put(self._alias(event), None)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._open(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                done = self._stack.pop()
                if done.is_flow:
                    self.stop = event.end_mark.index
                self._put(done.close(self.stop, self.lines), done.anchor)
            case _:  # the ends of documents, and of the stream
                return

    def _start_document(self, event: yaml.DocumentStartEvent) -> None:
        start = event.start_mark.index
        self._documents += 1
        if self._documents > 1:
            raise self._error("the text holds several YAML documents", start, start + 3, hint="remove the '---'")
        if event.version and event.version < (1, 2):
            version = ".".join(map(str, event.version))
            stop = start + len(word_at(self.lines, start, to_line_end=True))
            self._refuse(f"directive '%YAML {version}' is not read", start, stop, hint="remove the line")

    def _open(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        start = self._start(event)
        self._count(start)
        self._check_depth(1, start)
        if event.anchor:
            self._anchors[event.anchor] = None
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(
            Collection(start=start, anchor=event.anchor, is_mapping=is_mapping, is_flow=bool(event.flow_style))
        )

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        stop = event.end_mark.index
        start = min(self._start(event), stop)
        self._count(start)
        self.stop = max(self.stop, stop)
        value: Any = event.value
        if not event.style:
            try:
                value = resolve(value)
            except LanguageError as error:
                self._refuse(error.message, start, stop, hint=error.hint)
        elif event.style == '"':
            value = self._unescaped(value, start, stop)
        elif event.style in "|>" and not value.strip():
            self._check_block_header(start)
        return Node(value=value, start=start, stop=stop, size=1 + len(event.value) // 100)

    def _check_block_header(self, start: int) -> None:
        """Refuse `params: >5`, meant as a comparison, which YAML reads as empty text whose lines are indented by 5."""
        word = word_at(self.lines, start, to_line_end=True)
        if any(letter.isdigit() for letter in word):
            message = f"{quoted(word)} begins a block of text, which is empty"
            self._refuse(message, start, start + len(word), hint=quote_hint(word))

    def _unescaped(self, value: str, start: int, stop: int) -> str:
        """The text of a double-quoted scalar: JSON writes characters beyond U+FFFF as two escapes; join them."""
        with suppress(UnicodeDecodeError):  # half a pair, which is refused below
            value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        unseen = unseen_in(value).search(value)
        if unseen:
            self._refuse(
                f"an escape writes {_number(unseen)}, which cannot be seen", start, stop, hint="remove the escape"
            )
        return value

    def _alias(self, event: yaml.AliasEvent) -> Node:
        start, stop = event.start_mark.index, event.end_mark.index
        self._count(start)
        self.stop = max(self.stop, stop)
        word = word_at(self.lines, start)
        if event.anchor not in self._anchors:
            hint = f"{quote_hint(word)} if text is meant"
            self._refuse(f"{quoted(word)} names no anchor '&{event.anchor}' above it", start, stop, hint=hint)
            return Node(value=word, start=start, stop=stop)
        named = self._anchors[event.anchor]
        if named is None:
            raise self._error(f"alias '*{event.anchor}' stands inside what it names", start, stop, hint="write it out")
        self._aliased += named.size
        if self._aliased > MOST_ALIASED:
            message = f"the aliases copy more than {MOST_ALIASED} values"
            raise self._error(message, start, stop, hint="write out what is needed")
        self._check_depth(named.height, start)
        return replace(named, value=deepcopy(named.value), start=start, stop=stop)

    def _put(self, node: Node, anchor: str | None) -> None:
        """Hang a finished node below the collection it stands in."""
        if anchor:
            self._anchors[anchor] = node
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        if not parent.is_mapping:
            parent.children[len(parent.children)] = node
        elif parent.key is None:
            parent.key = _as_label(node, self.lines.text[node.start : node.stop])
            self._check_key(parent.key, parent)
        else:
            self._check_colon(parent.key, node, parent)
            if isinstance(parent.key.value, str):
                parent.keys.setdefault(parent.key.value, parent.key)
                parent.children.setdefault(parent.key.value, node)
            parent.key = None

    def _check_key(self, key: Node, parent: Collection) -> None:
        """Refuse keys that are no text, merge other mappings in, or were given before."""
        text = self.lines.text[key.start : key.stop]
        if text == "<<":
            hint = "write the keys out, or quote it if text is meant"
            self._refuse("merge key '<<' is not part of YAML 1.2", key.start, key.stop, hint=hint)
        elif isinstance(key.value, dict | list):
            kind = name_of_kind(key.value)
            self._refuse(f"a key is {kind}, not text", key.start, key.stop, hint="quote it if text is meant")
        elif not isinstance(key.value, str):
            shown = f"key {quoted(text)} is {name_of_kind(key.value)}, not text" if text else "a key is empty"
            hint = quote_hint(text) if text else "write a name before ':'"
            self._refuse(shown, key.start, key.stop, hint=hint)
        elif key.value in parent.keys:
            line = self.lines.number(parent.keys[key.value].start)
            message = f"key {quoted(key.value)} is given twice, first in line {line}"
            self._refuse(message, key.start, key.stop, hint="remove one of the two")

    def _check_colon(self, key: Node, value: Node, parent: Collection) -> None:
        """Refuse `{filters:3}`, which YAML reads as a key `filters:3` without a value."""
        between = self.lines.text[key.stop : value.start]
        if self.lines.text[key.stop - 1 : key.stop + 1] == "${":  # a variable without quotes, which PyYAML refuses next
            return
        if parent.is_flow and value.start == value.stop and ":" not in between and isinstance(key.value, str):
            hint = "write a space after ':'" if ":" in key.value else f"write '{key.value}: VALUE'"
            self._refuse(f"key {quoted(key.value)} has no value", key.start, key.stop, hint=hint)

    def _check_depth(self, more: int, start: int) -> None:
        if len(self._stack) + more > MOST_DEPTH:
            raise self._error(f"the text is nested deeper than {MOST_DEPTH} levels", start, hint="flatten it")

    def _count(self, start: int) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise self._error(f"the text holds more than {MOST_NODES} values", start, hint="make it smaller")

    def _start(self, event: yaml.NodeEvent) -> int:
        """Where the value itself begins, behind anchor and tag; tags are refused."""
        start = event.start_mark.index
        tag = getattr(event, "tag", None)
        if tag:
            word = word_at(self.lines, start)
            self._refuse(f"tag {quoted(word)} is not allowed", start, hint=f"{quote_hint(word)} if text is meant")
        if tag or event.anchor:
            matched = _PROPERTIES.match(self.lines.text, start)
            start = matched.end() if matched else start
        return start

    def _refuse(self, message: str, start: int, stop: int | None = None, *, hint: str | None) -> None:
        self.problems.append(self._error(message, start, stop, hint=hint))

    def _error(self, message: str, start: int, stop: int | None = None, *, hint: str | None) -> LanguageError:
        return LanguageError(message, hint=hint, place=self.lines.place(start, stop))


def _number(character: re.Match[str]) -> str:
    return f"U+{ord(character.group()):04X}"


def _as_label(key: Node, text: str) -> Node:
    """A whole number as a key is the label of a class, as `0: 1.5` of `class_weight`: its text is meant."""
    return replace(key, value=text) if isinstance(key.value, int) and _LABEL.fullmatch(text) else key
