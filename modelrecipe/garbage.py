"""When Python looks for garbage: not while much is made that stays."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def uncollected() -> Iterator[None]:
    """While it is open, no circles of objects are looked for, and what was made then counts as old afterwards.

    Python looks through all that was made lately, again and again while more is made: a third of the time of a build.
    What is dropped and no part of a circle is freed at once as ever.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if not gc.get_freeze_count():  # what somebody has frozen is to stay so
                gc.freeze()
                gc.unfreeze()  # into the generation that is looked through least
            gc.enable()
