"""What is known of the machine and of the programs that figures come from."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from benchmarks.child import run

if TYPE_CHECKING:
    from pathlib import Path

_PACKAGES = ("modelrecipe", "keras", "tensorflow", "numpy", "h5py")
_PROBE = 256 * 2**20
"""Bytes of the file that is copied to learn the disk's rate."""


def facts(folder: Path, *, probe: int = _PROBE) -> dict[str, Any]:
    """Processor, memory, rate of the folder's disk in bytes per second (`cp` and fsync), system and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "disk_rate": _disk_rate(folder, probe),
        "system": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - reads as a file, is none
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _disk_rate(folder: Path, size: int) -> float:
    source, target = folder / "probe.bin", folder / "probe-copy.bin"
    try:
        source.write_bytes(os.urandom(2**20) * (size // 2**20))
        return size / run(copy_command(source, target)).wall
    finally:
        source.unlink(missing_ok=True)
        target.unlink(missing_ok=True)


def copy_command(source: Path, target: Path) -> list[str]:
    """`cp` and fsync of the copy, the least that a program can do which writes a changed file."""
    return ["sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", str(source), str(target)]
