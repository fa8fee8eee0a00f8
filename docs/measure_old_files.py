"""Count what plain Keras opens of a folder of model files, and what this package opens, both with the numbers compared.

    python docs/measure_old_files.py FOLDER

Beside the files may stand `golden/<file>.npz` with inputs `x0`, ... and the outputs `y0`, ... that the files' own Keras
gave. Prints a Markdown table and the sums.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}

import keras
import numpy as np

from modelrecipe.conversion import conversion_recipe
from modelrecipe.errors import Problems, RecipeError
from modelrecipe.inspection import inspect_file
from modelrecipe.run import run_recipe

TOLERANCE = 1.5e-5


def compared(model: Any, source: Path) -> str:
    """`right` or how far off, against the outputs that are at hand."""
    golden = source.parent / "golden" / f"{source.name}.npz"
    if not golden.exists():
        return "opens"
    with np.load(golden) as stored:
        given = [stored[key].astype("float32") for key in sorted(stored) if key.startswith("x")]
        found = keras.tree.flatten(model(given if len(given) > 1 else given[0], training=False))
        off = max(float(np.abs(np.asarray(one) - stored[f"y{number}"]).max()) for number, one in enumerate(found))
    return "right" if off <= TOLERANCE else f"off by {off:.2g}"


def by_keras(source: Path) -> str:
    """What becomes of a file in plain Keras."""
    try:
        return compared(keras.saving.load_model(source, compile=False), source)
    except Exception as error:  # whatever Keras says against the file is the result
        return type(error).__name__


def by_recipe(source: Path, folder: Path) -> str:
    """What becomes of it after `convert`, again in plain Keras."""
    target = folder / f"{source.name}.keras"
    recipe, _ = conversion_recipe(source, target)
    try:
        run_recipe(recipe)
    except RecipeError as error:
        first = error.problems[0] if isinstance(error, Problems) else error
        return "refused: " + first.message.partition(",")[0]
    return compared(keras.saving.load_model(target, compile=False), source)


def main() -> None:
    """Print the table of a folder."""
    keras.utils.disable_interactive_logging()
    folder = Path(sys.argv[1])
    rows: list[tuple[str, str, str, str]] = []
    for source in sorted(folder.iterdir()):
        is_model = source.suffix in (".h5", ".hdf5", ".keras") or (source / "saved_model.pb").exists()
        if not is_model:
            continue
        found = inspect_file(source)
        with tempfile.TemporaryDirectory(prefix="modelrecipe-") as place:
            ours = "weights only" if found.kind == "weights" else by_recipe(source, Path(place))
        rows.append((source.name, found.writer or "?", by_keras(source), ours))
    print("| file | written by | plain Keras | modelrecipe |\n| --- | --- | --- | --- |")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    whole = [row for row in rows if row[3] != "weights only"]
    for title, column in (("plain Keras", 2), ("modelrecipe", 3)):
        good = sum(row[column] in ("right", "opens") for row in whole)
        print(f"{title}: {good} of {len(whole)} whole models, {len(rows) - len(whole)} files of weights beside them")


if __name__ == "__main__":
    main()
