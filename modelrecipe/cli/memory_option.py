"""`--memory 2GB`: an amount of memory as a word of the command line."""

from __future__ import annotations

import re
from typing import Any

import click

_DECIMAL = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS = {**_DECIMAL, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?I?B)?", re.IGNORECASE | re.ASCII)


class Amount(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """A number of bytes with its unit, decimal (`2GB`) or binary (`2GiB`)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        found = _AMOUNT.fullmatch(str(value).strip())
        unit = (found.group(2) or "").upper() if found else ""
        if found is None or unit not in _UNITS:
            self.fail(f"'{value}' is no amount of memory; write it as 2GB, 500MB or 1.5GiB", param, ctx)
        return round(float(found.group(1)) * _UNITS[unit])
