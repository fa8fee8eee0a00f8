"""Runs in processes of their own, for tests that kill them, interrupt them or take the disk away."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMITED = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from modelrecipe.cli import main
sys.argv[0] = "modelrecipe"
main()
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Begin to run `recipe.yaml` of a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "modelrecipe", "run", "recipe.yaml", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_on_full_disk(folder: Path, size: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `recipe.yaml` while no file may grow beyond `size` bytes: writing then fails as where no space is left."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), "-q", "run", "recipe.yaml", "--no-color", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders, which only a run makes, for as long as it lasts."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something is so, or the process has ended."""
    while not condition() and process.poll() is None:
        time.sleep(0.001)


def killed_writes(folder: Path, *, times: int, seed: int, reset: Callable[[], object]) -> Iterator[None]:
    """Runs of `recipe.yaml` that are killed at random moments of their write; gives control back after each.

    How long a write lasts is found out by a run that is let alone. `reset` brings the outputs back before each one.
    """
    dice = random.Random(seed)
    process = start(folder, "-q")
    wait_for(lambda: bool(leftovers(folder)), process)
    begun = time.perf_counter()
    process.communicate()
    lasts = time.perf_counter() - begun
    for _ in range(times):
        reset()
        before = set(leftovers(folder))
        process = start(folder, "-q")
        wait_for(lambda before=before: bool({*leftovers(folder)} - before), process)
        time.sleep(dice.uniform(0, lasts))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        yield
