"""The verb `plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelrecipe.cli.command import FILE, Verb, json_option, recipe_options, with_screen
from modelrecipe.cli.loading import load
from modelrecipe.cli.screen import Screen
from modelrecipe.errors import Problems

if TYPE_CHECKING:
    from pathlib import Path

_HAS_CHANGES = 10


@click.command(cls=Verb)
@click.argument("recipe", type=FILE)
@recipe_options
@click.option("--exact", is_flag=True, help="Start Keras for sizes that only it knows; writes nothing either.")
@click.option("--detailed-exitcode", is_flag=True, help=f"Exit with {_HAS_CHANGES} when the plan has changes.")
@json_option
@with_screen
def plan(recipe: Path, *, screen: Screen, verbose: bool, exact: bool, detailed_exitcode: bool, **options: Any) -> None:
    """Show what a run would do, without writing.

    Fails as the run would, where that can be known without Keras.
    """
    from modelrecipe.cli.threads import spare_threads
    from modelrecipe.cli.unsaved import tell_unsaved

    common = {name: options.pop(name) for name in ("out", "force", "allow_code", "memory")}
    loaded = load(recipe, **options)
    tell_unsaved(screen, loaded)
    spare_threads()
    from modelrecipe.plan import plan_recipe
    from modelrecipe.report import render

    with (screen if exact else Screen(is_quiet=True)).progress() as progress:
        outcome = plan_recipe(loaded, exact=exact, progress=progress.say, **common)
    if screen.is_json:
        screen.json(outcome.as_dict())
    else:
        screen.render(render, outcome, verbose=verbose)
    if outcome.problems:
        click.get_current_context().exit(Problems(outcome.problems).exit_code)
    if detailed_exitcode and outcome.has_changes:
        click.get_current_context().exit(_HAS_CHANGES)
