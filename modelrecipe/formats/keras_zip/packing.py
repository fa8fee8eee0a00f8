"""Packs a `.keras` file that was written as a folder; what Keras itself does in memory. Fills gaps; knows no layers."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from typing import TYPE_CHECKING

from modelrecipe.formats.extent import Extent
from modelrecipe.formats.gathering import Gathered
from modelrecipe.formats.keras_zip.reading import CONFIG, METADATA, WEIGHTS
from modelrecipe.formats.keras_zip.zip_writing import StoredZip
from modelrecipe.formats.rewriting import Rewriting
from modelrecipe.new_file import NewFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from modelrecipe.formats.gathering import Part
    from modelrecipe.formats.passing import Passed
    from modelrecipe.formats.rewriting import Prepared


def pack(folder: Path, target: Path, parts: Sequence[Part] = ()) -> list[Passed]:
    """Write the files of a folder as a zip, in the order of Keras, and say what tensors passed by.

    Args:
        folder: holds `config.json`, `metadata.json`, `model.weights.h5` and, where layers have any, `assets`.
        target: the new file.
        parts: what goes into gaps that were left in the weights; without any, all numbers stand there.
    """
    files = sorted(item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file())
    first = [METADATA, CONFIG, WEIGHTS]
    with _weights(folder / WEIGHTS, parts) as prepared, NewFile(target) as file:
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


def fill(weights: Path, target: Path, parts: Sequence[Part]) -> list[Passed]:
    """Write a file of weights with what goes into its gaps, and say what tensors passed by.

    Args:
        weights: as Keras wrote it.
        target: the new file.
        parts: what goes into gaps that were left; without any, all numbers stand there.
    """
    with _weights(weights, parts) as prepared, NewFile(target) as file:
        return prepared.write(file).passed


def _weights(file: Path, parts: Sequence[Part]) -> AbstractContextManager[Prepared | Gathered]:
    """The file of weights, ready to be written; with gaps, what Keras did write is part of what lies around them."""
    whole = Extent.whole(file)
    return nullcontext(Gathered(base=whole, parts=parts)) if parts else Rewriting().applied(whole, file.parent)
