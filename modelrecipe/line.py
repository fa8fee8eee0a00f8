"""A thread that does jobs in the order in which they are put.

Few jobs may wait, so that what they hold stays small. What is put may be looked at by several lines at once, so it is
never changed afterwards.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_Arguments = TypeVarTuple("_Arguments")
_WAITING = 4


class Line:
    """One such thread; at the end of the block all its jobs are done, or given up where the block failed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[object]] = deque()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self.wait()

    def put(self, job: Callable[[*_Arguments], object], *arguments: *_Arguments) -> None:
        """Do a job, later.

        Raises:
            Exception: what an earlier job raised.
        """
        if len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(job, *arguments))

    def wait(self) -> None:
        """Until all jobs are done.

        Raises:
            Exception: what one of them raised.
        """
        while self._waiting:
            self._waiting.popleft().result()
