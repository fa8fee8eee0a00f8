"""Write an edited `.keras` file in the layout of the one it was read from, without Keras.

Tensors that no step edited are copied byte for byte. Equal content gives equal files: members are stored uncompressed
in the old order, with a fixed date.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from modelrecipe.formats.keras_zip.groups import OPTIMIZER
from modelrecipe.formats.keras_zip.reading import CONFIG, WEIGHTS, KerasZip, open_model
from modelrecipe.formats.keras_zip.zip_members import check_member, open_zip
from modelrecipe.formats.keras_zip.zip_writing import StoredZip
from modelrecipe.formats.rewriting import Rewriting
from modelrecipe.formats.same_layout import changed_tensors, has_other_flags, renamed_layers
from modelrecipe.keras_config import write_model
from modelrecipe.new_file import NewFile

if TYPE_CHECKING:
    import zipfile
    from pathlib import Path

    import h5py

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.passing import Passed
    from modelrecipe.weights import Tensor


COMPILED = "compile_config"


def rewrite(checkpoint: Checkpoint, origin: Path, target: Path) -> list[Passed]:
    """Write the checkpoint read from `origin` as a `.keras` file, and say what passed by.

    The optimizer's variables are left out when a layer was frozen or unfrozen, because they belong to the variables
    that were trainable then; the compile configuration stays.

    Raises:
        FileError: `origin` changed since, is damaged, or has no room for a tensor.
    """
    source = open_model(origin)
    is_uncompiled = COMPILED in source.model.extra and COMPILED not in checkpoint.model.extra
    drops = is_uncompiled or has_other_flags(source.model, checkpoint.model)
    config = None if checkpoint.model == source.model else _config(checkpoint, source)
    passed: list[Passed] = []
    rewriting = _rewriting(checkpoint, source, drops_optimizer=drops)
    with (
        rewriting.applied(source.extent, target.parent) as prepared,
        open_zip(origin) as old,
        NewFile(target) as file,
    ):
        new = StoredZip(file)
        for name in dict.fromkeys(old.namelist()):
            if name == WEIGHTS:
                with new.member(name, prepared.base.size, like=prepared.start) as member:
                    streamed = prepared.write(file)
                    member.add(streamed.size, streamed.crc)
                    passed = streamed.passed
            elif name == CONFIG and config is not None:
                with new.member(name, len(config)) as member:
                    member.write(config)
            else:
                _copy_member(old, new, name)
        new.close()
    return passed


def rewrite_weights(checkpoint: Checkpoint, origin: Path, target: Path) -> list[Passed]:
    """Write the weights of the checkpoint read from `origin` as a `.weights.h5` file, without the optimizer's.

    Raises:
        FileError: `origin` changed since, is damaged, or has no room for a tensor.
    """
    source = open_model(origin)
    rewriting = _rewriting(checkpoint, source, drops_optimizer=True)
    with rewriting.applied(source.extent, target.parent) as prepared, NewFile(target) as file:
        return prepared.write(file).passed


def edits_of(checkpoint: Checkpoint, source: KerasZip) -> tuple[dict[str, Tensor], dict[str, str]]:
    """New numbers under the paths of datasets, and new names of layers under the paths of the groups that note them.

    Raises:
        FileError: the file changed since the tensors were read, or has no room for one.
    """
    groups, is_opaque = source.bound.groups, source.model.graph is None
    edited: dict[str, Tensor] = {}
    for key, tensor in changed_tensors(checkpoint, source.bound.weights):
        folder = "" if is_opaque else groups[key].path
        edited[f"{folder}/{tensor.slot}" if folder else tensor.slot] = tensor
    labels = {
        groups[key].groups["vars"].path: new
        for key, (_, new) in renamed_layers(source.model, checkpoint.model).items()
        if key in groups and "vars" in groups[key].groups
    }
    return edited, labels


def _rewriting(checkpoint: Checkpoint, source: KerasZip, *, drops_optimizer: bool) -> Rewriting:
    edited, labels = edits_of(checkpoint, source)

    def relabel(handle: h5py.File) -> None:
        for path, name in labels.items():
            handle[path].attrs["name"] = name

    return Rewriting(
        edited=edited,
        dropped=frozenset({OPTIMIZER} if drops_optimizer and source.has_optimizer_state else ()),
        changes=(relabel,) if labels else (),
    )


def _config(checkpoint: Checkpoint, source: KerasZip) -> bytes:
    config = {**source.config, **write_model(checkpoint.model)}
    if COMPILED not in checkpoint.model.extra:
        config.pop(COMPILED, None)
    return json.dumps(config).encode()


def _copy_member(old: zipfile.ZipFile, new: StoredZip, name: str) -> None:
    info = old.getinfo(name)
    check_member(old, info)
    with old.open(info) as content, new.member(name, info.file_size) as member:
        shutil.copyfileobj(content, member, 1 << 20)
