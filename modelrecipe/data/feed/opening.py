"""Sources that only TensorFlow or Python code can open: saved datasets, TFDS, keras.datasets, functions."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.data.feed.images import ImageRows
from modelrecipe.data.feed.rows import array_rows, read_feature, record_rows
from modelrecipe.data.feed.stream import StreamRows, flattened, stream_of
from modelrecipe.data.feed.transform import tensorflow
from modelrecipe.data.records import RecordIndex
from modelrecipe.data.sources import open_stock
from modelrecipe.data.stock import Stock, stock_of_arrays
from modelrecipe.data.survey import Survey, survey
from modelrecipe.errors import DataError, FileError, LanguageError, Problems, RecipeError
from modelrecipe.live.construct import foreign_code
from modelrecipe.live.session import import_keras, run_imports

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.data.feed.rows import Rows
    from modelrecipe.data.kinds import KerasDataset, TfdsDataset
    from modelrecipe.data.spec import DataSource, DataSpec


def open_rows(source: DataSource, folder: Path, spec: DataSpec, at: tuple[str | int, ...] = ()) -> tuple[Survey, Rows]:
    """A source with its examples within reach.

    Args:
        source: what the recipe says of it.
        folder: what its paths are relative to.
        spec: says which classes are kept, and whether labels are needed for drawing.
        at: keys that lead to the source.

    Raises:
        RecipeError: something is wrong with it.
    """
    try:
        stock, stream = _opened(source, folder)
    except RecipeError as error:
        error.at = (*at, *(error.at if error.at[:1] == (source.kind,) else (source.kind, *error.at)))
        raise
    found = survey(stock, source, classes=spec.classes, stratified=spec.stratified if not at else False, at=at)
    if found.problems:
        raise found.problems[0] if len(found.problems) == 1 else Problems(found.problems)
    found = found if found.kept is not None else replace(found, kept=np.arange(found.length or 0))
    if stream is not None:
        return found, StreamRows(stream, found)
    if source.images is not None:
        return found, ImageRows(source.images, found)
    if source.tfrecord is not None:
        return found, record_rows(_index(stock), source.tfrecord.features, found)
    return found, array_rows(found, at)


def _index(stock: Stock) -> RecordIndex:
    return RecordIndex(tuple(root for root, _ in stock.roots))


def _opened(source: DataSource, folder: Path) -> tuple[Stock, Any]:
    """What a source has, and its dataset where it is one."""
    stock = open_stock(source, folder)
    if source.dataset is not None:
        stream, found = stream_of(_saved(folder / source.dataset), batched=source.batched)
        return replace(found, roots=stock.roots), stream
    if source.tfds is not None:
        stream, found = stream_of(_prepared(source.tfds, folder), batched=False)
        return found, stream
    if source.keras is not None:
        return replace(stock_of_arrays(_downloaded(source.keras)), roots=stock.roots), None
    if source.function is not None:
        return _called(source, source.function, folder)
    if source.tfrecord is not None:
        features, index = source.tfrecord.features, _index(stock)
        return replace(stock, read=lambda key: read_feature(index, features, key)), None
    return stock, None


def _saved(folder: Path) -> Any:
    tf = tensorflow()
    with foreign_code(lambda error: FileError(f"'{folder}' cannot be loaded: {_said(error)}")):
        # Shard after shard: the default order depends on how many processors the machine has.
        return tf.data.Dataset.load(str(folder), reader_func=lambda shards: shards.flat_map(lambda shard: shard))


def _prepared(source: TfdsDataset, folder: Path) -> Any:
    tensorflow()
    tfds = importlib.import_module("tensorflow_datasets")
    place = None if source.folder is None else str(folder / source.folder)

    def refusal(error: Exception) -> RecipeError:
        hint = f"run tfds.load('{source.name}') once"
        return FileError(f"'{source.name}' cannot be loaded: {_said(error)}", hint=hint)

    with foreign_code(refusal):
        reading = tfds.ReadConfig(interleave_cycle_length=1)
        return tfds.load(
            source.name, split=source.split, data_dir=place, download=False, shuffle_files=False, read_config=reading
        )


def _downloaded(source: KerasDataset) -> dict[str, Any]:
    module = getattr(import_keras().datasets, source.name)
    with foreign_code(lambda error: FileError(f"'{source.name}' cannot be loaded: {_said(error)}")):
        x, y = module.load_data()[source.split == "test"]
    return {"x": x, "y": y}


def _called(source: DataSource, name: str, folder: Path) -> tuple[Stock, Any]:
    """What a function of the user's returns: arrays in the forms of `flattened`, or a dataset."""
    tf = tensorflow()
    module, _, attribute = name.partition(":")
    try:
        run_imports([module], folder)
    except LanguageError as error:
        error.key = None
        raise
    function = getattr(importlib.import_module(module), attribute, None)
    if not callable(function):
        raise LanguageError(f"the module '{module}' has no function '{attribute}'", at=("function",))
    with foreign_code(lambda error: DataError(f"'{name}' failed: {_said(error)}")):
        result = function(**source.arguments)
    if isinstance(result, tf.data.Dataset):
        stream, stock = stream_of(result, batched=source.batched)
        return stock, stream
    arrays = {key: np.asarray(value) for key, value in flattened(result).items()}
    return stock_of_arrays(arrays), None


def _said(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
