"""Counts, sizes, times and shapes as people read and write them. Knows nothing of models and of terminals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = "?"
"""Stands for what only Keras can tell."""

_DECIMAL = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS = {**_DECIMAL, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?I?B)?", re.IGNORECASE | re.ASCII)


def amount(text: str) -> int | None:
    """The bytes that somebody wrote with their unit, decimal (`2GB`) or binary (`2GiB`); None where it is no amount."""
    found = _AMOUNT.fullmatch(text.strip())
    unit = (found.group(2) or "").upper() if found else ""
    return None if found is None or unit not in _UNITS else round(float(found.group(1)) * _UNITS[unit])


def count(number: int | None) -> str:
    """A count with its thousands apart: `9,450`."""
    return UNKNOWN if number is None else f"{number:,}"


def difference(before: int | None, after: int | None) -> str:
    """How much more or less it became: `+1,024`, `-650`; nothing when it is equal or not known."""
    if before is None or after is None or before == after:
        return ""
    return f"{after - before:+,}"


def counted(number: int, noun: str) -> str:
    """A count with its noun: `1 layer`, `9,450 parameters`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def quoted(names: Sequence[str], most: int = 4) -> str:
    """The first names in quotes, and how many there are beside them: `'a', 'b' and 7 more`."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" for name in names[:most]) + more


def share(part: int | None, whole: int | None) -> str:
    """A part in percent of the whole; never `0%` or `100%` when some but not all are meant."""
    if part is None or whole is None:
        return UNKNOWN
    if part in (0, whole):
        return "0%" if part == 0 else "100%"
    percent = 100 * part / whole
    return "<0.1%" if percent < 0.05 else ">99.9%" if percent >= 99.95 else f"{percent:.1f}%"


def size(number: int | None) -> str:
    """Bytes in decimal units, as `ls -h --si` counts: `89.3 kB`."""
    if number is None:
        return UNKNOWN
    if number < 1000:
        return f"{number} B"
    amount = number / 1000
    for unit in ("kB", "MB", "GB"):
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def about(number: int | None) -> str:
    """Bytes that are only estimated, to two digits: `about 600 MB`."""
    if number is None:
        return UNKNOWN
    return "about " + size(round(number, 2 - len(str(number)))).replace(".0 ", " ")


def seconds(number: float) -> str:
    """A duration: `0.04 s`, `12.3 s`, `3 min 20 s`."""
    if number < 9.995:
        return f"{number:.2f} s"
    if number < 99.95:
        return f"{number:.1f} s"
    minutes, rest = divmod(round(number), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def shape(sizes: Sequence[int | None] | None) -> str:
    """A shape as Keras prints it: `(None, 5)`."""
    if sizes is None:
        return UNKNOWN
    return "(" + ", ".join(str(item) for item in sizes) + ("," if len(sizes) == 1 else "") + ")"


def listed(number_of: str, items: Sequence[object]) -> str:
    """How many of a kind, and which: `2 repairs: sequential-list, slash-names (33 layers)`."""
    return f"{counted(len(items), number_of)}: {', '.join(map(str, items))}"
