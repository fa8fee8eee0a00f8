"""Puts results into rows of text, for the terminal and for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HEADS = ("work", "program", "against", "cache", "wall", "its wall", "cpu", "peak", "ratios", "at most", "")
GROWTH_HEADS = ("program", "sizes", "wall", "peak", "exponent", "below", "")


def as_text(results: Mapping[str, Any]) -> str:
    """Everything, for a terminal."""
    parts = [machine_line(results)]
    if results["rows"]:
        parts.append(_aligned([HEADS, *measured_rows(results)]))
    if results["growth"]:
        parts.append(_aligned([GROWTH_HEADS, *growth_rows(results)]))
    return "\n\n".join([*parts, *check_lines(results)])


def machine_line(results: Mapping[str, Any]) -> str:
    """Where and when the figures were taken."""
    facts = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"{facts['date']}, {facts['processor']}, {facts['cores']} cores, {facts['memory'] / 1e9:.0f} GB, "
        f"{facts['system']}, cp + fsync {facts['disk_rate'] / 1e6:.0f} MB/s; {versions}; "
        f"medians of {results['repeat']}{'; files too small for the limits to mean anything' * results['is_short']}"
    )


def measured_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row for each program, under `HEADS`."""
    return [
        (
            row["work"],
            row["program"],
            row["peer_program"],
            row["cache"],
            seconds(row["ours"]["wall"]),
            seconds(row["peer"]["wall"]),
            seconds(row["ours"]["cpu"]),
            megabytes(row["ours"]["peak"]),
            bounded(row, row["measured"]),
            bounded(row, row["limits"]),
            verdict(row),
        )
        for row in results["rows"]
    ]


def growth_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row for each series, under `GROWTH_HEADS`."""
    return [
        (
            item["program"],
            f"{', '.join(f'{size:,}' for size in item['sizes'])} {item['unit']}",
            ", ".join(seconds(wall) for wall in item["wall"]),
            ", ".join(megabytes(peak) for peak in item["peak"]),
            f"{item['exponent']:.2f}",
            "" if item["limit"] is None else f"{item['limit']:g}",
            "" if item["limit"] is None else verdict(item),
        )
        for item in results["growth"]
    ]


def check_lines(results: Mapping[str, Any]) -> list[str]:
    """What the comparison with plain Keras found: one line if all is equal, else one for each output that is not."""
    checks = results["checks"]
    tensors = sum(check["tensors"] for check in checks)
    wrong = [f"DIFFERS: {item['output']}: {', '.join(item['differing'])}" for item in checks if not item["equal"]]
    equal = [f"{tensors} tensors in {len(checks)} outputs are byte-equal to those of plain Keras"] if checks else []
    return wrong or equal


def bounded(row: Mapping[str, Any], values: Mapping[str, float]) -> str:
    """The values that have a limit: times of the peer's as they are, memory named."""
    shown = {
        "wall": lambda value: f"{value:.3g} x",
        "peak_ratio": lambda value: f"{value:.2g} x memory",
        "peak": megabytes,
    }
    return ", ".join(shown[key](values[key]) for key in row["limits"])


def verdict(row: Mapping[str, Any]) -> str:
    """Whether the limits hold."""
    return "ok" if row["ok"] else "MISS"


def seconds(value: float) -> str:
    """Seconds with as many digits as mean something."""
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def megabytes(value: float) -> str:
    """Bytes in megabytes."""
    return f"{value / 1e6:.0f} MB"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
