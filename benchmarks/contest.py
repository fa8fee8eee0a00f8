"""Lets programs run in turn, and keeps what each run cost."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.child import Usage, forget, run, settle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Check:
    """What an output is compared with.

    Args:
        peer: the script in `peers/` that makes the same edit with plain Keras; none where `reference` is made anyway.
        arguments: its arguments; the target comes where `{target}` stands.
        reference: what it writes.
    """

    reference: Path
    peer: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that is measured.

    Args:
        name: what the table calls it.
        argv: the command.
        output: the file that it writes; it is removed before every run.
    """

    name: str
    argv: tuple[str, ...]
    output: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a program may cost: times and memory as parts of its peer's, memory in bytes too. None is no limit."""

    wall: float | None = None
    peak_ratio: float | None = None
    peak: int | None = None


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A program with what it may cost and what its output must equal."""

    program: Program
    limits: Limits
    check: Check | None = None


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Programs against one peer.

    Args:
        key: what `--rows` names.
        work: what is done, in words.
        peer: what all are compared with.
        entrants: the programs.
        reads: files that are read; dropped from the page cache before every run where it is to be cold.
    """

    key: str
    work: str
    peer: Program
    entrants: tuple[Entrant, ...]
    reads: tuple[Path, ...] = ()


def hold(contest: Contest, *, repeat: int, is_cold: bool, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Run peer and programs in turn, and give a row of results for each program.

    A round that is not counted goes before, where there is more than one: it warms the caches of files and of compiled
    Python.
    """
    programs = [contest.peer, *(entrant.program for entrant in contest.entrants)]
    costs: dict[str, list[Usage]] = {program.name: [] for program in programs}
    for turn in range(repeat + (repeat > 1)):
        for program in programs:
            tell(f"{contest.key}: {program.name}, {'cold' if is_cold else 'warm'}, {turn + (repeat == 1)}/{repeat}")
            cost = _measured(program, contest.reads if is_cold else ())
            if turn or repeat == 1:
                costs[program.name].append(cost)
    peer = _summary(costs[contest.peer.name])
    rows = [
        _row(contest, entrant, _summary(costs[entrant.program.name]), peer, is_cold) for entrant in contest.entrants
    ]
    for row in rows:
        tell(f"{contest.key}: {row['program']} took {row['measured']['wall']:.3g} x the time of {row['peer_program']}")
    return rows


def _measured(program: Program, cold: tuple[Path, ...]) -> Usage:
    if program.output is not None:
        program.output.unlink(missing_ok=True)
    settle()
    forget(cold)
    return run(program.argv)


def _summary(costs: list[Usage]) -> dict[str, Any]:
    runs = {key: [getattr(cost, key) for cost in costs] for key in ("wall", "cpu", "peak")}
    return {key: median(values) for key, values in runs.items()} | {"runs": runs}


def _row(
    contest: Contest, entrant: Entrant, ours: dict[str, Any], peer: dict[str, Any], is_cold: bool
) -> dict[str, Any]:
    limits = entrant.limits
    measured = {"wall": ours["wall"] / peer["wall"], "peak_ratio": ours["peak"] / peer["peak"], "peak": ours["peak"]}
    bounds = {key: getattr(limits, key) for key in measured if getattr(limits, key) is not None}
    return {
        "key": contest.key,
        "work": contest.work,
        "program": entrant.program.name,
        "peer_program": contest.peer.name,
        "cache": "cold" if is_cold else "warm",
        "ours": ours,
        "peer": peer,
        "measured": measured,
        "limits": bounds,
        "ok": all(measured[key] <= bound for key, bound in bounds.items()),
    }
