"""The verb `validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelrecipe.cli.command import FILE, Verb, json_option, variable_options, with_screen
from modelrecipe.cli.loading import load
from modelrecipe.cli.screen import error_data
from modelrecipe.errors import Problems, RecipeError

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.cli.screen import Screen


@click.command(cls=Verb)
@click.argument("recipes", metavar="RECIPE...", nargs=-1, required=True, type=FILE)
@variable_options
@json_option
@with_screen
def validate(recipes: tuple[Path, ...], *, screen: Screen, **options: Any) -> None:
    """Check the text of recipes; needs no model.

    All problems are reported at once, each with its place.
    """
    from modelrecipe.cli.unsaved import tell_unsaved

    results: list[dict[str, Any]] = []
    failures: list[RecipeError] = []
    for path in recipes:
        try:
            loaded = load(path, **options)
        except RecipeError as error:
            failures += error.problems if isinstance(error, Problems) else [error]
            results.append({"file": str(path), "ok": False, **error_data(error)})
            if not screen.is_json:
                screen.fail(error)
            continue
        steps = len(loaded.steps)
        results.append({"file": str(path), "ok": True, "steps": steps})
        if not screen.is_json:
            screen.out(f"{path}: ok ({steps} {'step' if steps == 1 else 'steps'})\n")
            tell_unsaved(screen, loaded, path)
    if screen.is_json:
        screen.json({"files": results})
    if failures:
        click.get_current_context().exit(Problems(failures).exit_code)
