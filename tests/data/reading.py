"""`data:` as a recipe writes it, read and checked as a step's value would be; and small files to read."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from modelrecipe import fields
from modelrecipe.data import DataSpec, DataSummary, describe
from modelrecipe.errors import Problems, RecipeError
from modelrecipe.formats.tensorflow.crc32c import crc32c, masked
from modelrecipe.recipe.step import iter_problems
from modelrecipe.schema.misfit import problems

if TYPE_CHECKING:
    from pathlib import Path


def data_schema() -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    return {**fields.class_schema(DataSpec, definitions=definitions), "definitions": definitions}


def spec_problems(text: str) -> list[RecipeError]:
    """What the schema, or else the values themselves, say against it."""
    data = yaml.safe_load(text)
    found = list(problems(data, data_schema()))
    return found or list(iter_problems(fields.read(DataSpec, data)))


def spec(text: str) -> DataSpec:
    assert spec_problems(text) == []
    return fields.read(DataSpec, yaml.safe_load(text))


def summary(text: str, folder: Path) -> DataSummary:
    return describe(spec(text), folder)


def refused(text: str, folder: Path) -> list[str]:
    """Everything that `describe` says against it: the keys that lead there, the message and the hint."""
    try:
        describe(spec(text), folder)
    except RecipeError as error:
        return said(error, folder)
    raise AssertionError("nothing was refused")


def said(error: RecipeError, folder: Path) -> list[str]:
    found = error.problems if isinstance(error, Problems) else [error]
    return [f"{'.'.join(map(str, item.at))}: {item.told()}".replace(f"{folder}/", "") for item in found]


def write_arrays(path: Path, **arrays: Any) -> None:
    np.savez(path, **{name: np.asarray(values) for name, values in arrays.items()})


def write_records(path: Path, *examples: dict[str, Any]) -> None:
    """A TFRecord file without TensorFlow; whole numbers, fractions and bytes."""
    with path.open("wb") as file:
        for example in examples:
            entries = b"".join(
                _field(1, _field(1, name.encode()) + _field(2, _list(value))) for name, value in example.items()
            )
            data = _field(1, entries)
            head = struct.pack("<Q", len(data))
            file.write(head + _sum(head) + data + _sum(data))


def _list(value: Any) -> bytes:
    if isinstance(value, bytes):
        return _field(1, _field(1, value))
    values = np.atleast_1d(value)
    if values.dtype.kind == "f":
        return _field(2, _field(1, values.astype("<f4").tobytes()))
    return _field(3, _field(1, b"".join(_varint(int(item) % 2**64) for item in values.ravel())))


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    groups = []
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _sum(data: bytes) -> bytes:
    return struct.pack("<I", masked(crc32c(np.frombuffer(data, np.uint8))))
