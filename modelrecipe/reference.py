"""The reference of the language as Markdown, and the one command that refreshes all generated files of the project.

`python -m modelrecipe.reference` writes them anew; with `--check` it names those that are stale and exits 1.
"""

from __future__ import annotations

import json
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelrecipe.documentation import Entry, Parameter, forms, plural, step_entry
from modelrecipe.files import atomic_output
from modelrecipe.formats.repairs import REPAIRS
from modelrecipe.schema import recipe_schema
from modelrecipe.steps import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelrecipe.step import Step

_NOTE = "<!-- Written by `python -m modelrecipe.reference` from the classes of the steps: change those. -->"
_INTRODUCTION = """\
A recipe is a YAML mapping with `version: 1` and a list of `steps`. Each step is a mapping with one of the words below.
Beside the word it may have an `id`, a `description`, and `when`, a variable whose false leaves the step out.
"""


def built_in() -> Mapping[str, type[Step]]:
    """The steps that come with this package, by word; what other packages add is not documented here."""
    return {step.word: step for step in BUILT_IN}


def steps_table() -> str:
    """A Markdown table of all steps: word, what it does, what may differ afterwards."""
    rows = [_row("step", "what it does", "touches"), _row("---", "---", "---")]
    for word in [*built_in(), "include"]:
        entry = step_entry(word, built_in())
        rows.append(_row(f"[`{word}`](docs/reference.md#{word})", entry.summary.rstrip("."), entry.touches))
    return "\n".join(rows) + "\n"


def repairs_table() -> str:
    """A Markdown table of all repairs of old files, in the order in which they are applied."""
    rows = [_row("repair", "written by", "cause", "what is done"), _row("---", "---", "---", "---")]
    rows += [_row(f"`{item.name}`", item.versions, item.cause, item.cure) for item in REPAIRS]
    return "\n".join(rows) + "\n"


def step_page(word: str) -> str:
    """One step as a Markdown section: what it does, its parameters, an example.

    Raises:
        UsageError: there is no such step.
    """
    entry = step_entry(word, built_in())
    return _section(entry, f"### {word}", f"Touches: {entry.touches}.")


def reference_page() -> str:
    """All steps and the forms of value that they share, as one Markdown page."""
    parts = ["# Reference of the recipe language", _NOTE, _INTRODUCTION.rstrip(), "## Steps"]
    parts += [step_page(word).rstrip() for word in [*built_in(), "include"]]
    parts += ["## Forms of value"]
    parts += [_section(entry, f"### {entry.name}", "").rstrip() for entry in forms(BUILT_IN)]
    return "\n\n".join(parts) + "\n"


def _section(entry: Entry, title: str, remark: str) -> str:
    parts = [title, entry.summary]
    parts += [entry.body] if entry.body else []
    parts += [f"A bare value is short for `{entry.scalar}`."] if entry.scalar else []
    parts += [remark] if remark else []
    if entry.example:
        parts.append(f"```yaml\n{entry.example}\n```")
    if entry.parameters:
        rows = [_row("parameter", "type", "default", "meaning"), _row("---", "---", "---", "---")]
        parts.append("\n".join([*rows, *(_parameter(parameter) for parameter in entry.parameters)]))
    return "\n\n".join(parts) + "\n"


def _parameter(parameter: Parameter) -> str:
    default = "required" if parameter.required else f"`{parameter.default}`" if parameter.default else ""
    return _row(f"`{parameter.key}`", _linked(parameter.type), default, parameter.doc)


def _linked(words: str) -> str:
    """A type in words, with links to the forms of value."""
    names = _form_names()
    pattern = r"\b(" + "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) + r")\b"
    return re.sub(pattern, lambda found: f"[{found[0]}](#{names[found[0]].replace(' ', '-')})", words)


@lru_cache(maxsize=1)
def _form_names() -> Mapping[str, str]:
    """What a form of value is called in types, one or several, to its title."""
    names = [entry.name for entry in forms(BUILT_IN)]
    return {word: name for name in names for word in (name, plural(name))}


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def schema_text() -> str:
    """The JSON Schema for editors, one definition per line, so that a change of one is a change of one line."""
    schema = recipe_schema()
    definitions = [f"    {json.dumps(name)}: {json.dumps(part)}" for name, part in schema.pop("definitions").items()]
    lines = [f"  {json.dumps(key)}: {json.dumps(part)}" for key, part in schema.items()]
    lines.append('  "definitions": {\n' + ",\n".join(definitions) + "\n  }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def generated_files(root: Path) -> Iterator[tuple[Path, str]]:
    """Every generated file of a checkout with the content it should have."""
    yield root / "docs" / "reference.md", reference_page()
    yield root / "schemas" / "recipe.schema.json", schema_text()
    for path, name, table in (
        (root / "README.md", "steps", steps_table()),
        (root / "docs" / "old_files.md", "repairs", repairs_table()),
    ):
        if path.is_file():
            yield path, _with_table(path.read_text(encoding="utf-8"), name, table)


def _with_table(text: str, name: str, table: str) -> str:
    """A page with a table between its marks, `<!-- name:begin -->` and `<!-- name:end -->`."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if begin not in text or end not in text:
        return text
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{table}{end}{rest.partition(end)[2]}"


def stale_files(root: Path) -> list[tuple[Path, str]]:
    """Those generated files whose content differs from what it should be, with the latter."""
    return [
        (path, text)
        for path, text in generated_files(root)
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


@click.command()
@click.option("--check", is_flag=True, help="Only name the stale ones, and exit with 1 when there are any.")
def main(check: bool) -> None:
    """Refresh the generated files of this checkout."""
    root = Path(__file__).resolve().parent.parent
    if not (root / "pyproject.toml").is_file():
        raise click.ClickException("the generated files stand in a checkout, not beside an installed package")
    stale = stale_files(root)
    for path, text in stale:
        if not check:
            with atomic_output(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        click.echo(f"{path.relative_to(root)}: {'stale' if check else 'written'}", err=True)
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
