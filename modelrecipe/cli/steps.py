"""The verb `steps`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from modelrecipe.cli.command import Verb, json_option, with_screen

if TYPE_CHECKING:
    from modelrecipe.cli.screen import Screen


def _complete_words(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    from modelrecipe.registry import steps

    return [word for word in [*steps(), "include"] if word.startswith(begun)]


@click.command(cls=Verb)
@click.argument("name", required=False, shell_complete=_complete_words)
@json_option
@with_screen
def steps(name: str | None, *, screen: Screen) -> None:
    """List the steps of the language, or describe one."""
    from modelrecipe.documentation import INCLUDE, step_entry
    from modelrecipe.registry import steps as registered
    from modelrecipe.report.documentation import render_entry, render_steps

    known = registered()
    if name is not None:
        entry = step_entry(name, known)
        screen.json(asdict(entry)) if screen.is_json else screen.render(render_entry, entry)
    elif screen.is_json:
        screen.json([asdict(step_entry(word, known)) for word in [*known, "include"]])
    else:
        summaries = {word: step.summary() for word, step in known.items()}
        screen.render(render_steps, {**summaries, "include": INCLUDE.partition("\n")[0]})
