"""Recipes as cases: files under `tests/recipes`, whose first lines may say what is given from outside.

`# --set n=5` and `# env NAME=value` in a comment on top stand for the command line and the environment.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modelrecipe.errors import RecipeError
from modelrecipe.recipe import Recipe, load_recipe
from modelrecipe.recipe.given import given_on_command_line

FOLDER = Path(__file__).resolve().parent / "recipes"
GOOD = sorted((FOLDER / "good").glob("*.yaml"))
BAD = sorted((FOLDER / "bad").glob("*.yaml"))


def load_case(path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Load a recipe from within its folder, with what its comments give."""
    monkeypatch.chdir(path.parent)
    top = re.match(r"(?:#.*\r?\n)*", path.read_text(encoding="utf-8"))
    comments = top.group() if top else ""
    for name, value in re.findall(r"\benv (\w+)=(\S*)", comments):
        monkeypatch.setenv(name, value)
    pairs = tuple(re.findall(r"--set (\S+)", comments))
    return load_recipe(path.name, given_on_command_line(pairs, ()))


def refusal(path: Path, monkeypatch: pytest.MonkeyPatch) -> RecipeError:
    """The error that a recipe is refused with."""
    with pytest.raises(RecipeError) as caught:
        load_case(path, monkeypatch)
    return caught.value
