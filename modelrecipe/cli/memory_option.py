"""`--memory 2GB`: an amount of memory as a word of the command line."""

from __future__ import annotations

from typing import Any

import click

from modelrecipe import measures


class Amount(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """A number of bytes with its unit, decimal (`2GB`) or binary (`2GiB`)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        found = measures.amount(str(value))
        if found is None:
            self.fail(f"'{value}' is no amount of memory; write it as 2GB, 500MB or 1.5GiB", param, ctx)
        return found
