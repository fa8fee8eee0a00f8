"""Recipes as cases: files that load, and files that are refused with exactly the text beside them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrecipe import registry
from modelrecipe.errors import FileError, LanguageError, Problems, RecipeError
from modelrecipe.recipe import Recipe, load_recipe
from modelrecipe.recipe.imports import import_code, require_permission
from modelrecipe.selector import Selector
from modelrecipe.steps.freeze import Freeze
from tests.recipe_cases import BAD, FOLDER, GOOD, load_case, refusal

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = sorted((FOLDER.parents[1] / "recipes").glob("*.yaml"))


def write(folder: Path, text: str, name: str = "r.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def words(recipe: Recipe) -> list[str]:
    return [item.word for item in recipe.steps]


# Files as cases


@pytest.mark.parametrize("path", [*GOOD, *SHIPPED], ids=lambda path: path.stem)
def test_a_good_file_loads(path: Path, monkeypatch: pytest.MonkeyPatch):
    assert isinstance(load_case(path, monkeypatch), Recipe)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_the_text_beside_it(path: Path, monkeypatch: pytest.MonkeyPatch):
    assert f"{refusal(path, monkeypatch)}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_text_of_a_refusal_has_its_recipe():
    assert sorted(path.stem for path in (FOLDER / "bad").glob("*.txt")) == [path.stem for path in BAD]
    assert len(BAD) > 60


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_problems_are_sorted_by_line_and_said_once(path: Path, monkeypatch: pytest.MonkeyPatch):
    error = refusal(path, monkeypatch)
    problems = error.problems if isinstance(error, Problems) else [error]
    places = [(p.place.file, p.place.line, p.place.column) for p in problems if p.place]
    assert places == sorted(places)
    assert len({str(problem) for problem in problems}) == len(problems)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_wrong_text_has_the_exit_code_of_the_language(path: Path, monkeypatch: pytest.MonkeyPatch):
    expected = 2 if path.stem.startswith(("set_", "env_of")) else 1 if path.stem.startswith("include_") else 3
    assert refusal(path, monkeypatch).exit_code in (expected, 3)


# What a recipe says


def test_a_recipe_is_a_value(tmp_path: Path):
    text = "version: 1\nseed: 7\ndescription: d\nsteps:\n  - load: m.keras\n    id: open\n  - freeze: a\n"
    path = write(tmp_path, text)
    recipe = load_recipe(path)
    assert (recipe.name, recipe.description, recipe.seed, recipe.folder) == ("r", "d", 7, tmp_path)
    assert words(recipe) == ["load", "freeze"]
    assert recipe.steps[0].id == "open"
    assert recipe.steps[1].step == Freeze(layers=Selector(name="a"))
    assert recipe == load_recipe(path)
    assert recipe.resolved() == {
        "name": "r",
        "seed": 7,
        "imports": [],
        "vars": {},
        "steps": [{"load": "m.keras"}, {"freeze": "a"}],
    }


def test_a_recipe_may_have_no_seed(tmp_path: Path):
    assert load_recipe(write(tmp_path, "version: 1\nsteps: []\n")).seed == 0


def test_a_step_whose_variable_is_false_is_left_out(tmp_path: Path):
    text = "version: 1\nvars: {on: {type: boolean, default: false}}\nsteps:\n  - freeze: a\n    when: ${on}\n"
    path = write(tmp_path, text)
    assert words(load_recipe(path)) == []
    assert words(load_recipe(path, {"on": True})) == ["freeze"]


def test_an_error_of_a_step_is_placed_at_its_value(tmp_path: Path):
    path = write(tmp_path, "version: 1\nsteps:\n  - freeze: {layers: {type: Dense, expect: 3}}\n")
    (step,) = load_recipe(path).steps
    error = step.placed(LanguageError("is wrong", at=("layers", "expect")))
    assert str(error) == (
        f"{path}:3:44: freeze.layers.expect: is wrong\n"
        "  3 |   - freeze: {layers: {type: Dense, expect: 3}}\n"
        "    |                                            ^"
    )


def test_an_error_that_has_a_place_keeps_it(tmp_path: Path):
    (step,) = load_recipe(write(tmp_path, "version: 1\nsteps:\n  - freeze: a\n")).steps
    error = step.placed(LanguageError("is wrong", key="elsewhere", place=step.source.place(("version",))))
    assert (error.key, error.place.line if error.place else 0) == ("elsewhere", 1)


# Includes


def test_an_included_recipe_stands_in_the_place_of_its_include(monkeypatch: pytest.MonkeyPatch):
    recipe = load_case(FOLDER / "good" / "includes.yaml", monkeypatch)
    assert words(recipe) == ["load", "freeze", "freeze", "replace", "check", "freeze", "replace", "check", "save"]
    assert recipe.imports == ("further_layers",)
    assert recipe.steps[3].data["with"]["config"] == {"units": 5}
    assert recipe.steps[6].data["with"]["config"] == {"units": 7}


def test_paths_given_to_an_included_recipe_stay_the_same_files(monkeypatch: pytest.MonkeyPatch):
    recipe = load_case(FOLDER / "good" / "includes.yaml", monkeypatch)
    checks = [item for item in recipe.steps if item.word == "check"]
    assert [item.data["same_outputs_as"] for item in checks] == ["../models/m.keras", "../other.keras"]
    assert {item.folder.name for item in checks} == {"parts"}


def test_an_included_step_is_placed_in_its_own_file(monkeypatch: pytest.MonkeyPatch):
    recipe = load_case(FOLDER / "good" / "includes.yaml", monkeypatch)
    assert str(recipe.steps[1].placed(LanguageError("is wrong")).place) == "parts/freeze.yaml:4:13"


def test_recipes_do_not_include_each_other_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for number in range(30):
        write(tmp_path, f"version: 1\nsteps:\n  - include: r{number + 1}.yaml\n", f"r{number}.yaml")
    with pytest.raises(Problems) as caught:
        load_recipe("r0.yaml")
    assert str(caught.value) == (
        "r20.yaml:3:14: include: recipes include each other more than 20 deep; flatten them\n"
        "  3 |   - include: r21.yaml\n"
        "    |              ^^^^^^^^"
    )


def test_an_include_whose_variable_is_false_is_not_opened(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(FOLDER / "good")
    with pytest.raises(Problems, match=r"'parts/not_there.yaml' does not exist"):
        load_recipe("includes.yaml", {"off": True})


# Files that are no recipes


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(FileError) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert str(caught.value) == f"'{tmp_path}/r.yaml' does not exist"


def test_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(FileError) as caught:
        load_recipe(tmp_path)
    assert str(caught.value) == f"'{tmp_path}' is a directory, not a file"


def test_bytes_that_are_no_utf8_are_wrong_text_with_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_bytes("version: 1\nname: größe\n".encode() + b"steps: [load: \xff.keras]\n")
    with pytest.raises(Problems) as caught:
        load_recipe("r.yaml")
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "r.yaml:3:15: byte 0xff is not UTF-8; save the file as UTF-8\n"
        "  3 | steps: [load: \ufffd.keras]\n"
        "    |               ^"
    )


def test_a_model_is_no_recipe_however_large(tmp_path: Path):
    path = tmp_path / "m.h5"
    path.write_bytes(b"\x89HDF" + bytes(2**21))
    with pytest.raises(FileError) as caught:
        load_recipe(path)
    assert str(caught.value) == f"'{path}' is a model file, not a text; 'modelrecipe init {path}' makes a recipe for it"


# Python modules


def test_code_needs_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "version: 1\nimports: [one, two]\nsteps: []\n")
    with pytest.raises(LanguageError) as caught:
        require_permission(load_recipe("r.yaml"), allow_code=False)
    assert str(caught.value) == (
        "r.yaml:2:11: imports: the recipe runs Python code: it imports 'one', 'two'; pass --allow-code if you trust it\n"
        "  2 | imports: [one, two]\n"
        "    |           ^^^"
    )


def test_a_module_that_cannot_be_imported_is_told_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    write(tmp_path, "version: 1\nimports: [json]\nsteps:\n  - include: parts/p.yaml\n")
    write(tmp_path / "parts", "version: 1\nimports:\n  - json\n  - not_there_at_all\nsteps: []\n", "p.yaml")
    with pytest.raises(LanguageError) as caught:
        import_code(load_recipe("r.yaml"), allow_code=True)
    assert str(caught.value) == (
        "parts/p.yaml:4:5: imports: the module 'not_there_at_all' cannot be imported: No module named"
        " 'not_there_at_all'; put it beside the recipe, or install it\n"
        "  4 |   - not_there_at_all\n"
        "    |     ^^^^^^^^^^^^^^^^"
    )


def test_modules_are_found_beside_their_recipe_and_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("parts", "here"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"module_of_{name}.py").write_text("import keras\n")
    write(tmp_path, "version: 1\nimports: [module_of_here]\nsteps:\n  - include: parts/p.yaml\n")
    write(tmp_path / "parts", "version: 1\nimports: [module_of_parts]\nsteps: []\n", "p.yaml")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", [item for item in sys.path if item])
    before = list(sys.path)
    import_code(load_recipe("../r.yaml"), allow_code=True)
    assert sys.path == before
    for name in ("parts", "here"):
        assert sys.modules[f"module_of_{name}"].__file__ == str(tmp_path / name / f"module_of_{name}.py")
        monkeypatch.delitem(sys.modules, f"module_of_{name}")


# Data of any kind

SCALARS = st.none() | st.booleans() | st.integers(-3, 70000) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.sampled_from(["a", "conv_*", "", "${n}", "${", "x${n}", "> 1e5", "1..3", "Dense", "ops.Add", "m>L", "relu"])
_KEYS = (
    "layers with class config name type any not expect weights path shape vars units factor index first calls "
    "inherit application outputs to map recipe"
)
KEYS = st.sampled_from(_KEYS.split())
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=8,
)
ITEMS = st.dictionaries(st.sampled_from([*registry.steps(), "include", "id", "when", "strange"]), VALUES, max_size=3)
HEADS = st.dictionaries(
    st.sampled_from(["name", "description", "seed", "imports", "vars", "strange", "version"]), VALUES, max_size=4
)
VARIABLES = st.dictionaries(
    st.sampled_from(["n", "größe", "a-b"]),
    st.fixed_dictionaries({}, optional={"type": TEXTS | st.just("integer"), "default": VALUES, "env": VALUES}) | VALUES,
    max_size=2,
)


@settings(max_examples=300, deadline=None)
@given(head=HEADS, variables=VARIABLES, items=st.lists(ITEMS | VALUES, max_size=4))
def test_data_of_any_form_are_loaded_or_refused(
    tmp_path_factory: pytest.TempPathFactory, head: dict[str, Any], variables: dict[str, Any], items: list[Any]
):
    data = {"version": 1, "vars": variables, "steps": items, **head}
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    path = write(tmp_path_factory.getbasetemp(), text, "any.yaml")
    with contextlib.suppress(RecipeError):
        load_recipe(path)


# Speed


def test_a_recipe_of_thirty_steps_loads_in_a_moment(tmp_path: Path):
    steps = [
        "replace: {layers: {type: MaxPooling2D, any: [a, {not: c}]}, with: AveragePooling2D, inherit: config}",
        "insert: {after: a, layer: [ReLU, {class: Dropout, config: {rate: 0.5}}]}",
        'check: {outputs: {shape: [null, 5]}, trainable: "<= 60%"}',
    ]
    text = "version: 1\nsteps:\n" + "".join(f"  - {step}\n" for step in steps * 10)
    path = write(tmp_path, text)
    assert len(load_recipe(path).steps) == 30


def test_loading_a_recipe_imports_no_keras():
    program = (
        "import sys, modelrecipe\n"
        f"modelrecipe.load_recipe({str(SHIPPED[0])!r})\n"
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
