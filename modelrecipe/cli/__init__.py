"""The command line: words in, exit code out. Imports what a verb needs when it runs, so that `--help` is quick."""

from __future__ import annotations

from typing import Any

import click

from modelrecipe.cli.command import Program, plain_options, tell_version
from modelrecipe.cli.completion import completion
from modelrecipe.cli.convert import convert
from modelrecipe.cli.init import init
from modelrecipe.cli.inspect import inspect
from modelrecipe.cli.plan import plan
from modelrecipe.cli.run import run
from modelrecipe.cli.schema import schema
from modelrecipe.cli.steps import steps
from modelrecipe.cli.validate import validate


@click.group(
    "modelrecipe", cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=tell_version, help="Show the versions."
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


for verb in (run, plan, validate, inspect, convert, steps, schema, init, completion):
    main.add_command(verb)


if __name__ == "__main__":
    main()
