"""The house rules that a reader of one file would not notice being broken: floors, light imports, documentation."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

import modelrecipe
from modelrecipe import registry, schema
from modelrecipe.steps import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "modelrecipe"
KERAS_FLOOR = 3
DOORS = {("recipe/__init__", "plan"), ("recipe/__init__", "run"), ("registry", "steps")}
MAY_OPEN_LIVE = {
    "engine/bench",
    "engine/devices",
    "engine/measuring",
    "engine/reestimating",
    "engine/training_run",
    "engine/training_states",
    "recipe/imports",
    "run",
}
HEAVY = ("keras", "tensorflow")


def room_of(path: Path) -> str:
    """The name of a module in the table of floors: `graph`, `formats/hdf5`, `formats/__init__`."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


MODULES = {room_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@lru_cache(maxsize=1)
def table() -> list[tuple[int, str]]:
    """Floor and pattern of each room in `docs/architecture.md`; exact names come before globs."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("<!-- floors -->")[2]
    rows = re.findall(r"^\| (\d) \w+ \| ([^|]+) \|", text.partition("\n\n")[0], re.MULTILINE)
    found = [(int(floor), pattern) for floor, rooms in rows for pattern in re.findall(r"`([^`]+)`", rooms)]
    return sorted(found, key=lambda item: "*" in item[1])


def floor_of(room: str) -> int | None:
    return next((floor for floor, pattern in table() if fnmatchcase(room, pattern)), None)


def imported(room: str, *, of_functions: bool) -> Iterator[str]:
    """What a module imports when it is imported, or in its functions: rooms, or names of other packages."""
    inner: set[ast.AST] = set()
    typing_only: set[ast.AST] = set()
    tree = ast.parse(MODULES[room].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner |= set(ast.walk(node))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typing_only |= set(ast.walk(node))
    for node in ast.walk(tree):
        if node in typing_only or (node in inner) is not of_functions:
            continue
        if isinstance(node, ast.Import):
            yield from (as_room(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{room} imports relatively"
            yield from (as_room(f"{node.module}.{alias.name}", str(node.module)) for alias in node.names)


def as_room(name: str, otherwise: str = "") -> str:
    for candidate in (name, otherwise):
        parts = candidate.split(".")
        inside = "/".join(parts[1:])
        if parts[0] == "modelrecipe" and (inside in MODULES or f"{inside}/__init__".lstrip("/") in MODULES):
            return inside if inside in MODULES else f"{inside}/__init__".lstrip("/")
    return name.partition(".")[0]


def test_every_module_has_a_place_in_the_table_of_floors() -> None:
    assert [room for room in MODULES if floor_of(room) is None] == []


def test_every_room_of_the_table_exists() -> None:
    assert [pattern for _, pattern in table() if not any(fnmatchcase(room, pattern) for room in MODULES)] == []


@pytest.mark.parametrize("room", MODULES)
def test_imports_run_downwards(room: str) -> None:
    upwards = [
        (room, other)
        for is_inner in (False, True)
        for other in imported(room, of_functions=is_inner)
        if other in MODULES and (floor_of(other) or 0) > (floor_of(room) or 0)
    ]
    assert [pair for pair in upwards if (pair[0], pair[1].removesuffix("/__init__")) not in DOORS] == []


@pytest.mark.parametrize("room", MODULES)
def test_keras_lives_on_its_floor_alone(room: str) -> None:
    if floor_of(room) == KERAS_FLOOR:
        return
    everything = [other for is_inner in (False, True) for other in imported(room, of_functions=is_inner)]
    assert not set(everything) & set(HEAVY)
    assert [
        other for other in imported(room, of_functions=False) if floor_of(other) == KERAS_FLOOR and other in MODULES
    ] == []
    if any(other in MODULES and floor_of(other) == KERAS_FLOOR for other in everything):
        assert room in MAY_OPEN_LIVE


def test_imports_make_no_circle() -> None:
    downwards = {room: {other for other in imported(room, of_functions=False) if other in MODULES} for room in MODULES}
    left = dict(downwards)
    while True:
        free = {room for room, others in left.items() if not others & set(left)}
        if not free:
            break
        left = {room: others for room, others in left.items() if room not in free}
    assert left == {}


def test_every_module_can_be_imported_without_keras_but_those_that_make_the_catalog() -> None:
    rooms = [room for room in MODULES if floor_of(room) != KERAS_FLOOR]
    names = [
        ".".join(["modelrecipe", *room.removesuffix("__init__").strip("/").split("/")]).rstrip(".") for room in rooms
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_importing_the_package_imports_next_to_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import modelrecipe\n"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout
    assert not any(heavy in done for heavy in (*HEAVY, "numpy", "h5py", "jsonschema", "rich"))


def test_the_steps_need_no_numpy_before_numbers_are_read() -> None:
    """It takes a third of the time of `validate`."""
    code = "import sys, modelrecipe.steps; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout
    assert done == "False\n"


def test_only_steps_pay_for_a_frozen_dataclass() -> None:
    """Those of other packages are frozen dataclasses too, whose bases have to be some."""
    plain = re.compile(r"^ *@dataclass\([^)]*frozen=True[^)]*\)\n *class (?!.*Step\)|Step\()", re.MULTILINE)
    found = {room for room, path in MODULES.items() if plain.search(path.read_text(encoding="utf-8"))}
    assert found == {"training/examples"}  # bases of steps


def test_public_names_are_sorted_and_there() -> None:
    names = modelrecipe.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    assert [name for name in names if not hasattr(modelrecipe, name)] == []


@pytest.mark.parametrize("room", MODULES)
def test_every_module_says_its_duty(room: str) -> None:
    if not MODULES[room].read_text(encoding="utf-8"):
        return
    docstring = ast.get_docstring(ast.parse(MODULES[room].read_text(encoding="utf-8")))
    assert docstring
    assert docstring.partition("\n")[0].rstrip().endswith((".", "?", ":", ","))


@pytest.mark.parametrize("step", registry.steps().values(), ids=registry.steps())
def test_every_step_has_an_example_that_is_valid(step: type[modelrecipe.Step], tmp_path: Path) -> None:
    text = step.__doc__ or ""
    assert step.summary().endswith(".")
    example = text.partition("Example:\n")[2]
    assert example, f"{step.word} has no example"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"version: 1\nsteps:\n{example}\n", encoding="utf-8")
    read = modelrecipe.load_recipe(recipe)
    assert {item.word for item in read.steps} == {step.word}
    (item,) = yaml.safe_load(example)
    assert list(schema.problems(item[step.word], schema.step_schema(step.word))) == []


@pytest.mark.parametrize("step", BUILT_IN, ids=lambda step: step.word)
def test_word_file_and_class_of_a_step_are_one_word(step: type[modelrecipe.Step]) -> None:
    assert step.__name__ == "".join(part.capitalize() for part in step.word.split("_"))
    assert step.__module__ == f"modelrecipe.steps.{step.word}"
    module = importlib.import_module(step.__module__)
    assert (module.__doc__ or "").startswith(f"`{step.word}`: ")


def tracked_files() -> list[Path]:
    """What is in version control, or will be; without git, everything but what it would ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if listed.returncode:
        pytest.skip("no git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_file_names_a_place_of_one_machine() -> None:
    place = re.compile(rb"(?<![\w.$}])/(?:work|root|home|Users|opt|mnt)/[\w.-]")
    found = [
        f"{path.relative_to(ROOT)}: {line[:100]!r}"
        for path in tracked_files()
        if path.suffix not in (".keras", ".h5", ".npz")
        for line in path.read_bytes().splitlines()
        if place.search(line)
    ]
    assert found == []


def test_no_committed_file_is_large() -> None:
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in tracked_files()}
    assert {name: size for name, size in sizes.items() if size > 500_000} == {}


def test_model_and_data_of_the_quick_start_stay_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "recipes" / "digits").iterdir() if path.is_file()) < 500_000
