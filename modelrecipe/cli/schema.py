"""The verb `schema`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modelrecipe.cli.command import FILE, Verb, json_option, with_screen
from modelrecipe.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.cli.screen import Screen


@click.command(cls=Verb)
@click.option("-o", "--output", metavar="FILE", type=FILE, help="Write to this file instead of standard output.")
@click.option("--check", metavar="FILE", type=FILE, help="Fail if this file is not the schema of this version.")
@json_option
@with_screen
def schema(*, screen: Screen, output: Path | None, check: Path | None) -> None:
    """Print the JSON Schema of recipes, for editors.

    With it, editors complete and check recipes. Put this line at the top of a
    recipe, with the path of the written schema:

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
