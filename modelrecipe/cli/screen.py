"""Where words go: data to standard output, progress and errors to standard error, with colour where it is wanted."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from modelrecipe.cli.streams import encodable, wants_color, width_of_terminal
from modelrecipe.errors import Problems, RecipeError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path


@frozen
class Progress:
    """Who is told of work that takes time; None where nobody wants to know.

    Args:
        say: told in words what is done now.
        replace: shows a text in place of the last one, however often.
        event: shows what happens in a training: epochs in lines that stay, batches as a bar.
    """

    say: Callable[[str], None] | None = None
    replace: Callable[[str], None] | None = None
    event: Callable[[str, Mapping[str, Any]], None] | None = None


@frozen
class Screen:
    """One call of the program as its user wants to see it.

    Args:
        is_plain: no colour, whatever the terminal can.
        is_quiet: no progress.
        is_json: results and errors as JSON on standard output.
    """

    is_plain: bool = False
    is_quiet: bool = False
    is_json: bool = False

    def render(self, renderer: Callable[..., str], value: Any, **options: Any) -> None:
        """Show what a renderer makes of a value, in the width and colours of standard output."""
        color = wants_color(sys.stdout, is_forbidden=self.is_plain)
        self.out(renderer(value, width=width_of_terminal(), color=color, **options), color=color)

    def out(self, text: str, *, color: bool = False) -> None:
        """Write to standard output."""
        _write(text, is_error=False, color=color)

    def json(self, data: Any) -> None:
        """Write data as JSON to standard output."""
        self.out(json.dumps(_strict(data), indent=2) + "\n")

    def say(self, text: str) -> None:
        """Write a line to standard error, unless the user wants quiet."""
        if not self.is_quiet:
            _write(f"{text}\n", is_error=True, color=False)

    def done(self, file: Path, what: str) -> None:
        """Say what became of a file."""
        if self.is_json:
            self.json({"file": str(file), "is": what})
        else:
            self.say(f"{file}: {what}")

    def fail(self, error: RecipeError) -> None:
        """Tell an error: on standard error, or as JSON."""
        if self.is_json and sys.stdout is not None:
            self.json({"error": error_data(error)})
            return
        for problem in error.problems if isinstance(error, Problems) else [error]:
            self.problem(problem)

    def problem(self, error: RecipeError) -> None:
        """Write one error to standard error: a bold head, the source line, red carets."""
        color = wants_color(sys.stderr, is_forbidden=self.is_plain)
        head, _, excerpt = _safe(error.told(width_of_terminal())).partition("\n")
        if color:
            place = str(error.place or "")
            head = click.style(place, bold=True) + click.style(head[len(place) :], fg="red", bold=True)
            excerpt = "\n".join(_colored(line) for line in excerpt.splitlines())
        _write(f"{head}\n{excerpt}".rstrip() + "\n", is_error=True, color=color)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Give what is told of work that takes time: a spinner on a terminal, else a line for each."""
        if self.is_quiet:
            yield Progress()
        elif sys.stderr is None or not sys.stderr.isatty() or self.is_plain:
            yield Progress(say=self.say, event=self._tell_event)
        else:
            from rich.console import Console
            from rich.markup import escape

            from modelrecipe.cli.training_bar import show_event

            with Console(stderr=True).status("") as status:

                def show(text: str) -> None:
                    status.update(escape(_safe(text)))

                yield Progress(say=show, replace=show, event=lambda name, facts: show_event(status, name, facts))

    def _tell_event(self, event: str, facts: Mapping[str, Any]) -> None:
        from modelrecipe.report.training import lines

        for line in lines(event, facts):
            self.say(line)


def error_data(error: RecipeError) -> dict[str, Any]:
    """An error as plain data; several problems stand in a list of their own."""
    if isinstance(error, Problems):
        return {
            "error": "Problems",
            "message": f"{len(error.problems)} problems" if len(error.problems) != 1 else "1 problem",
            "exit_code": error.exit_code,
            "problems": [problem.as_dict() for problem in error.problems],
        }
    return error.as_dict()


def _write(text: str, *, is_error: bool, color: bool) -> None:
    stream = sys.stderr if is_error else sys.stdout
    if stream is None:  # closed by the caller
        return
    # Colour is decided already; `click.echo` would strip it from pipes.
    click.echo(encodable(text, stream.encoding), nl=False, err=is_error, color=color)


def _safe(text: str) -> str:
    """Without control characters, which names in a model file may hold, but with line ends."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)


def _colored(line: str) -> str:
    """A line of an excerpt: the gutter dim, carets red."""
    gutter, bar, rest = line.partition(" |")
    is_carets = not gutter.strip()
    return click.style(gutter + bar, dim=True) + (click.style(rest, fg="red", bold=True) if is_carets else rest)


def _strict(value: Any) -> Any:
    """Data with `NaN` and infinities, which JSON has not, as texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    return [_strict(item) for item in value] if isinstance(value, list | tuple) else value
