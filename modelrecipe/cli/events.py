"""What happens in a training, to a file as lines of JSON and to the screen."""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from modelrecipe.files import cannot_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


@contextmanager
def events_to(
    file: Path | None, show: Callable[[str, Mapping[str, Any]], None] | None
) -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
    """A listener that writes each event as one line of JSON, as soon as it happens, and shows it.

    Args:
        file: where lines go, behind what stands there; None for nowhere.
        show: told as well; None for nobody.

    Raises:
        FileError: the file cannot be written.
    """
    try:
        stream = file.open("ab", buffering=0) if file is not None else None  # nothing is left for when it is closed
    except OSError as error:
        raise cannot_write(file, error) from error  # type: ignore[arg-type]  # there is one, or nothing was opened

    def tell(event: str, facts: Mapping[str, Any]) -> None:
        if stream is not None and file is not None:
            line = {"event": event, "time": round(time.time(), 3), **{key: _plain(item) for key, item in facts.items()}}
            try:
                stream.write(f"{json.dumps(line)}\n".encode())
            except OSError as error:
                raise cannot_write(file, error) from error
        if show is not None:
            show(event, facts)

    try:
        yield tell
    finally:
        if stream is not None:
            stream.close()


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
