"""Names of a weight file in the words of a model: `{encoder: backbone, "block*": "stage*"}`.

A key stands for whole components at the beginning of a name, so that it renames a layer and all that is in it. Each `*`
of a value is what the `*` at its place in the key stood for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Renaming:
    """Renames, and remembers which of its keys were of use.

    Args:
        names: what stands in the file, to what the model calls it.
        separator: between the components of names in the file.
    """

    names: Mapping[str, str]
    separator: str = "/"
    used: set[str] = field(default_factory=set)

    def __call__(self, name: str) -> str | None:
        """The name in the model, with `/` between what was renamed and the rest; None where no key applies."""
        parts = name.split(self.separator)
        for end in range(len(parts), 0, -1):
            head = self.separator.join(parts[:end])
            for key, value in self.names.items():
                found = _matched(key, head)
                if found is not None:
                    self.used.add(key)
                    return "/".join([_filled(value, found), *parts[end:]])
        return None

    def unused(self) -> list[str]:
        """The keys that no name of the file begins with."""
        return [key for key in self.names if key not in self.used]


def _matched(key: str, head: str) -> tuple[str, ...] | None:
    """What the stars of a key stand for; None where it is another name."""
    pattern = "([^/]*)".join(re.escape(part) for part in key.split("*"))
    found = re.fullmatch(pattern, head)
    return None if found is None else found.groups()


def _filled(value: str, found: tuple[str, ...]) -> str:
    first, *others = value.split("*")
    return first + "".join(star + part for star, part in zip(found, others, strict=False))
