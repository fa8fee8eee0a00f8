"""The model files that the benchmarks read: which there are, and where they stand. A child process makes them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from benchmarks.child import run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model with random weights.

    Args:
        path: where it stands; the name tells the size, so that a file which is there already can be taken.
        kind: what makes it, a function of `making.py`.
        size: number that goes to the function.
        application: name of a constructor of keras.applications, where one is called.
        layer: a layer with weights, for edits of one layer.
        swapped: class of the layers whose activation is changed.
    """

    path: Path
    kind: str
    size: int = 0
    application: str = ""
    layer: str = ""
    swapped: str = "Activation"

    @property
    def title(self) -> str:
        """What the table calls it."""
        return self.application or self.path.name


@dataclass(frozen=True, kw_only=True)
class Models:
    """All files of the table.

    Args:
        large: the file whose tensors are edited one by one.
        read: models that are planned and inspected.
        edited: models whose structure is changed.
        legacy: a file of Keras 2.
        weights: numbers alone; the architecture stands beside them as JSON.
    """

    large: ModelFile
    read: tuple[ModelFile, ...]
    edited: tuple[ModelFile, ...]
    legacy: ModelFile
    weights: ModelFile

    def all(self) -> list[ModelFile]:
        """Each file once."""
        return list(dict.fromkeys([self.large, *self.read, *self.edited, self.legacy, self.weights]))


def full_models(folder: Path, megabytes: int) -> Models:
    """Models of `keras.applications`, the largest of 1.4 GB, and chains of dense layers of the given size."""
    convnext = ModelFile(
        path=folder / "ConvNeXtXLarge.keras",
        kind="application",
        application="ConvNeXtXLarge",
        layer="convnext_xlarge_stage_2_block_10_pointwise_conv_1",
        swapped="Dense",
    )
    efficientnet, resnet = (
        ModelFile(path=folder / f"{name}.keras", kind="application", application=name)
        for name in ("EfficientNetV2L", "ResNet50")
    )
    return Models(
        large=convnext,
        read=(resnet, efficientnet),
        edited=(efficientnet, convnext),
        legacy=_dense(folder / f"dense-{megabytes}MB.h5", megabytes),
        weights=_dense(folder / f"dense-{megabytes}MB.weights.h5", megabytes),
    )


def short_models(folder: Path) -> Models:
    """The same with files of a few megabytes."""
    small = ModelFile(path=folder / "small.keras", kind="small", layer="dense_30")
    return Models(
        large=small,
        read=(small,),
        edited=(small,),
        legacy=_dense(folder / "dense-2MB.h5", 2),
        weights=_dense(folder / "dense-2MB.weights.h5", 2),
    )


def chain_of_layers(folder: Path, layers: int) -> ModelFile:
    """A chain of so many narrow dense layers."""
    return ModelFile(path=folder / f"chain-{layers}-layers.keras", kind="narrow_chain", size=layers)


def chain_of_megabytes(folder: Path, megabytes: int) -> ModelFile:
    """A chain of few dense layers with so many megabytes of weights."""
    return ModelFile(path=folder / f"chain-{megabytes}MB.keras", kind="wide_chain", size=megabytes)


def _dense(path: Path, megabytes: int) -> ModelFile:
    return ModelFile(path=path, kind="dense", size=megabytes)


def make(files: Iterable[ModelFile]) -> None:
    """Make what is not there yet, in one process."""
    missing = [asdict(file) | {"path": str(file.path)} for file in files if not file.path.exists()]
    if missing:
        run([sys.executable, "-m", "benchmarks.making", json.dumps(missing)])
