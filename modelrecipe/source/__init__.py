"""YAML text as plain data, plus the place of every key and value. Nobody else knows YAML.

The YAML is version 1.2 with its core schema, in one document, without tags, merge keys, duplicate keys or keys that are
not text; what may cost time or memory is bounded. All problems of a text are raised at once.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import LanguageError, Place, Problems
from modelrecipe.files import read_bytes, refuse_model
from modelrecipe.frozen import frozen
from modelrecipe.source.compose import compose
from modelrecipe.source.lines import Lines
from modelrecipe.source.scalar import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from modelrecipe.source.node import Node

MOST_BYTES = 2**20
_BYTE_ORDER_MARK = "\ufeff"


@frozen
class Source:
    """A YAML text that was read.

    Args:
        file: the file as the user wrote it.
        text: the text, without a byte order mark, with its own line ends.
        data: plain mappings, lists, texts, numbers, booleans and None; aliases are copies.
    """

    file: str
    text: str
    data: Any
    _root: Node = field(repr=False, compare=False)
    _lines: Lines = field(repr=False, compare=False)

    def place(self, path: Sequence[str | int] = ()) -> Place:
        """Where the value at `path` stands: `("steps", 0, "load")`.

        A path that goes deeper than the text, as into the value of a variable, gives the nearest ancestor in it. What
        an alias stands for is found where it is written; the alias itself is the place of the whole.
        """
        node = self._root
        for part in path:
            if part not in node.children:
                break
            node = node.children[part]
        return self._lines.place(node.start, node.stop)

    def key_place(self, path: Sequence[str | int]) -> Place:
        """Where the key that `path` ends with stands; for a list item, or a key not in the text, `place(path)`."""
        node = self._root
        for part in path[:-1]:
            if part not in node.children:
                return self.place(path)
            node = node.children[part]
        key = node.keys.get(path[-1]) if path else None
        return self._lines.place(key.start, key.stop) if key else self.place(path)


def read_source(path: Path, shown_as: str | None = None) -> Source:
    """Read a YAML file of at most 1 MiB in UTF-8.

    Args:
        path: the file.
        shown_as: its name in messages, where it is not `path` itself.

    Raises:
        FileError: it is missing, no file, unreadable, too large or a model; nothing is read when it is too large.
        Problems: its text is not UTF-8, or is refused, see `parse_source`.
    """
    content = read_bytes(path, MOST_BYTES)
    file = str(path) if shown_as is None else shown_as
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        refuse_model(path, content)
        raise Problems([_not_utf8(content, error.start, file)]) from error
    return parse_source(text, file)


def _not_utf8(content: bytes, start: int, file: str) -> LanguageError:
    """Where the first byte stands that is not UTF-8; its line is shown as far as it can be read."""
    sound = content[:start].decode("utf-8")
    rest = content[start:].splitlines()[0].decode("utf-8", "replace")
    place = Lines(sound + rest, file).place(len(sound))
    return LanguageError(f"byte 0x{content[start]:02x} is not UTF-8", hint="save the file as UTF-8", place=place)


def parse_source(text: str, file: str = "<text>") -> Source:
    """Read a YAML text.

    Raises:
        Problems: the text is empty, is no YAML or holds what this room refuses; sorted by place.
    """
    lines = Lines(text.removeprefix(_BYTE_ORDER_MARK), file)
    root, _ = compose(lines)
    if root is None or (root.value is None and root.start == root.stop):
        raise Problems([LanguageError("the file is empty", place=lines.place(0))])
    return Source(file=file, text=lines.text, data=root.value, _root=root, _lines=lines)


def parse_scalar(text: str, file: str = "<value>") -> Any:
    """Read one value as a recipe would: `1e-3`, `no`, `[1, 2]`, `{units: 5}`; nothing at all is None.

    Args:
        text: the value, from outside of a file.
        file: what messages call the text.

    Raises:
        Problems: as for `parse_source`, and for a comment, which in a value is a mistake.
    """
    lines = Lines(text, file)
    root, stop = compose(lines)
    rest = text[stop:]
    if rest.strip():
        start = stop + len(rest) - len(rest.lstrip())
        message = f"{quoted(rest)} behind the value would be lost"
        raise Problems(
            [LanguageError(message, hint="put the whole value in quotes", place=lines.place(start, len(text)))]
        )
    return None if root is None else root.value
