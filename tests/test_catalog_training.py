"""The catalog of optimizers, losses, metrics and callbacks against the installed Keras."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from modelrecipe.catalog import training as catalog
from modelrecipe.live import catalog_training

KINDS = ("optimizer", "loss", "metric", "callback")


def test_the_file_is_what_keras_says():
    fresh = catalog_training.render(catalog_training.learn())
    assert Path(catalog_training.DATA).read_text(encoding="utf-8") == fresh


@pytest.mark.parametrize("kind", ["loss", "metric", "optimizer"])
def test_keras_finds_every_name(kind: catalog.Kind):
    room = getattr(keras, {"loss": "losses", "metric": "metrics", "optimizer": "optimizers"}[kind])
    for name in catalog.names_of(kind):
        assert hasattr(room, str(catalog.class_named(kind, name)))


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [
        ("loss", "mse", "MeanSquaredError"),
        ("loss", "sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"),
        ("loss", "Mse", None),
        ("metric", "precision", "Precision"),
        ("optimizer", "ADAM", "Adam"),
        ("optimizer", "Lamb", "Lamb"),
        ("callback", "csvlogger", None),
    ],
)
def test_a_name_means_a_class(kind: catalog.Kind, name: str, meant: str | None):
    assert catalog.class_named(kind, name) == meant


@pytest.mark.parametrize("kind", KINDS)
def test_every_default_fits(kind: catalog.Kind):
    for name in catalog.names_of(kind):
        arguments = catalog.arguments_of(kind, name)
        config = {item.name: item.default for item in arguments if item.default is not None}
        missing = [item.name for item in arguments if item.required]
        assert [
            problem.message.rpartition(" ")[2].strip("'") for problem in catalog.check_object(kind, name, config)
        ] == missing


@pytest.mark.parametrize(
    ("kind", "name", "config", "told"),
    [
        ("callback", "EarlyStopping", {"min_delta": 0.01, "patience": 2}, []),
        (
            "callback",
            "EarlyStopping",
            {"mode": "most"},
            "argument 'mode' of EarlyStopping must be 'auto', 'min' or 'max', not 'most'",
        ),
        ("callback", "ModelCheckpoint", {"filepath": "x.keras", "save_freq": 100}, []),
        ("loss", "mse", {"reduction": None}, []),
        ("loss", "Huber", {"dleta": 1}, "unknown argument 'dleta' of Huber"),
        ("metric", "AUC", {"curve": "PR"}, []),
        (
            "optimizer",
            "Adam",
            {"weight_decay": "much"},
            "argument 'weight_decay' of Adam must be a number or null, not 'much'",
        ),
    ],
)
def test_arguments_are_checked(kind: catalog.Kind, name: str, config: dict[str, object], told: str | list[str]):
    wanted = [told] if isinstance(told, str) else told
    assert [problem.message for problem in catalog.check_object(kind, name, config)] == wanted
