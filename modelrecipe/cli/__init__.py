"""The command line: words in, exit code out. Imports what a verb needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelrecipe.cli.command import (
    InterruptedRun,
    Program,
    Verb,
    json_option,
    plain_options,
    recipe_options,
    tell_version,
    variable_options,
    with_screen,
)
from modelrecipe.cli.convert import convert
from modelrecipe.cli.screen import Screen, error_data
from modelrecipe.errors import FileError, Problems, RecipeError, UsageError

if TYPE_CHECKING:
    from modelrecipe.recipe import Recipe
    from modelrecipe.selector import Selector

_HAS_CHANGES = 10
_SHELLS = ("bash", "zsh", "fish")
_FILE = click.Path(path_type=Path)


@click.group(
    "modelrecipe", cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=tell_version, help="Tell the versions."
)
@plain_options
def main(**_: Any) -> None:
    """Change Keras models from a reviewed YAML file: refuse or prove.

    \b
    Begin with:
      modelrecipe inspect model.keras             what is in a model
      modelrecipe init model.keras -o slim.yaml   a first recipe for it
      modelrecipe plan slim.yaml                  what the recipe would do
      modelrecipe run slim.yaml                   do it, and prove it

    \b
    Exit codes: 0 done, 1 failed, 2 usage, 3 the recipe is wrong, 4 a selector
    missed, 5 a check failed, 10 the plan has changes, 130 interrupted.
    """  # noqa: D301 - click knows the character itself, not its escape


main.command_class = Verb
main.add_command(convert)


@main.command()
@click.argument("recipe", type=_FILE)
@recipe_options
@click.option("--locked", is_flag=True, help="Refuse when anything differs from the lock beside the output.")
@click.option("--resume", is_flag=True, help="Go on with a training from the state that an earlier run kept.")
@click.option("--events", "events_file", metavar="FILE", type=_FILE, help="Tell how trainings go, as lines of JSON.")
@json_option
@with_screen
def run(
    recipe: Path,
    *,
    screen: Screen,
    verbose: bool,
    locked: bool,
    resume: bool,
    events_file: Path | None,
    **options: Any,
) -> None:
    """Carry out a recipe, prove the result, lock it.

    Each output appears whole or not at all, after every tensor was compared with the source.
    """
    from modelrecipe.cli.events import events_to
    from modelrecipe.cli.targets import Targets
    from modelrecipe.cli.unsaved import tell_unsaved
    from modelrecipe.report import render
    from modelrecipe.run import run_recipe

    common = {name: options.pop(name) for name in ("out", "force", "allow_code", "memory")}
    loaded = _load(recipe, **options)
    tell_unsaved(screen, loaded)
    targets = Targets(loaded, common["out"])
    try:
        with screen.progress() as progress, events_to(events_file, progress.event) as events:
            outcome = run_recipe(
                loaded,
                locked=locked,
                progress=progress.say,
                passing=progress.replace,
                resume=resume,
                events=events,
                **common,
            )
    except KeyboardInterrupt as interrupt:
        written = targets.written()
        said = f"before that, {written} was written" if written else "nothing was written"
        raise InterruptedRun(f"interrupted; {said}") from interrupt
    except RecipeError:
        if not screen.is_json and (written := targets.written()):
            screen.say(f"{written} was written before the run failed")
        raise
    if screen.is_json:
        screen.json(outcome.as_dict())
    else:
        screen.render(render, outcome, verbose=verbose)


@main.command()
@click.argument("recipe", type=_FILE)
@recipe_options
@click.option("--exact", is_flag=True, help="Start Keras for what only it can tell; still nothing is written.")
@click.option("--detailed-exitcode", is_flag=True, help=f"Exit with {_HAS_CHANGES} when the plan has changes.")
@json_option
@with_screen
def plan(recipe: Path, *, screen: Screen, verbose: bool, exact: bool, detailed_exitcode: bool, **options: Any) -> None:
    """Say what a run would do; write nothing.

    Fails as the run would, where that can be known without Keras.
    """
    from modelrecipe.cli.unsaved import tell_unsaved
    from modelrecipe.plan import plan_recipe
    from modelrecipe.report import render

    common = {name: options.pop(name) for name in ("out", "force", "allow_code", "memory")}
    loaded = _load(recipe, **options)
    tell_unsaved(screen, loaded)
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


@main.command()
@click.argument("recipes", metavar="RECIPE...", nargs=-1, required=True, type=_FILE)
@variable_options
@json_option
@with_screen
def validate(recipes: tuple[Path, ...], *, screen: Screen, **options: Any) -> None:
    """Check the text of recipes; needs no model.

    All problems are told at once, each with its place.
    """
    from modelrecipe.cli.unsaved import tell_unsaved

    results: list[dict[str, Any]] = []
    failures: list[RecipeError] = []
    for path in recipes:
        try:
            loaded = _load(path, **options)
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


@main.command()
@click.argument("model", type=_FILE)
@click.option("--layers", metavar="SELECTOR", help="Only these, as 'conv*' or '{type: Conv2D, last: 3}'.")
@json_option
@with_screen
def inspect(model: Path, *, screen: Screen, layers: str | None) -> None:
    """Say what is in a model file, or in half of one.

    Reads headers alone, so that large models are quick too.
    """
    from modelrecipe.inspection import inspect_file
    from modelrecipe.report.inspection import render_inspection

    inspection = inspect_file(model, None if layers is None else _selector(layers))
    if screen.is_json:
        screen.json(asdict(inspection))
    else:
        screen.render(render_inspection, inspection)


def _selector(text: str) -> Selector:
    from modelrecipe.cli.selector_option import read_selector

    return read_selector(text)


def _complete_words(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    from modelrecipe.registry import steps

    return [word for word in [*steps(), "include"] if word.startswith(begun)]


@main.command()
@click.argument("name", required=False, shell_complete=_complete_words)
@json_option
@with_screen
def steps(name: str | None, *, screen: Screen) -> None:
    """List the steps of the language, or tell about one."""
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


@main.command()
@click.option("-o", "--output", metavar="FILE", type=_FILE, help="Write it there instead of to standard output.")
@click.option("--check", metavar="FILE", type=_FILE, help="Fail when this file is not the schema of this version.")
@json_option
@with_screen
def schema(*, screen: Screen, output: Path | None, check: Path | None) -> None:
    """Print the JSON Schema of recipes, for editors.

    With it, an editor completes and checks recipes. Put this line at the top of
    a recipe, with the path of the written schema:

    \b
      # yaml-language-server: $schema=recipe.schema.json
    """  # noqa: D301 - click knows the character itself, not its escape
    from modelrecipe.files import atomic_output, read_text
    from modelrecipe.reference import schema_text

    text = schema_text()
    if check is not None:
        if read_text(check, 2**26) != text:
            raise FileError(
                f"'{check}' is not the schema of this version",
                hint=f"write it anew with 'modelrecipe schema --output {check}'",
            )
        screen.done(check, "up to date")
    elif output is not None:
        with atomic_output(output) as temporary:
            temporary.write_text(text, encoding="utf-8")
        screen.done(output, "written")
    else:
        screen.out(text)


@main.command()
@click.argument("model", type=_FILE)
@click.option("-o", "--output", metavar="FILE", type=_FILE, help="Write it there instead of to standard output.")
@json_option
@with_screen
def init(model: Path, *, screen: Screen, output: Path | None) -> None:
    """Make a first recipe for a model file.

    It gives the model a new head, freezes the rest, and checks the result: a place to begin, which plans as it is.
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


@main.command()
@click.argument("shell", required=False, type=click.Choice(_SHELLS))
@with_screen
def completion(shell: str | None, *, screen: Screen) -> None:
    """Print the completion script of a shell.

    \b
    bash, in ~/.bashrc:                  eval "$(modelrecipe completion bash)"
    zsh, in ~/.zshrc:                    eval "$(modelrecipe completion zsh)"
    fish, in ~/.config/fish/config.fish: modelrecipe completion fish | source
    """  # noqa: D301 - click knows the character itself, not its escape
    from click.shell_completion import get_completion_class

    shell = shell or Path(os.environ.get("SHELL", "")).name
    found = get_completion_class(shell) if shell in _SHELLS else None
    if found is None:
        raise UsageError("the shell is not known from SHELL", hint="name one of " + ", ".join(_SHELLS))
    screen.out(found(main, {}, "modelrecipe", "_MODELRECIPE_COMPLETE").source())


def _load(path: Path, *, pairs: tuple[str, ...], files: tuple[Path, ...]) -> Recipe:
    from modelrecipe.recipe import load_recipe
    from modelrecipe.recipe.given import given_on_command_line

    return load_recipe(path, given_on_command_line(pairs, files))


if __name__ == "__main__":
    main()
