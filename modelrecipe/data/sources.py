"""Opening a source as far as it goes without TensorFlow, whatever kind it is."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe.data.arrays import npy_stock, npz_stock
from modelrecipe.data.folders import image_stock
from modelrecipe.data.records import record_stock
from modelrecipe.data.stock import Header, Stock
from modelrecipe.data.tables import csv_stock, parquet_stock
from modelrecipe.errors import FileError, RecipeError
from modelrecipe.files import cannot_read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.data.kinds import KerasDataset
    from modelrecipe.data.spec import DataSource

_Known = tuple[str, tuple[int, int], tuple[int, ...], str, str, float]
_KERAS: Mapping[str, _Known] = {
    # File in Keras' cache, examples for training and test, shape and type of x, type of y, highest label.
    "mnist": ("mnist.npz", (60_000, 10_000), (28, 28), "uint8", "uint8", 9),
    "fashion_mnist": ("fashion-mnist", (60_000, 10_000), (28, 28), "uint8", "uint8", 9),
    "cifar10": ("cifar-10-batches-py-target", (50_000, 10_000), (32, 32, 3), "uint8", "uint8", 9),
    "cifar100": ("cifar-100-python-target", (50_000, 10_000), (32, 32, 3), "uint8", "int64", 99),
    "boston_housing": ("boston_housing.npz", (404, 102), (13,), "float64", "float64", -1),
    "california_housing": ("california_housing.npz", (16_512, 4_128), (8,), "float32", "float32", -1),
}


def open_stock(source: DataSource, folder: Path) -> Stock:
    """What a source has.

    Args:
        source: what the recipe says.
        folder: what its paths are relative to.

    Raises:
        RecipeError: it is missing, damaged, or not what it should be; `at` begins with the source's key.
    """
    try:
        return _opened(source, folder)
    except RecipeError as error:
        error.at = (source.kind, *error.at)
        raise


def _opened(source: DataSource, folder: Path) -> Stock:
    if source.npz is not None:
        return npz_stock(folder / source.npz)
    if source.npy is not None:
        return npy_stock({key: folder / path for key, path in source.npy.items()})
    if source.csv is not None:
        return csv_stock(folder / source.csv)
    if source.parquet is not None:
        return parquet_stock(folder / source.parquet)
    if source.images is not None:
        return image_stock(source.images, folder)
    if source.tfrecord is not None:
        return record_stock(source.tfrecord, folder)
    if source.dataset is not None:
        return _saved_dataset(folder / source.dataset)
    if source.keras is not None:
        return _keras_dataset(source.keras)
    if source.tfds is not None and importlib.util.find_spec("tensorflow_datasets") is None:
        hint = "pip install tensorflow-datasets"
        raise FileError(f"'{source.tfds.name}' needs tensorflow_datasets, which is not installed", hint=hint)
    return Stock()


def _saved_dataset(folder: Path) -> Stock:
    """The folder that `tf.data.Dataset.save` wrote, whose elements only TensorFlow can tell."""
    if not folder.exists():
        raise cannot_read(folder, FileNotFoundError())
    if not (folder / "dataset_spec.pb").is_file():
        raise FileError(f"'{folder}' holds no saved dataset", hint="write one with tf.data.Dataset.save")
    return Stock(roots=((folder, _files_below(folder)),))


def _keras_dataset(source: KerasDataset) -> Stock:
    file, counts, shape, dtype, label_dtype, highest = _KERAS[source.name]
    length = counts[source.split == "test"]
    is_image = highest >= 0 and len(shape) == 3
    label_shape = (1,) if is_image else ()
    cached = _keras_home() / "datasets" / file
    known = cached.exists()
    return Stock(
        headers={
            "x": Header(length=length, shape=shape, dtype=dtype),
            "y": Header(length=length, shape=label_shape, dtype=label_dtype),
        },
        bounds={"y": (0.0, float(highest))} if highest >= 0 else {},
        roots=((cached, _files_below(cached) if cached.is_dir() else (cached,)),) if known else (),
        notes=() if known else (f"'{source.name}' is downloaded by Keras when it is first read",),
    )


def _keras_home() -> Path:
    """Where Keras caches what it downloads (`keras.config.keras_home`)."""
    home = os.environ.get("KERAS_HOME")
    return Path(home) if home else Path("~").expanduser() / ".keras"


def _files_below(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
