"""Recipes as a user writes them: put into a folder, carried out there, and looked at with plain Keras."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import keras

from modelrecipe import Outcome, Recipe, RecipeError, load_recipe

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pytest

SOURCE, OUTPUT = "m.keras", "out.keras"


def write_recipe(folder: Path, *steps: str, head: str = "", name: str = "recipe.yaml") -> Recipe:
    """A recipe of these steps, each in the flow style, as `freeze: {layers: conv}`; the first stands in line 3."""
    lines = ["version: 1", *([head] if head else []), "steps:", *(f"  - {step}" for step in steps), ""]
    path = folder / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return load_recipe(path)


def run(folder: Path, *steps: str, head: str = "", **options: Any) -> Outcome:
    """Carry out these steps on what stands in the folder."""
    return write_recipe(folder, *steps, head=head).run(**options)


def edit(folder: Path, model: keras.Model, *steps: str, head: str = "") -> keras.Model:
    """The model after these steps, stored and loaded again by plain Keras. May be called again in one folder."""
    model.save(folder / SOURCE)
    run(folder, f"load: {SOURCE}", *steps, f"save: {{path: {OUTPUT}, force: true}}", head=head)
    return load(folder / OUTPUT)


def load(path: Path) -> keras.Model:
    """The model as plain Keras loads it; that a fresh optimizer has no stored state is no news."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        return keras.saving.load_model(path)


def refuse(folder: Path, *steps: str, head: str = "", **options: Any) -> RecipeError:
    """What a run of these steps refuses with; fails when it does not, or when it writes anything at all."""
    return _refused(lambda: run(folder, *steps, head=head, **options), folder)


def refuse_plan(folder: Path, *steps: str, head: str = "", **options: Any) -> RecipeError:
    """What a plan of these steps refuses with; it writes nothing either."""
    return _refused(lambda: write_recipe(folder, *steps, head=head).plan(**options), folder)


def refuse_edit(folder: Path, model: keras.Model, *steps: str, head: str = "") -> str:
    """What plan and run say, with the same words, about these steps between `load` and `save`."""
    model.save(folder / SOURCE)
    steps = (f"load: {SOURCE}", *steps, f"save: {OUTPUT}")
    error = refuse(folder, *steps, head=head)
    assert told(refuse_plan(folder, *steps, head=head)) == told(error)
    return told(error)


def _refused(act: Any, folder: Path) -> RecipeError:
    before = contents(folder)
    try:
        act()
    except RecipeError as error:
        now = contents(folder)
        now.pop("recipe.yaml", None)
        before.pop("recipe.yaml", None)
        assert now == before, "a refused run must leave no trace"
        return error
    raise AssertionError("nothing was refused")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below the folder with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def told(error: RecipeError) -> str:
    """The whole text without the excerpt, with `line:column` for the place."""
    place = f"{error.place.line}:{error.place.column}" if error.place else ""
    head = ": ".join(part for part in (place, error.key or "", error.message) if part)
    return f"{head}; {error.hint}" if error.hint else head


def differences(before: keras.Model, after: keras.Model) -> list[str]:
    """What differs between two models, layer by layer, sorted.

    `- path` and `+ path` for layers that went and came, `~ path class`, `~ path flag`, `~ path/kernel` for numbers,
    types or shapes, and `~ path.units` for an argument. Wiring shows in the outputs alone.
    """
    old, new = leaves(before, ""), leaves(after, "")
    found = [f"- {path}" for path in old if path not in new] + [f"+ {path}" for path in new if path not in old]
    for path in old:
        if path in new:
            found += _layer_differences(path, old[path], new[path])
    return sorted(found)


def leaves(model: Any, prefix: str = "") -> dict[str, Any]:
    """Every layer that is no functional or Sequential model, under its path."""
    found: dict[str, Any] = {}
    for layer in getattr(model, "layers", ()):
        is_listed = isinstance(layer, keras.Model) and "layers" in layer.get_config()
        inner = leaves(layer, f"{prefix}{layer.name}/") if is_listed else {}
        found |= inner or {prefix + layer.name: layer}
    return found


def _layer_differences(path: str, old: Any, new: Any) -> list[str]:
    if type(old) is not type(new):
        return [f"~ {path} class"]
    # An input has no flag of its own: Keras shows that of a model around it until it is reloaded.
    is_input = isinstance(old, keras.layers.InputLayer)
    found = [f"~ {path} flag"] if old.trainable is not new.trainable and not is_input else []
    before, after = _plain(old.get_config()), _plain(new.get_config())
    differing = [key for key in {*before, *after} - {"name"} if before.get(key) != after.get(key)]
    found += [f"~ {path}.{key}" for key in differing]
    if [weight.name for weight in old.weights] != [weight.name for weight in new.weights]:
        return [*found, f"~ {path} weights"]
    for one, other in zip(old.weights, new.weights, strict=True):
        if not same_bits(one.numpy(), other.numpy()):
            found.append(f"~ {path}/{one.name}")
    return found


def _plain(value: Any) -> Any:
    """A configuration without what Keras numbers anew at every save, and with lists for tuples."""
    if isinstance(value, dict):
        skipped = ("shared_object_id", "build_config", "trainable")
        return {key: _plain(item) for key, item in value.items() if key not in skipped}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else str(value)


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays have one type, shape and content; NaN equals NaN of the same bits."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.tobytes() == other.tobytes() if one.dtype.kind not in "OSU" else bool((one == other).all())


def names(model: keras.Model) -> list[str]:
    """The layers' names in order."""
    return [layer.name for layer in model.layers]


def slow_unless(quick: bool) -> tuple[pytest.MarkDecorator, ...]:
    """The mark of a parameter that the quick suite leaves out."""
    import pytest

    return () if quick else (pytest.mark.slow,)
