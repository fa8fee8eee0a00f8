"""`.keras` files of Keras 3: a zip of `config.json`, `metadata.json`, `model.weights.h5` and assets.

Reads them without Keras and without unpacking: headers in one pass, numbers when asked. Files are written by
`keras_zip_writing`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelrecipe.checkpoint import Checkpoint, Origin
from modelrecipe.errors import FileError
from modelrecipe.formats.hdf5_tensors import Group, open_hdf5, read_tree
from modelrecipe.formats.keras_groups import OPTIMIZER, Bound, bind
from modelrecipe.formats.repairs import mend_config, mend_document
from modelrecipe.formats.repairs.repair import Writer
from modelrecipe.formats.zip_members import locate_member, open_zip, read_member
from modelrecipe.keras_config import read_model

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Mapping
    from pathlib import Path

    from modelrecipe.formats.extent import Extent
    from modelrecipe.graph import Layer

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
ASSETS = "assets/"
_LARGEST_JSON = 1 << 28
_OF_KERAS_2 = "_layer_checkpoint_dependencies"


@dataclass(frozen=True, kw_only=True)
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
    with open_zip(path) as archive:
        names = archive.namelist()
        _check_members(path, names)
        config = _read_json(archive, CONFIG, path)
        metadata = _read_json(archive, METADATA, path) if METADATA in names else {}
        extent = locate_member(archive, WEIGHTS, path)
    root, has_optimizer_state = _read_weights(extent)
    writer = Writer.of(metadata.get("keras_version"))
    mended, applied = mend_config(config, writer) if mends else (config, ())
    try:
        model = read_model(mended)
    except FileError as error:
        raise FileError(f"'{path}': {error.message}", hint=error.hint) from error
    try:
        bound = bind(model, root)
    except FileError as error:
        raise FileError(f"'{path}' {error.message}", hint=error.hint) from error
    assets = tuple(name for name in names if name.startswith(ASSETS) and not name.endswith("/"))
    origin = Origin(
        path=path,
        format="keras_zip",
        writer=f"Keras {metadata['keras_version']}" if "keras_version" in metadata else None,
        compile_config=config.get("compile_config") or None,
        has_optimizer_state=has_optimizer_state,
        assets=tuple(name.removeprefix(ASSETS) for name in assets),
        asset_layers=_assets_of_layers(assets, bound),
    )
    checkpoint = Checkpoint(model=model, weights=bound.weights, origin=origin, inner=bound.inner)
    return KerasZip(
        path=path,
        config=config,
        model=model,
        extent=extent,
        has_optimizer_state=has_optimizer_state,
        bound=bound,
        checkpoint=mend_document(checkpoint, writer, applied) if mends else checkpoint,
    )


def _check_members(path: Path, names: list[str]) -> None:
    if CONFIG not in names:
        raise FileError(f"'{path}' is a zip, but no Keras model: it holds no '{CONFIG}'")
    if WEIGHTS not in names:
        raise FileError(f"'{path}' is a zip, but no Keras model: it holds no '{WEIGHTS}'")


def _read_json(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, Any]:
    content = read_member(archive, name, _LARGEST_JSON)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FileError(f"'{path}': '{name}' in it is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise FileError(f"'{path}': '{name}' in it is not a JSON object")
    return data


def _read_weights(extent: Extent) -> tuple[Group, bool]:
    with open_hdf5(extent) as handle:
        root = read_tree(handle, extent, skip=(OPTIMIZER,))
        has_optimizer_state = OPTIMIZER in handle
    if any(name.startswith(_OF_KERAS_2) for name in root.groups):
        raise FileError(
            f"'{extent.file}' keeps its weights as Keras 2.12 to 2.15 did ('{_OF_KERAS_2}'), which is not read",
            hint="save it again with Keras 3",
        )
    return root, has_optimizer_state


def _assets_of_layers(assets: tuple[str, ...], bound: Bound) -> dict[str, dict[str, str]]:
    """Each asset under the key of the layer whose folder it lies in, the innermost one."""
    folders = {group.path: key for key, group in bound.groups.items() if group.path}
    owned: dict[str, dict[str, str]] = {}
    for member in assets:
        path = member.removeprefix(ASSETS)
        parents = [path[:end] for end, letter in enumerate(path) if letter == "/"]
        folder = next((parent for parent in reversed(parents) if parent in folders), None)
        key, inner = (folders[folder], path[len(folder) + 1 :]) if folder else ("", path)
        owned.setdefault(key, {})[path] = inner
    return owned
