"""The verb `inspect`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from modelrecipe.cli.command import FILE, Verb, json_option, with_screen

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.cli.screen import Screen
    from modelrecipe.selector import Selector


@click.command(cls=Verb)
@click.argument("model", type=FILE)
@click.option("--layers", metavar="SELECTOR", help="Only these layers, such as 'conv*' or '{type: Conv2D, last: 3}'.")
@json_option
@with_screen
def inspect(model: Path, *, screen: Screen, layers: str | None) -> None:
    """Show what a file of a model, an architecture or weights holds.

    Only headers are read, so that large models are quick too.
    """
    from modelrecipe.cli.threads import spare_threads

    spare_threads()
    from modelrecipe.inspection import inspect_file
    from modelrecipe.report.inspection import render_inspection

    inspection = inspect_file(model, None if layers is None else _selector(layers))
    if screen.is_json:
        screen.json(asdict(inspection))
    else:
        screen.render(render_inspection, inspection)


def _selector(layers: str) -> Selector:
    from modelrecipe.cli.selector_option import (
        read_selector,  # knows the language of recipes, which takes time to import
    )

    return read_selector(layers)
