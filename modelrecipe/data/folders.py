"""Folders of images: one sub-folder for each class, in the order of `keras.utils.image_dataset_from_directory`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelrecipe.data.kinds import CHANNELS
from modelrecipe.data.stock import Header, Stock
from modelrecipe.errors import DataError, FileError
from modelrecipe.files import cannot_read
from modelrecipe.measures import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelrecipe.data.kinds import ImageFolder

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_BEGINNINGS = (b"BM", b"GIF8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def listing(folder: Path, *, has_labels: bool = True) -> tuple[list[Path], NDArray[np.int32], tuple[str, ...]]:
    """The images below a folder, the number of each one's class, and the names of the classes.

    Args:
        folder: where they are.
        has_labels: whether sub-folders are classes; without, all images below the folder are taken.

    Raises:
        FileError: there is no such folder, or it has no sub-folder or no image.
    """
    try:
        inside = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        if isinstance(error, NotADirectoryError):
            raise FileError(f"'{folder}' is not a folder", hint="name the folder above those of the classes") from error
        raise cannot_read(folder, error) from error
    names = [name for name in inside if (folder / name).is_dir() and not name.startswith(".")] if has_labels else [""]
    if not names:
        raise FileError(f"'{folder}' has no sub-folders", hint="put the images of each class into one of its own")
    files: list[Path] = []
    labels: list[int] = []
    for number, name in enumerate(names):
        for root, _, members in sorted(os.walk(folder / name)):
            images = [Path(root, member) for member in sorted(members) if member.lower().endswith(EXTENSIONS)]
            files += images
            labels += [number] * len(images)
    if not files:
        raise FileError(f"'{folder}' has no images", hint="they end in " + ", ".join(EXTENSIONS))
    return files, np.asarray(labels, np.int32), tuple(names) if has_labels else ()


def image_stock(source: ImageFolder, folder: Path) -> Stock:
    """The images and labels of a folder, of which no image is decoded.

    Raises:
        FileError: see `listing`, or a file is no image.
        DataError: `label_mode: binary` without two classes.
    """
    root = folder / source.path
    files, labels, names = listing(root, has_labels=source.label_mode != "none")
    _refuse_others(files)
    if source.label_mode == "binary" and len(names) != 2:
        what = f"'{root}' has {counted(len(names), 'sub-folder')}, but two classes are asked for"
        raise DataError(what, hint="write label_mode: int", at=("label_mode",))
    shape = (*source.image_size, CHANNELS[source.color_mode])
    headers = {"x": Header(length=len(files), shape=shape, dtype="float32")}
    targets = targets_of(labels, source.label_mode, len(names))
    if source.label_mode != "none":
        headers["y"] = Header(length=len(files), shape=targets.shape[1:], dtype=targets.dtype.name)
    return Stock(headers=headers, read=lambda _: targets, roots=((root, tuple(files)),), class_names=names)


def targets_of(labels: NDArray[np.int32], mode: str, classes: int) -> NDArray[Any]:
    """The labels as `label_mode` wants them."""
    if mode == "categorical":
        return np.eye(classes, dtype=np.float32)[labels]
    return labels.astype(np.float32)[:, np.newaxis] if mode == "binary" else labels


def _refuse_others(files: list[Path]) -> None:
    """Refuse what only ends like an image, before hours of training meet it."""
    for path in files:
        try:
            with path.open("rb") as file:
                beginning = file.read(8)
        except OSError as error:
            raise cannot_read(path, error) from error
        if not beginning.startswith(_BEGINNINGS):
            what = "is empty" if not beginning else "is no BMP, GIF, JPEG or PNG image"
            raise FileError(f"'{path}' {what}", hint="remove it from the folder")
