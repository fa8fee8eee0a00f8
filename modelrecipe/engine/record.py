"""What is noted while a step runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelrecipe.step import Change


@dataclass
class Record:
    """What one step matched, did, found, measured and wrote, and whether it began with another model."""

    matched: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    is_beginning: bool = False
