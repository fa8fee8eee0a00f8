"""What every test may ask for: a quiet Keras on the CPU, fresh automatic names, model files, a place to save."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import keras

# Keras reads these when it is first imported, which is after this file: importing it here would cost every test
# of the light floors several seconds.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

SHARED_MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"


@pytest.fixture(autouse=True)
def fresh_keras_session() -> Iterator[None]:
    """Begin counting automatic names (`dense`, `dense_1`) anew, and undo global policies, after each test.

    Models that outlive a test, as those of a module's fixture, are not touched. Nothing happens before Keras is loaded.
    """
    yield
    loaded = sys.modules.get("keras")
    if loaded is not None:
        loaded.utils.clear_session(free_memory=False)


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of real model files beside the checkout."""
    if not SHARED_MODELS.is_dir():
        pytest.skip("real model files are not here")
    return SHARED_MODELS


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Save a model into this test's own folder and give back the file."""

    def save(model: keras.Model, name: str = "m.keras") -> Path:
        path = tmp_path / name
        model.save(path)
        return path

    return save
