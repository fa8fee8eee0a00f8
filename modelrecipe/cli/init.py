"""The verb `init`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelrecipe.cli.command import FILE, Verb, json_option, with_screen
from modelrecipe.errors import FileError

if TYPE_CHECKING:
    from modelrecipe.cli.screen import Screen


@click.command(cls=Verb)
@click.argument("model", type=FILE)
@click.option("-o", "--output", metavar="FILE", type=FILE, help="Write to this file instead of standard output.")
@json_option
@with_screen
def init(model: Path, *, screen: Screen, output: Path | None) -> None:
    """Write a first recipe for a model file.

    It replaces the head, freezes the rest and checks the result: a valid recipe to start from.
    """
    from modelrecipe.files import atomic_output
    from modelrecipe.starter import starter_recipe

    if output is None:
        text = starter_recipe(model, Path("recipe.yaml"))
        screen.json({"recipe": text}) if screen.is_json else screen.out(text)
        return
    if output.exists():
        raise FileError(f"'{output}' exists", hint="name another file")
    text = starter_recipe(model, output)
    with atomic_output(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    screen.done(output, "written" if screen.is_json else f"written; see what it does with 'modelrecipe plan {output}'")
