"""A layer of a document becomes a Keras layer, and what Keras says against it becomes a `BuildError`."""

from __future__ import annotations

import copy
import importlib
import inspect
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import BuildError, RecipeError
from modelrecipe.keras_config import iter_configs
from modelrecipe.live.legacy import modernised
from modelrecipe.live.session import import_keras
from modelrecipe.registered_names import with_full_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from modelrecipe.graph import Layer


# TensorFlow knows them, and Keras 3 accepts the names, but refuses them when the layer is called.
_LOST_INTERPOLATIONS = ("gaussian", "mitchellcubic")


@contextmanager
def foreign_code(
    refusal: Callable[[Exception], RecipeError], *, passing: type[Exception] = RecipeError
) -> Iterator[None]:
    """Around what runs a layer's own code: a custom class may raise anything, and so do TensorFlow's operations.

    Args:
        refusal: what becomes of an exception; errors of this package go through as they are.
        passing: what else goes through.

    Raises:
        RecipeError: what `refusal` gives.
    """
    try:
        yield
    except (RecipeError, passing):
        raise
    except Exception as error:  # the code is the user's: nobody can list what it raises
        raise refusal(error) from error


def make(layer: Layer, path: str, *, is_safe: bool) -> Any:
    """A leaf layer or operation from its configuration, not yet built.

    Args:
        layer: the layer.
        path: where it stands, for messages.
        is_safe: refuse Python code in the configuration.

    Raises:
        BuildError: Keras does not know the class or refuses its arguments.
    """
    keras = import_keras()
    data = serialised(layer)
    for held in iter_configs(data):
        if held["config"].get("interpolation") in _LOST_INTERPOLATIONS:
            raise _lost_interpolation(held, path or layer.name)
    with foreign_code(lambda error: _cannot_make(layer, path, error)):
        try:
            return keras.saving.deserialize_keras_object(data, safe_mode=is_safe)
        except KeyError as error:
            return keras.saving.deserialize_keras_object(_completed(data, error), safe_mode=is_safe)


def _lost_interpolation(data: Mapping[str, Any], path: str) -> BuildError:
    return BuildError(
        f"'{path}' ({data['class_name']}) interpolates by '{data['config']['interpolation']}', which Keras 3 cannot",
        hint="put a layer with another interpolation in its place: load: {path: ..., replace: {"
        + f"{path}: {{class: {data['class_name']}, config: ...}}}}}}",
    )


def serialised(layer: Layer) -> dict[str, Any]:
    """The layer as Keras deserialises it.

    What it was built for (`build_config`) is left out: after an edit it may be wrong, and calling the layer builds it.
    Files of Keras 1 and 2 name no module and spell the shape of an input in an old way.
    """
    config = copy.deepcopy(dict(layer.config))
    if layer.module is None:
        config = modernised(config, is_input=layer.is_input)
    if "name" in config or layer.module is None:
        config["name"] = layer.name
    shared = {"shared_object_id": layer.extra["shared_object_id"]} if "shared_object_id" in layer.extra else {}
    data = {
        "module": layer.module or "keras.layers",
        "class_name": layer.class_name,
        "config": config,
        "registered_name": layer.registered_name,
        **shared,
    }
    return with_full_names(data)


def _completed(data: dict[str, Any], error: KeyError) -> dict[str, Any]:
    """The same layer with every argument of its constructor.

    A recipe writes what differs from the defaults, but some classes read their arguments from a whole configuration
    (keras, `Rescaling.from_config`).

    Raises:
        KeyError: the class is not known, or nothing is left to fill in.
    """
    keras = import_keras()
    name = data["registered_name"] or data["class_name"]
    made = getattr(importlib.import_module(data["module"]), data["class_name"], None) if _is_keras(data) else None
    made = made or keras.saving.get_registered_object(name)
    if made is None:
        raise error
    arguments = inspect.signature(made.__init__).parameters.values()
    defaults = {item.name: item.default for item in arguments if item.default is not inspect.Parameter.empty}
    missing = {key: value for key, value in defaults.items() if key not in (*data["config"], "name", "dtype")}
    if not missing:
        raise error
    return {**data, "config": {**data["config"], **missing}}


def _is_keras(data: Mapping[str, Any]) -> bool:
    return str(data["module"]).partition(".")[0] == "keras"


def reason(error: Exception) -> str:
    """The sentence in which Keras says what is wrong, without the configuration and state that it prints around it."""
    said = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).rpartition("Exception encountered: ")[2]
    said = re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", said.rpartition("Error encountered:")[2])
    lines = [line.strip() for line in said.splitlines()]
    skipped = ("Exception encountered when", "Arguments received", "config=")
    if lines and lines[0].startswith("Graph execution error"):  # a traceback follows; its end says what is wrong
        lines = [line for line in lines if re.search(r"[a-z]", line)][-1:]
    sentence = next((line for line in lines if line and not line.startswith(skipped)), type(error).__name__)
    return sentence.partition(". ")[0].rstrip(".")[:300]


def _cannot_make(layer: Layer, path: str, error: Exception) -> BuildError:
    said = str(error)
    if "Could not locate class" in said or "Unknown layer" in said:
        return BuildError(
            f"the class '{layer.registered_name or layer.class_name}' of '{path or layer.name}' is not known to Keras",
            hint="name the module that registers it under imports, and pass --allow-code",
        )
    if layer.class_name == "Lambda":
        return BuildError(
            f"'{path}' is a Lambda of Python code, which is not executed",
            hint="replace it by a layer, or register its function in a module named under imports",
        )
    return BuildError(f"'{path or layer.name}' ({layer.kind_name}) cannot be made: {reason(error)}")
