"""Packs a `.keras` file that was written as a folder; what Keras itself does in memory. Knows no layers."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from modelrecipe.formats.extent import Extent
from modelrecipe.formats.keras_zip.reading import CONFIG, METADATA, WEIGHTS
from modelrecipe.formats.keras_zip.zip_writing import StoredZip
from modelrecipe.formats.rewriting import Rewriting
from modelrecipe.new_file import NewFile

if TYPE_CHECKING:
    from pathlib import Path

    from modelrecipe.formats.passing import Passed


def pack(folder: Path, target: Path) -> list[Passed]:
    """Write the files of a folder as a zip, in the order of Keras, and say what tensors passed by.

    Args:
        folder: holds `config.json`, `metadata.json`, `model.weights.h5` and, where layers have any, `assets`.
        target: the new file.
    """
    files = sorted(item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file())
    first = [METADATA, CONFIG, WEIGHTS]
    with (
        Rewriting().applied(Extent.whole(folder / WEIGHTS), folder) as prepared,
        NewFile(target) as file,
    ):
        archive = StoredZip(file)
        passed: list[Passed] = []
        for name in [*first, *(name for name in files if name not in first)]:
            like = prepared.start if name == WEIGHTS else None
            with archive.member(name, (folder / name).stat().st_size, like=like) as member:
                if name == WEIGHTS:
                    streamed = prepared.write(file)
                    member.add(streamed.size, streamed.crc)
                    passed = streamed.passed
                else:
                    with (folder / name).open("rb") as content:
                        shutil.copyfileobj(content, member, 1 << 20)
        archive.close()
    return passed
