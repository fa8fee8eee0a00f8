"""Model files: recognise them by content, read them as documents, and write edited documents in the same layout.

One file per container; none of them needs Keras. What has no layout to keep (a restructured graph, another container)
is written by Keras, elsewhere.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING

from modelrecipe.errors import FileError, did_you_mean
from modelrecipe.files import beginning
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5.tree import tree_of
from modelrecipe.formats.keras_zip import reading as keras_zip
from modelrecipe.formats.keras_zip.beside import ALONE, IN_SHARDS, is_whole
from modelrecipe.formats.keras_zip.groups import OPTIMIZER, bind
from modelrecipe.formats.keras_zip.shard_plan import ENDING
from modelrecipe.formats.tensorflow import MODEL_FILE, SAVED_MODEL, TFSM, is_saved_model
from modelrecipe.formats.tensorflow.prefix import is_bundle, is_bundle_part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.passing import Passed
    from modelrecipe.graph import Layer
    from modelrecipe.weights import Weights

    Rewriter = Callable[[Checkpoint, Path, Path], list[Passed]]

_ZIP = b"PK"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_RECIPE = re.compile(rb"^(version|steps)[ \t]*:", re.MULTILINE)
_BEGINNING = 2**16
_NAMES = {"keras": "a Keras zip", "h5": "HDF5", SAVED_MODEL: "a SavedModel directory"}
_CONTAINERS = {TFSM: SAVED_MODEL}
_READERS = ("keras", "h5", SAVED_MODEL, TFSM)
_SPREAD = "weights_json"
_BESIDE = (ALONE, IN_SHARDS)


def _rewriter(module: str, name: str) -> Rewriter:
    """What writes a document without Keras; imported when it does, because who only reads can do without it."""

    def write(checkpoint: Checkpoint, origin: Path, target: Path) -> list[Passed]:
        return getattr(import_module(f"{__name__}.{module}"), name)(checkpoint, origin, target)

    return write


_REWRITERS: Mapping[tuple[str, str], Rewriter] = {
    ("keras_zip", "keras"): _rewriter("keras_zip.writing", "rewrite"),
    ("keras_zip", "weights_h5"): _rewriter("keras_zip.writing", "rewrite_weights"),
    ("hdf5", "h5"): _rewriter("hdf5.writing", "rewrite"),
    **{(origin, "keras"): _rewriter("keras_zip.weights_writing", "rewrite_model") for origin in _BESIDE},
    **{(origin, "weights_h5"): _rewriter("keras_zip.weights_writing", "rewrite_weights") for origin in _BESIDE},
}
"""For the format that a document came from, and the one that it is written in."""

FORMATS = ("keras", "h5", "weights_h5", "weights_json")
"""What a recipe may write: a whole model as a zip or as HDF5, or the weights alone, in one file or in shards."""

WEIGHTS_ALONE = ("weights_h5", "weights_json")
"""Those without architecture."""


def read_checkpoint(path: Path, format: str | None = None, *, mends: bool = True) -> Checkpoint:
    """The model in a file, as a document: headers are read now, numbers when they are asked for.

    Args:
        path: the file. Its suffix says nothing; its content does.
        format: `keras` or `h5`, where the content is not to decide.
        mends: whether what older versions of Keras wrote is repaired; see `formats.repairs`.

    Raises:
        FileError: the file is missing, damaged, unsafe, or no whole Keras model.
    """
    if format is not None and format not in _READERS:
        known = ", ".join(f"'{name}'" for name in _READERS)
        raise FileError(f"format '{format}' cannot be read; known are {known}", hint=did_you_mean(format, _READERS))
    found = _sniff(path, is_decided=format is not None)
    if format is not None and found not in (None, _CONTAINERS.get(format, format)):
        raise FileError(f"'{path}' is {_NAMES[found]}, but '{format}' is asked for", hint="leave 'format' out")
    return _reader(format or found)(path, mends=mends)


def _reader(format: str) -> Callable[..., Checkpoint]:
    """The reader of a format; what is needed for few files is imported for them."""
    if format in (SAVED_MODEL, TFSM):
        from modelrecipe.formats.tensorflow import saved_model, tfsm

        return saved_model.read if format == SAVED_MODEL else tfsm.read
    if format == "h5":
        from modelrecipe.formats.hdf5 import reading

        return reading.read
    return keras_zip.read


def read_weights(path: Path, model: Layer) -> Weights:
    """The tensors in a `.weights.h5` file of Keras 3, or in the shards of a list, under the keys of their model.

    Raises:
        FileError: the file is damaged, or its groups do not fit the model.
    """
    if path.name.endswith(ENDING):
        from modelrecipe.formats.keras_zip import shards

        return bind(model, shards.read(path)[0]).weights
    return bind(model, tree_of(Extent.whole(path), {OPTIMIZER})).weights


def _sniff(path: Path, *, is_decided: bool) -> str:
    """The format that the first bytes tell."""
    if path.is_dir():
        return _directory(path)
    if path.name == MODEL_FILE and is_saved_model(path.parent):
        raise FileError(f"'{path}' is a part of a SavedModel", hint=f"name its directory '{path.parent}'")
    if is_bundle_part(path):
        raise _weights_only(path)
    start = beginning(path, _BEGINNING)
    if not start:
        raise FileError(f"'{path}' is empty")
    if start.startswith(_ZIP):
        return "keras"
    if start.startswith(_HDF5):
        return "h5"
    if _RECIPE.search(start):
        hint = f"a recipe takes its steps in with 'include: {path.name}'"
        raise FileError(f"'{path}' is a recipe, not a model", hint=hint)
    raise FileError(f"'{path}' is neither a Keras zip nor HDF5; it begins with {start[:8]!r}")


def _directory(path: Path) -> str:
    if is_saved_model(path):
        return SAVED_MODEL
    if (path / keras_zip.CONFIG).exists():
        return "keras"
    if is_bundle(path):
        raise _weights_only(path)
    raise FileError(f"'{path}' is a directory, not a model file")


def _weights_only(path: Path) -> FileError:
    return FileError(
        f"'{path}' holds a TensorFlow checkpoint: weights only, no architecture",
        hint="name it under 'weights' beside an 'architecture'",
    )


def can_rewrite(checkpoint: Checkpoint, format: str) -> bool:
    """Whether `rewrite` can write the checkpoint: it says what the file says that it came from, of a kin format."""
    origin = checkpoint.origin
    if origin is None or origin.repairs or checkpoint.is_restructured:
        return False
    is_beside = origin.format in _BESIDE
    if format == _SPREAD:
        return is_beside or origin.format == "keras_zip"
    if format == "keras" and is_beside and not is_whole(checkpoint.model):
        return False
    return (origin.format, format) in _REWRITERS


def rewrite(checkpoint: Checkpoint, target: Path, format: str) -> list[Passed]:
    """Write the checkpoint in the layout of the file it was read from, and say what passed by, with digests.

    Everything that no step edited is copied byte for byte. The file at `target` is written in place: wrap the call in
    `atomic_output`, and do not name the origin itself.

    Raises:
        FileError: the origin changed since it was read, is damaged, or `can_rewrite` says no.
    """
    origin = checkpoint.origin
    if origin is None or not can_rewrite(checkpoint, format):
        raise FileError(f"the model cannot be written as '{format}' without building it first")
    return _REWRITERS[origin.format, format](checkpoint, origin.path, target)


def rewrite_in_shards(checkpoint: Checkpoint, target: Path, limit: int) -> dict[Path, list[Passed]]:
    """Write the weights of the checkpoint as shards beside the list `target`; says what passed by into which.

    Args:
        checkpoint: an edited document.
        target: the list, which is written last. Its shards are written in place too, see `shard_set`.
        limit: bytes of numbers in a shard at most.

    Raises:
        FileError: the origin changed since it was read, is damaged, or `can_rewrite` says no.
        LanguageError: the variables of a layer do not fit one shard.
    """
    origin = checkpoint.origin
    if origin is None or not can_rewrite(checkpoint, _SPREAD):
        raise FileError(f"the model cannot be written as '{_SPREAD}' without building it first")
    from modelrecipe.formats.keras_zip.shard_writing import write_shards
    from modelrecipe.formats.keras_zip.weights_writing import tree_of_weights

    return write_shards(tree_of_weights(checkpoint, origin.path), target, limit)


def split(weights: Path, model: Layer, target: Path, limit: int) -> dict[Path, list[Passed]]:
    """Spread a `.weights.h5` file that Keras wrote of a model over shards; see `rewrite_in_shards`."""
    from modelrecipe.formats.keras_zip.shard_writing import write_shards
    from modelrecipe.formats.keras_zip.weights_writing import whole_file

    return write_shards(whole_file(model, weights), target, limit)
