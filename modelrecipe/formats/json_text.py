"""JSON in model files: read with bounds, so that a small file cannot fill the memory or exhaust the stack."""

from __future__ import annotations

import json
from typing import Any

from modelrecipe.errors import FileError

LARGEST = 1 << 26
"""Bytes; the largest configuration met, of a model with 1,031 layers, has 1.6 MB."""
_MOST_VALUES = 1_000_000
_DEEPEST = 150
_CONTAINERS = (dict, list)


def read_object(content: str | bytes, subject: str) -> dict[str, Any]:
    """The object that a JSON text holds.

    Args:
        content: the text.
        subject: names it in messages.

    Raises:
        FileError: it is no JSON, no object, too large, nested too deeply, or holds too many values.
    """
    if len(content) > LARGEST:
        raise FileError(f"{subject} has {len(content)} characters, at most {LARGEST}")
    marks = (b",", b"[", b"{") if isinstance(content, bytes) else (",", "[", "{")
    if sum(content.count(mark) for mark in marks) > _MOST_VALUES:  # type: ignore[arg-type]  # both are of one kind
        raise FileError(f"{subject} holds more than {_MOST_VALUES} values")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{subject} is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise FileError(f"{subject} is not a JSON object")
    _check_depth(data, subject)
    return data


def _check_depth(data: Any, subject: str) -> None:
    level = [data]
    for _ in range(_DEEPEST):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, _CONTAINERS)
        ]
        if not level:
            return
    raise FileError(f"{subject} is nested deeper than {_DEEPEST} levels")
