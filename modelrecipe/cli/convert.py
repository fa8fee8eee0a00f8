"""The verb `convert`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modelrecipe.cli.command import FILE, Verb, json_option, with_screen

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.cli.screen import Screen


@click.command(cls=Verb)
@click.argument("source", metavar="IN", type=FILE)
@click.argument("target", metavar="OUT", type=FILE)
@click.option("--force", is_flag=True, help="Replace OUT when it exists.")
@json_option
@with_screen
def convert(source: Path, target: Path, *, screen: Screen, force: bool) -> None:
    """Convert any model file to one that Keras 3 opens.

    Loads IN with the repairs it needs, checks that its weights are finite, and
    saves OUT (.keras, .h5, .weights.h5 or .weights.json). Prints the recipe
    that does this, which can be kept and extended.
    """
    from modelrecipe.conversion import conversion_recipe
    from modelrecipe.report import render
    from modelrecipe.run import run_recipe

    recipe, text = conversion_recipe(source, target)
    with screen.progress() as progress:
        outcome = run_recipe(recipe, force=force, progress=progress.say, passing=progress.replace)
    if screen.is_json:
        screen.json({"text": text, **outcome.as_dict()})
        return
    screen.out(text + "\n")
    screen.render(render, outcome, verbose=False)
