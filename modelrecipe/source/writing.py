"""Values as YAML of one line, for recipes that are made for a user."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_./][\w./-]*")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def yaml_text(value: str) -> str:
    """A text as a recipe writes it: quoted only where it has to be, and never taken for a variable."""
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value.replace("${", "$${"), ensure_ascii=not value.isprintable())


def flow_text(value: Any) -> str:
    """A selector, or a part of one, as YAML in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow_text(item) for item in value) + "]"
    return yaml_text(value)


def comment_text(text: str) -> str:
    """A name for a comment: in one line, whatever it holds."""
    return text if text.isprintable() else ascii(text)
