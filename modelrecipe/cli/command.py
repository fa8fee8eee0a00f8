"""What all verbs of the command line share: options, and what becomes of errors.

A `RecipeError` is told and gives its exit code; anything else that escapes is a mistake of this program and says so.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from modelrecipe.cli.memory_option import Amount
from modelrecipe.cli.screen import Screen
from modelrecipe.errors import FileError, RecipeError, UsageError, shortened

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)
INTERRUPTED = 130
_GARBAGE = 200_000
"""Objects between two collections: a verb that reads headers makes fewer, and Python's 700 cost a tenth of its time."""


class InterruptedRun(Exception):  # noqa: N818 - no error: the user wished it
    """The user pressed Ctrl-C; the text says what was written until then."""


_ASKS_JSON = "modelrecipe.asks_json"


class Program(click.Group):
    """The program; what click says against a command line becomes JSON too where `--json` stands in it."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the program; descriptors that the caller closed are filled first."""
        _fill_closed_descriptors()
        gc.set_threshold(_GARBAGE)
        atexit.register(gc.freeze)  # to look for circles in what is left at the end would take a tenth of the time
        return super().main(*args, **options)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the verb, and look for `--json` behind it: no verb may come to parse that."""
        ctx.meta[_ASKS_JSON] = "--json" in args[: args.index("--") if "--" in args else None]
        with _usage_as_json(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Parse the rest and run the verb."""
        with _usage_as_json(ctx):
            return super().invoke(ctx)


@contextmanager
def _usage_as_json(ctx: click.Context) -> Iterator[None]:
    """Tell a wrong command line as all errors are told where JSON is asked for; else leave it to click."""
    try:
        yield
    except click.UsageError as error:
        if not ctx.meta[_ASKS_JSON]:
            raise
        where = error.ctx.command_path if error.ctx is not None else ctx.command_path
        said, *near = re.split(r" \(?Did you mean", error.format_message(), maxsplit=1)
        said = said.rstrip(".")
        hint = f"did you mean{near[0].rstrip(')')}" if near else f"see '{where} --help'"
        Screen(is_json=True).fail(UsageError(said[:1].lower() + said[1:], hint=hint))
        ctx.exit(error.exit_code)


def _fill_closed_descriptors() -> None:
    """Put the null device where standard streams were closed: else the next file opened would stand in for them.

    What native code writes to the descriptor of standard error would then end up in a model file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def _refuse_closed_output() -> None:
    if sys.stdout is None:
        raise FileError("standard output is closed", hint="send it to a file, or to /dev/null")


class Verb(click.Command):
    """A verb; its `invoke` turns errors into words and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; exits with the code of the error that it raises."""
        try:
            _refuse_closed_output()
            return super().invoke(ctx)
        except RecipeError as error:
            screen_of(ctx).fail(error)
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, InterruptedRun) as error:
            click.echo(str(error) or "interrupted; nothing was written", err=True)
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # the roof: whatever else escapes is told in one line
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of a pipe went away; click ends quietly
            if isinstance(error, OSError) and error.strerror:
                named = shortened(f"'{error.filename}': ") if error.filename else ""
                click.echo(f"{named}{error.strerror.lower()}", err=True)
                ctx.exit(1)
            _tell_internal(error)
            ctx.exit(1)


def _tell_internal(error: Exception) -> None:
    if os.environ.get("MODELRECIPE_DEBUG") == "1":
        click.echo(traceback.format_exc(), err=True, nl=False)
    said = " ".join(f"{type(error).__name__}: {error}".split())
    click.echo(f"internal error: {said[:500]}; please report it (MODELRECIPE_DEBUG=1 shows where)", err=True)


def screen_of(ctx: click.Context) -> Screen:
    """The screen that the options of the program and of the verb ask for."""
    given = [context.params for context in (ctx, ctx.parent) if context is not None]

    def is_given(name: str) -> bool:
        return any(params.get(name) for params in given)

    return Screen(is_plain=is_given("no_color"), is_quiet=is_given("quiet"), is_json=is_given("as_json"))


def with_screen(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb `--no-color` and `-q`, which may stand before or behind it, and its `Screen` as `screen`."""

    @click.pass_context
    def verb(ctx: click.Context, /, *args: Any, **params: Any) -> None:
        for name in ("no_color", "quiet", "as_json"):
            params.pop(name, None)
        function(*args, screen=screen_of(ctx), **params)

    verb.__doc__ = function.__doc__
    verb.__name__ = function.__name__
    return plain_options(verb)


def plain_options(function: F) -> F:
    """Add `--no-color` and `-q`."""
    function = click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")(function)
    return click.option("--no-color", is_flag=True, help="No colour, as with NO_COLOR in the environment.")(function)


def json_option(function: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Results and errors as JSON.")(function)


def variable_options(function: F) -> F:
    """Add `--set` and `--vars`."""
    files = click.option(
        "--vars",
        "files",
        metavar="FILE",
        type=FILE,
        multiple=True,
        help="Values from a YAML file.",
    )
    pairs = click.option(
        "--set", "pairs", metavar="NAME=VALUE", multiple=True, help="Value of a variable; may be given several times."
    )
    return pairs(files(function))


def recipe_options(function: F) -> F:
    """Add what `run` and `plan` have in common."""
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="List every changed layer by itself."),
        click.option("--allow-code", is_flag=True, help="Import the Python modules that the recipe names."),
        click.option(
            "--memory", metavar="SIZE", type=Amount(), help="Refuse a recipe that would need more memory, such as 2GB."
        ),
        click.option("--force", is_flag=True, help="Replace outputs that exist."),
        click.option("--out", metavar="DIR", type=FILE, help="Write outputs to this folder."),
    ):
        function = option(function)
    return variable_options(function)


def tell_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    """Print the versions of this package and of what it stands on, without importing them, and end."""
    if not is_asked or ctx.resilient_parsing:
        return
    import platform
    from importlib.metadata import PackageNotFoundError, version

    parts = [f"Python {platform.python_version()}"]
    for package in ("keras", "tensorflow"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"no {package}")
    click.echo(f"modelrecipe {version('modelrecipe')} ({', '.join(parts)})")
    ctx.exit()
