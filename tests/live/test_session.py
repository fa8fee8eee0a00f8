from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from modelrecipe.errors import LanguageError
from modelrecipe.live.session import run_imports, seeded


def test_the_same_seed_draws_the_same_weights():
    import keras

    def draw() -> list[float]:
        with seeded(3):
            layer = keras.layers.Dense(4)
            layer.build((None, 2))
        return layer.kernel.numpy().ravel().tolist()

    assert draw() == draw()


def test_the_callers_random_state_comes_back():
    random.seed(1)
    np.random.seed(1)
    expected = (random.random(), np.random.random())
    random.seed(1)
    np.random.seed(1)
    with seeded(99):
        random.random()
        np.random.random()
    assert (random.random(), np.random.random()) == expected


def test_keras_starts_without_a_word_on_stderr():
    code = "from modelrecipe.live.session import import_keras; import_keras()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout == ""


def test_a_module_beside_the_recipe_is_found(tmp_path, monkeypatch):
    (tmp_path / "beside_the_recipe.py").write_text("IS_HERE = True\n")
    before = list(sys.path)
    run_imports(["beside_the_recipe"], tmp_path)
    assert sys.modules["beside_the_recipe"].IS_HERE
    assert sys.path == before
    monkeypatch.delitem(sys.modules, "beside_the_recipe")


def test_a_module_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(LanguageError) as refused:
        run_imports(["nowhere_to_be_found"], tmp_path)
    assert str(refused.value) == (
        "imports: the module 'nowhere_to_be_found' cannot be imported: No module named 'nowhere_to_be_found';"
        " put it beside the recipe, or install it"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def (", "SyntaxError: invalid syntax (module_that_fails.py, line 1)"),
        ("raise RuntimeError('no GPU')", "RuntimeError: no GPU"),
        ("raise KeyError", "KeyError"),
        ("raise SystemExit(2)", "SystemExit: 2"),
    ],
)
def test_whatever_a_module_raises_is_told_with_its_name(code, said, tmp_path):
    (tmp_path / "module_that_fails.py").write_text(code)
    before = list(sys.path)
    with pytest.raises(LanguageError) as refused:
        run_imports(["module_that_fails"], tmp_path)
    assert str(refused.value) == f"imports: the module 'module_that_fails' cannot be imported: {said}"
    assert sys.path == before


@pytest.mark.parametrize("name", ["namesake", "namesakes.layers"])
def test_a_module_of_the_same_name_from_another_folder_is_refused(name, tmp_path, monkeypatch):
    files = []
    for folder in ("one", "two"):
        files.append(tmp_path / folder / f"{name.replace('.', '/')}.py")
        files[-1].parent.mkdir(parents=True)
        files[-1].write_text("")
    run_imports([name], tmp_path / "one")
    run_imports([name], tmp_path / "one")
    with pytest.raises(LanguageError) as refused:
        run_imports([name], tmp_path / "two")
    assert str(refused.value) == (
        f"imports: the module '{name}' was imported from '{files[0]}' before, not from '{files[1]}';"
        " give one of the two another name, or run each recipe in a process of its own"
    )
    monkeypatch.delitem(sys.modules, name)
