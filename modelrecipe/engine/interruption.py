"""Ctrl-C while something runs that should come to a clean end first."""

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
    """Whether the user wants an end. The second Ctrl-C ends at once."""

    is_wanted: bool = False

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Note Ctrl-C during the block instead of raising; only the main thread is told of it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def note(number: int, frame: FrameType | None) -> None:
            self.is_wanted = True
            signal.signal(signal.SIGINT, before)

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
