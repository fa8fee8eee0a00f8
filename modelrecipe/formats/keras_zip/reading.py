"""`.keras` files of Keras 3: a zip of `config.json`, `metadata.json`, `model.weights.h5` and assets.

Reads them without Keras and without unpacking: headers in one pass, numbers when asked. Files are written by
`keras_zip.writing`.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from modelrecipe.checkpoint import Checkpoint, Origin
from modelrecipe.errors import FileError
from modelrecipe.formats import json_text
from modelrecipe.formats.hdf5.tree import names_of, tree_of
from modelrecipe.formats.json_text import read_object
from modelrecipe.formats.keras_zip.groups import OPTIMIZER, Bound, bind
from modelrecipe.formats.keras_zip.members import open_members
from modelrecipe.formats.keras_zip.zip_members import read_member
from modelrecipe.formats.mending import mend_config, mend_document, mend_groups
from modelrecipe.formats.repair import Writer
from modelrecipe.frozen import frozen
from modelrecipe.identity import cached_by_identity
from modelrecipe.keras_config import read_model

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from modelrecipe.formats.extent import Extent
    from modelrecipe.formats.hdf5.tensors import Group
    from modelrecipe.formats.keras_zip.members import Members
    from modelrecipe.graph import Layer

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
ASSETS = "assets/"
FOLDER = "keras_folder"
"""The format of a `.keras` file that was unzipped."""


@frozen
class KerasZip:
    """What a `.keras` file holds.

    Args:
        path: the file.
        config: the content of `config.json`.
        model: what `config` describes.
        extent: where the weight file lies.
        has_optimizer_state: whether the weight file has an optimizer's variables.
        bound: groups and tensors of each layer.
        checkpoint: all of it as a document.
    """

    path: Path
    config: Mapping[str, Any]
    model: Layer
    extent: Extent
    has_optimizer_state: bool
    bound: Bound
    checkpoint: Checkpoint


def read(path: Path, *, mends: bool = True) -> Checkpoint:
    """The model in a `.keras` file.

    Args:
        path: the file.
        mends: whether what older versions of Keras wrote is repaired.

    Raises:
        FileError: the file is damaged, refused as unsafe, or no model of Keras.
    """
    return open_model(path, mends=mends).checkpoint


def open_model(path: Path, *, mends: bool = False) -> KerasZip:
    """Everything about a `.keras` file that its writer needs to know; see `read`."""
    with open_members(path) as members:
        names = members.names
        _check_members(path, names)
        text = members.read(CONFIG, json_text.LARGEST)
        with _named(f"'{path}': "):
            config = _configuration(text)
        metadata = _object_in(members, METADATA, path) if METADATA in names else {}
        extent = members.locate(WEIGHTS)
    root, has_optimizer_state = _read_weights(extent)
    version = metadata.get("keras_version")
    writer = Writer.of(version if isinstance(version, str) else None)
    with _named(f"'{path}' "):
        root, moved, regrouped = mend_groups(config, root, writer, mends=mends)
    with _named(f"'{path}': "):
        mended, applied = mend_config(config, writer) if mends else (config, ())
        model = _model_of(mended)
    with _named(f"'{path}' "):
        bound = bind(model, root)
    assets = tuple(name for name in names if name.startswith(ASSETS) and not name.endswith("/"))
    origin = Origin(
        path=path,
        format=FOLDER if path.is_dir() else "keras_zip",
        writer=f"Keras {version}" if isinstance(version, str) else None,
        compile_config=config.get("compile_config") or None,
        has_optimizer_state=has_optimizer_state,
        assets=tuple(name.removeprefix(ASSETS) for name in assets),
        asset_layers=_assets_of_layers(assets, bound, moved),
    )
    checkpoint = Checkpoint(model=model, weights=bound.weights, origin=origin, inner=bound.inner)
    return KerasZip(
        path=path,
        config=config,
        model=model,
        extent=extent,
        has_optimizer_state=has_optimizer_state,
        bound=bound,
        checkpoint=mend_document(checkpoint, writer, regrouped + applied) if mends else checkpoint,
    )


def _check_members(path: Path, names: list[str]) -> None:
    kind = "directory" if path.is_dir() else "zip"
    if CONFIG not in names:
        raise FileError(f"'{path}' is a {kind}, but no Keras model: it holds no '{CONFIG}'")
    if WEIGHTS not in names:
        raise FileError(f"'{path}' is a {kind}, but no Keras model: it holds no '{WEIGHTS}'")


def _object_in(members: Members, name: str, path: Path) -> dict[str, Any]:
    return read_object(members.read(name, json_text.LARGEST), f"'{path}': '{name}' in it")


def read_json(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, Any]:
    """The JSON object in a member of the zip at `path`.

    Raises:
        FileError: the member is refused as unsafe, or no JSON object.
    """
    return read_object(read_member(archive, name, json_text.LARGEST), f"'{path}': '{name}' in it")


# A file that was written with the configuration of another one is opened right after it.
_model_of = cached_by_identity(maxsize=2)(read_model)


@lru_cache(maxsize=2)
def _configuration(content: bytes) -> dict[str, Any]:
    return read_object(content, f"'{CONFIG}' in it")


def _read_weights(extent: Extent) -> tuple[Group, bool]:
    has_optimizer_state = OPTIMIZER in names_of(extent)
    return tree_of(extent, {OPTIMIZER} if has_optimizer_state else ()), has_optimizer_state


@contextmanager
def _named(start: str) -> Iterator[None]:
    """Puts the file's name before what is refused."""
    try:
        yield
    except FileError as error:
        raise FileError(f"{start}{error.message}", hint=error.hint) from error


def _assets_of_layers(assets: tuple[str, ...], bound: Bound, moved: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Each asset under the key of the layer whose folder it lies in, the innermost one."""
    folders = {moved.get(group.path, group.path): key for key, group in bound.groups.items() if group.path}
    owned: dict[str, dict[str, str]] = {}
    for member in assets:
        path = member.removeprefix(ASSETS)
        parents = [path[:end] for end, letter in enumerate(path) if letter == "/"]
        folder = next((parent for parent in reversed(parents) if parent in folders), None)
        key, inner = (folders[folder], path[len(folder) + 1 :]) if folder else ("", path)
        owned.setdefault(key, {})[path] = inner
    return owned
