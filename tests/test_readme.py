"""What README and docs show is what happens: commands, outputs, the picture, Python blocks, recipes, links."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

import modelrecipe
from modelrecipe import registry, schema, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TEXTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
IDS = [path.name for path in TEXTS]


def blocks(path: Path, language: str, mark: str | None = None) -> list[str]:
    """The fenced blocks of a language; with a mark, those behind the comment `<!-- mark -->`."""
    before = rf"<!-- {mark} -->\n" if mark else ""
    return re.findall(
        rf"{before}^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def load_refresh() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "docs" / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


refresh = load_refresh()


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with a copy of the recipes, where commands may write."""
    return refresh.workplace(tmp_path)


@pytest.mark.parametrize(
    ("command", "shown"), list(refresh.commands(README.read_text(encoding="utf-8"))), ids=lambda value: value[:60]
)
def test_readme_shows_what_its_commands_print(command: str, shown: str, workplace: Path) -> None:
    assert refresh.without_times(shown) == refresh.without_times(refresh.run(command, workplace))


def test_readme_shows_the_quick_start_and_a_refusal() -> None:
    commands = dict(refresh.commands(README.read_text(encoding="utf-8")))
    assert "Done in" in commands[refresh.PICTURED]
    assert any("nearest layers" in shown for shown in commands.values())


def test_picture_shows_what_the_readme_says_of_the_same_run() -> None:
    shown = dict(refresh.commands(README.read_text(encoding="utf-8")))[refresh.PICTURED]
    drawn = refresh.words_of(refresh.PICTURE.read_text(encoding="utf-8"))
    assert drawn == refresh.squeezed(f"$ {refresh.PICTURED}\n{shown}")


def test_readme_shows_the_quick_start_recipe_as_it_is() -> None:
    (shown,) = blocks(README, "yaml", "quickstart")
    assert yaml.safe_load(shown) == yaml.safe_load((ROOT / "recipes" / "quickstart.yaml").read_text(encoding="utf-8"))


def test_readme_says_no_line_that_a_terminal_of_80_columns_would_break() -> None:
    for _, shown in refresh.commands(README.read_text(encoding="utf-8")):
        report = [line for line in shown.splitlines() if not re.match(r"\S+:\d+:\d+: ", line)]
        assert max(map(len, report)) <= 80


def test_readme_and_ci_run_the_tests_with_the_same_command() -> None:
    (_, tests) = blocks(README, "sh")
    command = tests.strip().rpartition(".venv/bin/")[2]
    assert command == "python -m pytest -n 2"
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "pytest" in line and "==" not in line] == [f'{command} || failed+=("tests")']


def test_python_in_the_readme_runs_as_it_stands(workplace: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    for number, block in enumerate(blocks(README, "python")):
        script = workplace / f"block_{number}.py"
        script.write_text(block, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, script], cwd=workplace, env=environment, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, done.stderr
        assert "99 parameters train; Proof(identical=13, changed=1, fresh=2, removed=2)" in done.stdout


def recipes_in_texts() -> Iterator[tuple[str, str]]:
    """Every YAML block: whole recipes, and lists of steps as recipes; the reference page has tests of its own."""
    for path in (path for path in TEXTS if path.name != "reference.md"):
        for number, block in enumerate(blocks(path, "yaml")):
            if "version: 1" in block:
                yield f"{path.name}-{number}", block
            else:
                used = sorted(set(re.findall(r"(?<!\$)\$\{(\w+)\}", block)))
                declared = "".join(f"  {name}: {{type: number, default: 1}}\n" for name in used)
                head = f"version: 1\nvars:\n{declared}steps:\n" if used else "version: 1\nsteps:\n"
                yield f"{path.name}-{number}", head + "".join(f"  {line}" for line in block.splitlines(keepends=True))


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in recipes_in_texts()])
def test_yaml_in_the_texts_is_valid(text: str, workplace: Path) -> None:
    recipe = workplace / "recipes" / "shown.yaml"
    recipe.write_text(text, encoding="utf-8")
    assert modelrecipe.load_recipe(recipe).steps


@pytest.mark.parametrize("path", TEXTS, ids=IDS)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if not target.startswith("https://"):
            assert (path.parent / file).exists() if file else anchor in anchors(text), target
            if anchor and file.endswith(".md"):
                assert anchor in anchors((path.parent / file).read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.fixture
def with_step(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type[modelrecipe.Step]], None]]:
    """Enter a step's word into the tuple of built-in ones for the time of a test."""

    def forget() -> None:
        for cached in (*vars(registry).values(), *vars(schema).values()):
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()

    def enter(step: type[modelrecipe.Step]) -> None:
        monkeypatch.setattr(steps, "WORDS", (*steps.WORDS, step.word))
        forget()

    yield enter
    monkeypatch.undo()
    forget()


def module_of(source: str, name: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(source, f"{name} in CONTRIBUTING.md", "exec", dont_inherit=True), vars(module))
    return module


def test_contributing_adds_a_step_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_step: Callable[[type[modelrecipe.Step]], None]
) -> None:
    (source,) = blocks(ROOT / "CONTRIBUTING.md", "python", "step")
    (test,) = blocks(ROOT / "CONTRIBUTING.md", "python", "test")
    monkeypatch.chdir(ROOT)
    with_step(module_of(source, "modelrecipe.steps.round", monkeypatch).Round)
    assert "round" in registry.steps()
    found = [
        value for name, value in vars(module_of(test, "test_round", monkeypatch)).items() if name.startswith("test_")
    ]
    assert len(found) == 2
    for number, one in enumerate(found):
        folder = tmp_path / str(number)
        folder.mkdir()
        one(folder)
