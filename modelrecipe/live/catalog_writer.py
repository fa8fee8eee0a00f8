"""Writes the catalog's data from the installed Keras: `python -m modelrecipe.live.catalog_writer`.

One line per class, so that a new Keras version shows as a readable difference. Knows Keras.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras.src.ops
import tensorflow as tf
from keras.src.ops.function import Function
from keras.src.ops.math import SegmentReduction
from keras.src.ops.operation import Operation

from modelrecipe.live import catalog_arguments as arguments
from modelrecipe.live import catalog_training
from modelrecipe.live.catalog_probe import learn_variables, make, refusal
from modelrecipe.live.catalog_samples import FOREIGN, layer_aliases, layer_classes, sample
from modelrecipe.live.catalog_settings import learn_regularizers, learn_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelrecipe.live.catalog_arguments import Facts

DATA = Path(__file__).parent.parent / "catalog" / "data.json"
_CONTAINERS = ("Bidirectional", "Pipeline", "RNN", "SpectralNormalization", "StackedRNNCells", "TimeDistributed")
_ABSTRACT_OPERATIONS = (Operation, Function, SegmentReduction)
_LIST_OPERATIONS = ("Concatenate", "Dstack", "Hstack", "Stack", "Vstack")
_ELEMENTWISE_MERGES = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")


def catalog() -> dict[str, Any]:
    """Everything that the catalog says, as the data file has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated arguments are tried too
        layers = {name: _layer(name, value) for name, value in layer_classes().items()}
        operations = {name: _operation(name, value) for name, value in sorted(_operation_classes())}
    return {
        "keras": keras.__version__,
        "choices": dict(arguments.NAMED_OBJECTS),
        "basic": _basic_arguments(),
        "aliases": layer_aliases(),
        "layers": layers,
        "operations": operations,
    }


def _basic_arguments() -> dict[str, Facts]:
    facts = arguments.signature_facts(keras.Layer, docs=arguments.full_docs(keras.Layer), name="Layer")
    return {fact["name"]: fact for fact in facts}


def _layer(name: str, layer_class: type[Any]) -> dict[str, Any]:
    docs = arguments.full_docs(layer_class)
    facts = arguments.signature_facts(layer_class, docs=docs, name=name)
    entry: dict[str, Any] = {"call": _call_names(layer_class)}
    if layer_class.__name__ != name:
        entry["python"] = layer_class.__name__
    if name in FOREIGN:
        written = {fact["name"] for fact in facts}
        basic = [key for key in _basic_arguments() if key not in written]
        return {**entry, "arguments": [*facts, *basic], "opaque": True}
    facts += _passed_on(name, layer_class, {fact["name"] for fact in facts}, docs)
    for fact in facts:
        _complete(fact, name, layer_class)
    basic = _basic_arguments()
    entry["arguments"] = [fact["name"] if fact == basic.get(fact["name"]) else fact for fact in facts]
    if issubclass(layer_class, keras.layers.Add.__base__):
        entry["merges"] = True
    if name in _ELEMENTWISE_MERGES:
        entry["broadcasts"] = True
    settings = learn_settings(name, layer_class, sample(name), facts)
    if settings:
        entry["settings"] = settings
    if name in _CONTAINERS:
        return {**entry, "container": True}
    regularized = learn_regularizers(layer_class, sample(name), facts)
    if regularized:
        entry["regularizers"] = regularized
    variables = learn_variables(layer_class, sample(name), facts)
    if variables:
        entry["variables"] = variables
    if "save_assets" in {key for parent in layer_class.__mro__ for key in vars(parent)} and hasattr(
        layer_class, "adapt"
    ):
        entry["assets"] = True
    return entry


def _call_names(owner: Any) -> list[str]:
    parameters = inspect.signature(owner.call).parameters.values()
    return [p.name for p in parameters if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


def _passed_on(name: str, layer_class: type[Any], own: set[str], docs: dict[str, str]) -> list[Facts]:
    """Arguments that the constructor hands to its parents, and those that only a saved configuration has."""
    defaults: dict[str, Any] = {}
    for parent in layer_class.__mro__[1:]:
        if "__init__" in vars(parent) and parent.__module__.startswith("keras.src"):
            for parameter in inspect.signature(parent.__init__).parameters.values():
                if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                    defaults.setdefault(parameter.name, parameter.default)
    saved = make(layer_class, sample(name)).get_config()
    saved_only = {key: value for key, value in saved.items() if key not in {*defaults, *own}}
    defaults |= {key: value if isinstance(value, bool) else None for key, value in saved_only.items()}
    taken: list[Facts] = []
    for key, default in defaults.items():
        value = None if default is inspect.Parameter.empty else default
        if key not in {*own, "self"} and refusal(layer_class, sample(name), {key: value}) is None:
            taken.append(arguments.argument_facts(f"{name}.{key}", key, value, docs))
    hidden = _hidden_names(layer_class) - own - {fact["name"] for fact in taken}
    return taken + [arguments.argument_facts(f"{name}.{key}", key, None, docs) for key in sorted(hidden)]


def _hidden_names(layer_class: type[Any]) -> set[str]:
    """Arguments that no signature shows, because constructors take them out of `kwargs`: mostly those of older Keras.

    Those of `Layer` itself, `input_shape` and `input_dim`, are left out: Keras warns of them on every layer.
    """
    names: set[str] = set()
    for parent in layer_class.__mro__:
        if parent is keras.Layer:
            break
        if "__init__" in vars(parent):
            names.update(re.findall(r"kwargs\.pop\(\s*\"(\w+)\"", inspect.getsource(parent.__init__)))
    return names


def _complete(fact: Facts, name: str, layer_class: type[Any]) -> None:
    """Add what only trying shows: the words a text argument takes, and whether it may be null."""

    def attempt(value: Any) -> str | None:
        return refusal(layer_class, sample(name), {fact["name"]: value})

    default, kinds = fact.get("default"), fact.get("kind", [])
    if kinds and "null" not in kinds and "None" in _whole_doc(layer_class, fact["name"]) and attempt(None) is None:
        fact["kind"] = [*kinds, "null"]
    if isinstance(default, str) and "choices" not in fact:
        words = arguments.allowed_words(attempt, default)
        if words:
            fact["choices"] = words


def _whole_doc(layer_class: type[Any], argument: str) -> str:
    """All that the class says of one argument, or nothing."""
    text = inspect.cleandoc(layer_class.__doc__ or "")
    found = re.search(rf"^    {argument}:.*\n(?:     +.*\n)*", text, re.MULTILINE)
    return found.group() if found else ""


def _operation_classes() -> Iterator[tuple[str, type[Any]]]:
    for module in pkgutil.iter_modules(keras.src.ops.__path__):
        if module.name.endswith("_test"):
            continue
        for name, value in vars(importlib.import_module(f"keras.src.ops.{module.name}")).items():
            is_bare = inspect.isclass(value) and issubclass(value, Operation) and not issubclass(value, keras.Layer)
            is_own = getattr(value, "__module__", None) == f"keras.src.ops.{module.name}"
            if is_bare and is_own and value not in _ABSTRACT_OPERATIONS:
                yield name, value


def _operation(name: str, operation: type[Any]) -> dict[str, Any]:
    module = importlib.import_module(operation.__module__)
    facts = arguments.signature_facts(operation, docs=arguments.operation_docs(operation, module), name=name)
    entry: dict[str, Any] = {
        "module": operation.__module__.removeprefix("keras.src.ops."),
        "call": _call_names(operation),
        "arguments": ["name" if fact["name"] == "name" else fact for fact in facts],
    }
    if name in _LIST_OPERATIONS:
        entry["merges"] = True
    if _broadcasts(operation, facts):
        entry["broadcasts"] = True
    return entry


def _broadcasts(operation: type[Any], facts: list[Facts]) -> bool:
    """Whether numbers of different but compatible shapes are stretched to one another, which Keras does silently."""
    if any(fact.get("required") for fact in facts):
        return False
    parameters = list(inspect.signature(operation.call).parameters.values())[1:]
    count = 3 if operation.__name__ == "Where" else sum(p.default is p.empty for p in parameters)
    if count not in (2, 3) or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return False
    pairs = (((2, 5), (2, 1)), ((1, 5), (2, 1)), ((2, 5), (1, 5)))
    return all(_result_shape(operation, (*pair, (2, 5))[:count]) == (2, 5) for pair in pairs)


def _result_shape(operation: type[Any], shapes: tuple[tuple[int, ...], ...]) -> tuple[int, ...] | None:
    """The shape that comes out of arrays of ones; None where no kind of number is taken."""
    for dtype in ("float32", "int32", "bool"):
        try:
            result = operation().call(*(keras.ops.ones(shape, dtype=dtype) for shape in shapes))
        except (ValueError, TypeError, AttributeError, IndexError, NotImplementedError, tf.errors.OpError):
            continue
        if hasattr(result, "shape"):
            return tuple(result.shape)
    return None


def render(data: dict[str, Any]) -> str:
    """The data file's text: one line per class."""
    lines = [f' "keras": {json.dumps(data["keras"])}']
    for section in ("choices", "basic", "aliases", "layers", "operations"):
        rows = (f"  {json.dumps(key)}: {_compact(value)}" for key, value in data[section].items())
        lines.append(f' "{section}": {{\n' + ",\n".join(rows) + "\n }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    DATA.write_text(render(catalog()), encoding="utf-8")
    catalog_training.DATA.write_text(catalog_training.render(catalog_training.learn()), encoding="utf-8")
