"""The recipe that `convert` carries out: the shortest there is, for those who only want a file that Keras 3 opens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe.recipe import read_recipe
from modelrecipe.source.writing import yaml_text

if TYPE_CHECKING:
    from modelrecipe.recipe import Recipe


def conversion_recipe(source: Path, target: Path) -> tuple[Recipe, str]:
    """The recipe that opens one file and writes another, and its text, with paths as the user wrote them.

    Args:
        source: any model file.
        target: the file to write; its ending says the format.
    """
    lines = [
        "version: 1",
        f"name: {yaml_text(f'convert {source.name}')}",
        "steps:",
        f"  - load: {yaml_text(str(source))}",
        "  - check: {finite: true}",
        f"  - save: {yaml_text(str(target))}",
    ]
    text = "\n".join(lines) + "\n"
    return read_recipe(text, Path("<convert>")), text
