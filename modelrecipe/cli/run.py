"""The verb `run`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from modelrecipe.cli.command import FILE, InterruptedRun, Verb, json_option, recipe_options, with_screen
from modelrecipe.cli.loading import load
from modelrecipe.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from modelrecipe.cli.screen import Screen
    from modelrecipe.cli.targets import Targets


@click.command(cls=Verb)
@click.argument("recipe", type=FILE)
@recipe_options
@click.option("--locked", is_flag=True, help="Refuse to run when anything differs from the lock beside the output.")
@click.option("--read-back", is_flag=True, help="Read each output from the disk again before it takes its name.")
@click.option("--resume", is_flag=True, help="Continue a training from the state that an earlier run saved.")
@click.option(
    "--events",
    "events_file",
    metavar="FILE",
    type=FILE,
    help="Write the progress of trainings there, as lines of JSON.",
)
@json_option
@with_screen
def run(
    recipe: Path,
    *,
    screen: Screen,
    verbose: bool,
    locked: bool,
    read_back: bool,
    resume: bool,
    events_file: Path | None,
    **options: Any,
) -> None:
    """Run a recipe, verify the result, and write a lock.

    Each output appears whole or not at all, after every tensor was compared with the source.
    """
    from modelrecipe.cli.events import events_to
    from modelrecipe.cli.targets import Targets
    from modelrecipe.cli.threads import multiplies, spare_threads
    from modelrecipe.cli.unsaved import tell_unsaved

    common = {name: options.pop(name) for name in ("out", "force", "allow_code", "memory")}
    loaded = load(recipe, **options)
    tell_unsaved(screen, loaded)
    if not multiplies(loaded):
        spare_threads()
    from modelrecipe.report import render
    from modelrecipe.run import run_recipe

    with (
        _early_end(screen, Targets(loaded, common["out"])),
        screen.progress() as progress,
        events_to(events_file, progress.event) as events,
    ):
        outcome = run_recipe(
            loaded,
            locked=locked,
            progress=progress.say,
            passing=progress.replace,
            read_back=read_back,
            resume=resume,
            events=events,
            **common,
        )
    if screen.is_json:
        screen.json(outcome.as_dict())
    else:
        screen.render(render, outcome, verbose=verbose)


@contextmanager
def _early_end(screen: Screen, targets: Targets) -> Iterator[None]:
    """Say of a run that is interrupted or fails which of its outputs it had written by then."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        written = targets.written()
        said = f"before that, {written} was written" if written else "nothing was written"
        raise InterruptedRun(f"interrupted; {said}") from interrupt
    except RecipeError:
        if not screen.is_json and (written := targets.written()):
            screen.say(f"{written} was written before the run failed")
        raise
