"""When Python looks for garbage: not while much is made that stays, and not when the process ends anyway."""

from __future__ import annotations

import atexit
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def uncollected() -> Iterator[None]:
    """While it is open, no circles of objects are looked for.

    Python looks through all that was made lately, again and again while more is made: a third of the time of a build.
    What is dropped and no part of a circle is freed at once as ever.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def made_for_good() -> Iterator[None]:
    """Around what makes objects that live as long as the process: later collections and its end pass over them.

    Python goes through every object once more before it ends, for which a process with TensorFlow needs most of a
    second; the system takes the memory back anyway.
    """
    with uncollected():
        yield
        gc.freeze()
    atexit.register(gc.freeze)
