"""Draws results as SVG: each program's time as a part of its peer's, on a logarithmic scale, with its limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEFT, _WIDTH, _RIGHT, _ROW, _TOP, _BOTTOM = 380, 460, 80, 24, 34, 12
_LEAST, _MOST = 0.01, 10.0
"""Ends of the scale; what lies beyond is drawn at its end and told in figures."""
_MARKS = (0.01, 0.1, 1, 10)
_COLOURS = {True: "#2a9d8f", False: "#c1121f"}


def draw(results: Mapping[str, Any]) -> str:
    """The picture as the text of an SVG file."""
    rows = results["rows"]
    height = _TOP + _ROW * len(rows) + _BOTTOM
    width = _LEFT + _WIDTH + _RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *(_mark(value, height) for value in _MARKS),
        *(_bar(row, _TOP + _ROW * number) for number, row in enumerate(rows)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _place(ratio: float) -> float:
    share = math.log(min(max(ratio, _LEAST), _MOST) / _LEAST) / math.log(_MOST / _LEAST)
    return round(_LEFT + _WIDTH * share, 1)


def _mark(ratio: float, height: int) -> str:
    x, colour = _place(ratio), "#555" if ratio == 1 else "#ddd"
    return (
        f'<line x1="{x}" y1="{_TOP - 8}" x2="{x}" y2="{height - _BOTTOM}" stroke="{colour}"/>'
        f'<text x="{x}" y="18" text-anchor="middle" fill="#555">{ratio:g} x</text>'
    )


def _bar(row: Mapping[str, Any], y: int) -> str:
    """A row: name, bar, figure, and a stroke at the limit."""
    ratio, limit = row["measured"]["wall"], row["limits"]["wall"]
    name = escape(f"{row['program']}, {row['work']}{', cold' if row['cache'] == 'cold' else ''}")
    end, stroke = _place(ratio), _place(limit)
    return (
        f'<text x="{_LEFT - 10}" y="{y + 15}" text-anchor="end">{name}</text>'
        f'<rect x="{_LEFT}" y="{y + 5}" width="{end - _LEFT:.1f}" height="13" fill="{_COLOURS[ratio <= limit]}"/>'
        f'<line x1="{stroke}" y1="{y + 2}" x2="{stroke}" y2="{y + 21}" stroke="black" stroke-width="2"/>'
        f'<text x="{max(end, stroke) + 6:.1f}" y="{y + 15}">{ratio:.3g} x</text>'
    )
