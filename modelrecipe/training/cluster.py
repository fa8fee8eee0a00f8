"""Machines that train one model together: who they are, from TF_CONFIG, and how they meet before TensorFlow starts.

TensorFlow's first worker waits without end for the others, and cannot be interrupted meanwhile. So they meet here
first, at the first one's address, which is free until TensorFlow takes it.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import TrainingError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE = "TF_CONFIG"
_EXAMPLE = (
    'on the first machine, as TF_CONFIG=\'{"cluster": {"worker": ["ada:2222", "bob:2222"]}, '
    '"task": {"type": "worker", "index": 0}}\', with index 1 on the second'
)
_PAUSE = 0.2
_LONGEST = 1024
"""Bytes of a greeting, at most."""


@frozen
class Cluster:
    """The machines, and which one this is.

    Args:
        workers: their addresses, `host:port`; the first one writes.
        index: the place of this one.
        has_chief: whether TF_CONFIG calls the first one the chief.
    """

    workers: tuple[str, ...]
    index: int
    has_chief: bool = False

    @property
    def is_chief(self) -> bool:
        """Whether this one writes what the recipe writes."""
        return self.index == 0

    def meet(self, word: str, seconds: float) -> None:
        """Wait until all workers are here, with the same word.

        Args:
            word: what all must have in common, as the digest of a recipe.
            seconds: how long to wait.

        Raises:
            TrainingError: one is missing, or has another word.
        """
        if len(self.workers) == 1:
            return
        until = time.monotonic() + seconds
        if self.is_chief:
            self._receive(word, until, seconds)
        else:
            self._report(word, until, seconds)

    def _receive(self, word: str, until: float, seconds: float) -> None:
        here: dict[int, socket.socket] = {}
        with self._listening() as door:
            try:
                while len(here) < len(self.workers) - 1:
                    self._refuse_late(until, seconds, here)
                    door.settimeout(_PAUSE)
                    try:
                        guest, _ = door.accept()
                        guest.settimeout(_PAUSE * 10)
                        number, said = self._greeting(guest)
                    except (OSError, ValueError):
                        continue  # nobody yet, or somebody who is no worker
                    here[number] = guest
                    if said != word:
                        self._send_away(here)
                        raise _other(number)
                for guest in here.values():
                    with suppress(OSError):  # who went away since is missed by TensorFlow
                        guest.sendall(b"go")
                for guest in here.values():
                    _await_end(guest)  # who closes first keeps the port for a while: that must be the guest
            finally:
                for guest in here.values():
                    guest.close()

    def _greeting(self, guest: socket.socket) -> tuple[int, str]:
        """Number and word of a worker.

        Raises:
            OSError: it says nothing.
            ValueError: it is none.
        """
        with _closed_on_error(guest):
            said = json.loads(guest.recv(_LONGEST))
            if not isinstance(said, dict) or said.get("index") not in range(1, len(self.workers)):
                raise ValueError("this is no greeting")
            return int(said["index"]), str(said.get("word"))

    def _send_away(self, here: Mapping[int, socket.socket]) -> None:
        for guest in here.values():
            with suppress(OSError):
                guest.sendall(b"other")
            _await_end(guest)

    def _listening(self) -> socket.socket:
        host, _, port = self.workers[0].rpartition(":")
        try:
            return socket.create_server(("", int(port)), backlog=len(self.workers))
        except OSError as error:
            raise TrainingError(
                f"this worker cannot listen at '{host}:{port}': {os.strerror(error.errno or 0)}",
                hint=f"choose another port in {VARIABLE}, on all machines",
                at=("distribute",),
            ) from error

    def _report(self, word: str, until: float, seconds: float) -> None:
        host, _, port = self.workers[0].rpartition(":")
        greeting = json.dumps({"index": self.index, "word": word}).encode()
        while True:
            self._refuse_late(until, seconds, None)
            try:
                with socket.create_connection((host, int(port)), timeout=_PAUSE * 10) as door:
                    door.sendall(greeting)
                    door.settimeout(max(_PAUSE, until - time.monotonic()))
                    answer = door.recv(_LONGEST)
            except OSError:
                answer = b""
            if answer == b"go":
                return
            if answer == b"other":
                raise _other(0)
            time.sleep(_PAUSE)

    def _refuse_late(self, until: float, seconds: float, here: Mapping[int, Any] | None) -> None:
        if time.monotonic() < until:
            return
        missing = [0] if here is None else [n for n in range(1, len(self.workers)) if n not in here]
        names = ", ".join(f"{number} ('{self.workers[number]}')" for number in missing)
        verb = "do" if len(missing) > 1 else "does"
        raise TrainingError(
            f"worker {names} {verb} not answer for {seconds:g} s",
            hint=f"start 'modelrecipe run' on every machine that {VARIABLE} names",
            at=("distribute",),
        )


def _other(number: int) -> TrainingError:
    return TrainingError(
        f"worker {number} runs another recipe, or has another seed",
        hint="give all machines the same files",
        at=("distribute",),
    )


@contextmanager
def _closed_on_error(guest: socket.socket) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):
        guest.close()
        raise


def _await_end(guest: socket.socket) -> None:
    try:
        while guest.recv(_LONGEST):
            pass
    except OSError:
        return


def cluster_of(environ: Mapping[str, str]) -> Cluster:
    """The machines that TF_CONFIG names.

    Raises:
        TrainingError: it is missing, or does not say who works and who this is.
    """
    text = environ.get(VARIABLE)
    if not text:
        raise _refusal(f"multi_worker needs the machines in {VARIABLE}, which is not set")
    try:
        given = json.loads(text)
    except ValueError as error:
        raise _refusal(f"{VARIABLE} is no JSON: {error}") from error
    cluster = given.get("cluster") if isinstance(given, dict) else None
    task = given.get("task") if isinstance(given, dict) else None
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise _refusal(f"{VARIABLE} needs 'cluster' and 'task'")
    jobs = {str(job): _addresses(str(job), listed) for job, listed in cluster.items()}
    for job in jobs:
        if job not in ("chief", "worker"):
            raise _refusal(f"{VARIABLE} names a '{job}', but multi_worker knows 'chief' and 'worker' alone")
    kind, index = task.get("type"), task.get("index")
    if not isinstance(kind, str) or kind not in jobs or type(index) is not int or not 0 <= index < len(jobs[kind]):
        raise _refusal(f"{VARIABLE} has no '{kind}' {index}, which its 'task' says this is")
    chiefs, workers = jobs.get("chief", ()), jobs.get("worker", ())
    if len(set(chiefs + workers)) < len(chiefs + workers) or len(chiefs) > 1:
        raise _refusal(f"{VARIABLE} names a machine twice, or two chiefs")
    place = index + (len(chiefs) if kind == "worker" else 0)
    return Cluster(workers=chiefs + workers, index=place, has_chief=bool(chiefs))


def _addresses(job: str, listed: object) -> tuple[str, ...]:
    addresses = tuple(listed) if isinstance(listed, list) else ()
    for address in addresses:
        host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise _refusal(f"{VARIABLE} names the {job} {json.dumps(address)}, which is no 'host:port'")
    if not addresses:
        raise _refusal(f"{VARIABLE} lists no addresses for '{job}'")
    return addresses


def _refusal(message: str) -> TrainingError:
    return TrainingError(message, hint=_EXAMPLE, at=("distribute", "strategy"))
