"""CSV and Parquet files: columns of numbers and texts, through pandas and pyarrow, which are optional."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.data.stock import Header, Stock, header_of
from modelrecipe.errors import DataError, FileError
from modelrecipe.files import cannot_read, check_regular

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray


def csv_stock(path: Path) -> Stock:
    """The columns of a CSV file with a line of names; it is read once, as a whole.

    Raises:
        FileError: it is missing or no such table, or pandas is not installed.
    """
    pandas = _optional("pandas", path)
    check_regular(path)
    try:
        frame = pandas.read_csv(path)
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, UnicodeDecodeError) as error:  # pandas' own parser errors are ValueErrors
        raise FileError(f"'{path}' is no table: {_said(error)}", hint="write one line of names, then values") from error
    headers = {str(name): _column_header(frame[name].dtype, len(frame)) for name in frame.columns}
    return Stock(
        noun="column",
        headers=headers,
        read=lambda key: _column(frame[key].to_numpy(), key),
        roots=((path, (path,)),),
    )


def parquet_stock(path: Path) -> Stock:
    """The columns of a Parquet file, each read when it is asked for.

    Raises:
        FileError: it is missing or no such file, or pyarrow is not installed.
    """
    parquet = _optional("pyarrow.parquet", path)
    check_regular(path)
    try:
        with path.open("rb") as stream:
            file = parquet.ParquetFile(stream)
            schema, length = file.schema_arrow, file.metadata.num_rows
    except OSError as error:  # pyarrow's own errors are ValueErrors, its errors of reading OSErrors without a number
        if error.errno is not None:
            raise cannot_read(path, error) from error
        raise FileError(f"'{path}' is no Parquet file: {_said(error)}") from error
    except ValueError as error:
        raise FileError(f"'{path}' is no Parquet file: {_said(error)}") from error

    @cache
    def read(key: str) -> NDArray[Any]:
        return _column(parquet.read_table(path, columns=[key]).column(key).to_numpy(), key)

    headers = {column.name: _arrow_header(column.type, length) for column in schema}
    return Stock(noun="column", headers=headers, read=read, roots=((path, (path,)),))


def _optional(name: str, path: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise FileError(
            f"'{path}' is read by {package}, which is not installed", hint="pip install 'modelrecipe[data]'"
        ) from error


def _column_header(dtype: Any, length: int) -> Header:
    is_plain = isinstance(dtype, np.dtype) and dtype.kind in "biuf"
    return header_of("", (length,), dtype) if is_plain else Header(length=length, shape=(), dtype="string")


def _arrow_header(kind: Any, length: int) -> Header:
    try:
        return _column_header(np.dtype(kind.to_pandas_dtype()), length)
    except (NotImplementedError, TypeError):
        return Header(length=length, shape=(), dtype="string")


def _column(values: NDArray[Any], name: str) -> NDArray[Any]:
    """The values of a column: numbers, or texts without gaps.

    Raises:
        DataError: it holds something else.
    """
    if values.dtype.kind in "biuf":
        return values
    for number, value in enumerate(values):
        if not isinstance(value, str):
            what = "nothing" if value is None or value != value else type(value).__name__  # NaN stands for a gap
            hint = "fill it, or leave the row out" if what == "nothing" else "write numbers or texts"
            raise DataError(f"'{name}' holds {what} in row {number}", hint=hint)
    return np.asarray(values, dtype=object)


def _said(error: Exception) -> str:
    text = str(error).partition("\n")[0].rstrip(".")
    return text[:1].lower() + text[1:]
