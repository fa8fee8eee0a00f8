"""Ctrl-C, or SIGTERM as clusters send it, while something runs that should come to a clean end first."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@dataclass
class Interruption:
    """Whether the user wants an end. The second signal ends at once."""

    is_wanted: bool = False

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Note signals during the block instead of ending; only the main thread is told of them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        before = {number: handler for number, handler in found.items() if handler is not None}  # None is not Python's

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def note(number: int, frame: FrameType | None) -> None:
            self.is_wanted = True
            restore()

        for number in before:
            signal.signal(number, note)
        try:
            yield
        finally:
            restore()
