"""Architectures without weights: what `model.to_json()` and `model.to_yaml()` of every Keras wrote, or a model file's.

Gives the configuration as Keras 3 reads it, with the repairs that took; numbers come from elsewhere.
"""

from __future__ import annotations

import json
import re
from dataclasses import field
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import FileError
from modelrecipe.files import read_bytes
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5 import reading as hdf5
from modelrecipe.formats.hdf5.opening import as_text, open_hdf5
from modelrecipe.formats.keras_zip import reading as keras_zip
from modelrecipe.formats.keras_zip.zip_members import open_zip
from modelrecipe.formats.mending import mend_config
from modelrecipe.formats.repair import Writer
from modelrecipe.frozen import frozen
from modelrecipe.keras_config import read_model
from modelrecipe.source.foreign import read_foreign

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from modelrecipe.checkpoint import Mended
    from modelrecipe.graph import Layer

_LARGEST = 1 << 27
_ZIP = b"PK"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_RECIPE = re.compile(rb"^(version|steps)[ \t]*:", re.MULTILINE)
_AROUND = ("modelTopology", "model_config")
"""Keys under which other programs wrap what Keras wrote."""


@frozen
class Architecture:
    """A model without numbers.

    Args:
        model: as Keras 3 reads it.
        writer: what wrote it.
        config: the configuration before any repair; the groups of old weight files go by its classes.
        applied: the repairs that its configuration took.
        keras: the version of Keras that the file names; None where it names none.
    """

    model: Layer
    writer: Writer = field(default_factory=Writer)
    config: Mapping[str, Any] | None = None
    applied: tuple[Mended, ...] = ()
    keras: str | None = None


def is_recipe(path: Path) -> bool:
    """Whether a file is a recipe, by the keys that every recipe has."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(2**16)
    return not start.startswith((_ZIP, _HDF5)) and _RECIPE.search(start) is not None


def read_architecture(path: Path, *, mends: bool = True) -> Architecture:
    """The architecture in a JSON, YAML or model file.

    Args:
        path: the file; its content decides what it is.
        mends: whether what older versions of Keras wrote is repaired.

    Raises:
        FileError: the file is missing or damaged, or describes no model by its layers.
    """
    config, version, backend = _read(path)
    is_of_keras_3 = version is None and "module" in config
    writer = Writer.of("3" if is_of_keras_3 else version, backend)
    try:
        mended, applied = mend_config(config, writer) if mends else (dict(config), ())
        model = read_model(mended)
    except FileError as error:
        raise FileError(f"'{path}': {error.message}", hint=error.hint) from error
    if model.graph is None:
        raise FileError(
            f"'{path}' lists no layers: '{model.class_name}' is a subclassed model, of which only code knows more",
            hint="load a whole model file",
        )
    return Architecture(model=model, writer=writer, config=config, applied=applied, keras=version)


def _read(path: Path) -> tuple[Mapping[str, Any], str | None, str | None]:
    """The configuration, and the version and backend of Keras that stand beside it."""
    content = b"" if path.is_dir() else _beginning(path)
    if content.startswith(_ZIP):
        with open_zip(path) as archive:
            names = archive.namelist()
            if keras_zip.CONFIG not in names:
                raise FileError(f"'{path}' is a zip, but no Keras model: it holds no '{keras_zip.CONFIG}'")
            config = keras_zip.read_json(archive, keras_zip.CONFIG, path)
            metadata = keras_zip.read_json(archive, keras_zip.METADATA, path) if keras_zip.METADATA in names else {}
        return config, metadata.get("keras_version"), None
    if content.startswith(_HDF5):
        return _of_hdf5(path)
    data = _parsed(path, read_bytes(path, _LARGEST))
    version, backend = data.get("keras_version"), data.get("backend")
    for key in _AROUND:
        if isinstance(data.get(key), dict):
            data = data[key]
            version, backend = version or data.get("keras_version"), backend or data.get("backend")
    if not isinstance(data.get("class_name"), str):
        raise FileError(f"'{path}' describes no Keras model: it has no 'class_name'")
    return data, version if isinstance(version, str) else None, backend if isinstance(backend, str) else None


def _beginning(path: Path) -> bytes:
    with Extent.whole(path).open() as file:
        return file.read(len(_HDF5))


def _of_hdf5(path: Path) -> tuple[Mapping[str, Any], str | None, str | None]:
    with open_hdf5(Extent.whole(path)) as handle:
        found = {
            name: as_text(handle.attrs[name])
            for name in (hdf5.CONFIG, "keras_version", "backend")
            if name in handle.attrs
        }
    if hdf5.CONFIG not in found:
        raise FileError(f"'{path}' is HDF5, but holds no architecture: it has no attribute '{hdf5.CONFIG}'")
    config = _parsed(path, found[hdf5.CONFIG].encode())
    return config, found.get("keras_version"), found.get("backend")


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    text = content.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FileError(f"'{path}' is not JSON ({error})") from error
    else:
        try:
            data = read_foreign(text)
        except FileError as error:
            raise FileError(f"'{path}' is neither a model file nor JSON, and {error.message}") from error
    if not isinstance(data, dict):
        raise FileError(f"'{path}' describes no Keras model: it is no mapping")
    return data
