"""A thread that does jobs in the order in which they are put.

Few jobs may wait, so that what they hold stays small. What is put may be looked at by several lines at once, so it is
never changed afterwards.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_Arguments = TypeVarTuple("_Arguments")
_WAITING = 4


class Line:
    """One such thread; at the end of the block all its jobs are done, or given up where the block or a job failed.

    A pool of one thread would do the same, at several times the cost of a job that hashes a megabyte's pieces.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._places: SimpleQueue[None] = SimpleQueue()
        self._error: BaseException | None = None
        for _ in range(_WAITING):
            self._places.put(None)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Line:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is not None:
            self._error = self._error or error  # what waits is not done any more
        self._jobs.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def put(self, job: Callable[[*_Arguments], object], *arguments: *_Arguments) -> None:
        """Do a job, later.

        Raises:
            BaseException: what an earlier job raised.
        """
        self._places.get()
        self._jobs.put(lambda: job(*arguments))
        self._raise()

    def wait(self) -> None:
        """Until all jobs are done.

        Raises:
            BaseException: what one of them raised.
        """
        for _ in range(_WAITING):
            self._places.get()
        for _ in range(_WAITING):
            self._places.put(None)
        self._raise()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._error is None:
                try:
                    job()
                except BaseException as error:  # whoever put the job gets it
                    self._error = error
            del job  # what it holds may be large, and the next may take long to come
            self._places.put(None)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
