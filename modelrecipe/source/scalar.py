"""What a plain YAML word means: the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema).

YAML 1.1, which PyYAML follows, reads `no` as false, `1e-3` as text, `012` as ten and `1_000` as a thousand.
"""

from __future__ import annotations

import math
import re

from modelrecipe.errors import LanguageError

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LARGEST = 2**64 - 1
_MOST_DIGITS = len(str(_LARGEST))
_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "text",
    dict: "a mapping",
    list: "a list",
}


def resolve(text: str) -> str | int | float | bool | None:
    """The value of an unquoted word.

    Raises:
        LanguageError: it is a number that is not finite, or that no 64 bits hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text, base=10)
    if _BASED.fullmatch(text):
        return _integer(text, base=8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise LanguageError(f"number {quoted(text)} is too large", hint="stay below 1.8e308")
        return value
    if _NOT_FINITE.fullmatch(text):
        raise LanguageError(f"{quoted(text)} is not a finite number", hint="put it in quotes if text is meant")
    return text


def _integer(text: str, base: int) -> int:
    """The whole number, refused before long digits cost time (and before Python's own limit on them)."""
    digits = text[2:] if base != 10 else text.lstrip("+-")
    if len(digits.lstrip("0")) > 2 * _MOST_DIGITS or int(digits.lstrip("0") or "0", base) > _LARGEST:
        raise LanguageError(f"number {quoted(text)} does not fit 64 bits", hint="put it in quotes if text is meant")
    return int(digits, base) * (-1 if text.startswith("-") else 1)


def name_of_kind(value: object) -> str:
    """What a value is, in the words of the messages: `a number`, `a list`."""
    return _KINDS.get(type(value), "empty")


def quoted(text: str, most: int = 40) -> str:
    """The text in single quotes on one line, cut after `most` characters."""
    line = " ".join(text.split())
    return f"'{line}'" if len(line) <= most else f"'{line[: most - 3]}...'"
