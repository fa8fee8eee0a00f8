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
        "imports: the module 'nowhere_to_be_found' cannot be imported: No module named 'nowhere_to_be_found'"
    )
