"""A layer as a recipe writes it, and how it becomes a `Layer` of the graph."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Annotated, Any, Literal

from modelrecipe import catalog
from modelrecipe.errors import EditError, LanguageError, UnknownKeyError, did_you_mean, nearest_names
from modelrecipe.fields import Doc
from modelrecipe.frozen import frozen
from modelrecipe.graph import Layer

Inherit = Literal["config"] | tuple[str, ...]
_NEEDS = re.compile(r" needs the argument ('.*')$")
_NEVER_INHERITED = ("name", "trainable", "build_config")


@frozen
class LayerSpec:
    """A new layer: its class, or class and constructor arguments.

    Example:
        {class: Dense, config: {units: 5, activation: softmax}, name: head}
    """

    class_: Annotated[str, Doc("a Keras layer (Dense), a registered class (package>Layer) or an operation (ops.Add)")]
    config: Annotated[Mapping[str, Any], Doc("constructor arguments")] = field(default_factory=dict)
    name: Annotated[str | None, Doc("the new layer's name; may hold {name}, the neighbour's")] = None
    weights: Annotated[
        Literal["keep", "fresh"] | None, Doc("take over the replaced layer's weights, or begin anew")
    ] = None
    inherit: Annotated[Inherit | None, Doc("arguments to take over from the replaced layer")] = None

    def problems(self) -> Iterator[LanguageError]:
        """Unknown class; unknown or wrongly typed arguments. Missing ones are `missing`, as some may be inherited."""
        if "name" in self.config:
            hint = f"write {{class: {self.class_}, name: {self.config['name']}, ...}}"
            yield UnknownKeyError("the name of a layer stands beside its config", hint=hint, at=("config", "name"))
        if catalog.find(self.class_) is None and not _may_be_custom(self.class_):
            yield LanguageError(f"unknown layer class '{self.class_}'", hint=_class_hint(self.class_), at=("class",))
        for problem in _without_echo(catalog.check_config(self.class_, self._arguments(), partial=True)):
            yield _error(problem, ("config", *problem.at))

    def missing(self) -> Iterator[LanguageError]:
        """Required arguments that are not written; for a spec that inherits nothing."""
        if self.inherit is None:
            known = catalog.check_config(self.class_, self._arguments(), partial=True)
            for problem in _without_echo(catalog.check_config(self.class_, self._arguments())):
                if problem not in known:
                    yield LanguageError(problem.message, hint=problem.hint, at=("config", *problem.at))

    def _arguments(self) -> Mapping[str, Any]:
        return {key: value for key, value in self.config.items() if key != "name"}

    def make(self, *, name: str, key: str, old: Layer | None = None, inherit: Inherit | None = None) -> Layer:
        """The layer, without calls.

        Args:
            name: its name, unless the spec names another.
            key: its identity.
            old: the layer it replaces; its dtype policy is kept unless the spec says otherwise.
            inherit: what to take over, unless the spec says it itself.

        Raises:
            EditError: an argument to inherit does not exist, or a required one is missing.
        """
        entry = catalog.find(self.class_)
        inherited = self._inherited(old, self.inherit or inherit, entry)
        config = {**inherited, **serialised(self.config)}
        if entry is not None:
            for problem in catalog.check_config(self.class_, config):
                raise EditError(problem.message, hint=problem.hint, at=("config",))
        if entry is None:
            package, _, class_name = self.class_.rpartition(">")
            return Layer(
                name=name,
                class_name=class_name,
                module=package or class_name,
                registered_name=self.class_,
                config={**config, "name": name},
                key=key,
            )
        return Layer(
            name=name,
            class_name=entry.class_name,
            module=entry.module,
            registered_name=entry.class_name if entry.is_operation else None,
            config={**config, "name": name},
            key=key,
        )

    def _inherited(self, old: Layer | None, inherit: Inherit | None, entry: catalog.Entry | None) -> dict[str, Any]:
        if old is None:
            return {}
        accepted = None if entry is None else {argument.name for argument in entry.arguments} | {"dtype"}
        taken: dict[str, Any] = {}
        if "dtype" in old.config and not _is_operation(entry):
            taken["dtype"] = old.config["dtype"] if self.class_ == old.class_name else _unquantised(old.config["dtype"])
        if inherit is None:
            return taken
        if inherit == "config":
            keys: Collection[str] = [key for key in old.config if key not in _NEVER_INHERITED]
            return {**taken, **{key: old.config[key] for key in keys if accepted is None or key in accepted}}
        for key in inherit:
            if key not in old.config:
                hint = did_you_mean(key, old.config) or "it has: " + ", ".join(old.config)
                raise EditError(f"'{old.name}' has no argument '{key}' to inherit", hint=hint, at=("inherit",))
            if accepted is not None and key not in accepted and key != "trainable":
                raise EditError(f"{self.class_} takes no argument '{key}'", at=("inherit",))
        return {**taken, **{key: old.config[key] for key in inherit}}


def _without_echo(problems: Sequence[catalog.ConfigProblem]) -> Iterator[catalog.ConfigProblem]:
    """An argument that is missing because it is misspelt is one mistake."""
    misspelt = {(*problem.at[:-1], problem.hint) for problem in problems if problem.at}
    for problem in problems:
        found = _NEEDS.search(problem.message)
        if found is None or (*problem.at, f"did you mean {found.group(1)}?") not in misspelt:
            yield problem


def _error(problem: catalog.ConfigProblem, at: tuple[str | int, ...]) -> LanguageError:
    """A problem of the catalog; what it says of an argument that does not exist is about the key."""
    kind = UnknownKeyError if problem.message.startswith("unknown argument") else LanguageError
    return kind(problem.message, hint=problem.hint, at=at)


def _unquantised(dtype: Any) -> Any:
    """The float policy behind a quantised one (`int8_from_float32`), which other classes may not implement."""
    name = dtype.get("config", {}).get("name") if isinstance(dtype, Mapping) else dtype
    source = dtype.get("config", {}).get("source_name") if isinstance(dtype, Mapping) else None
    if source is not None:
        return source
    return name.partition("_from_")[2] if isinstance(name, str) and "_from_" in name else dtype


def _is_operation(entry: catalog.Entry | None) -> bool:
    return entry is not None and entry.is_operation


def _may_be_custom(name: str) -> bool:
    """Registered classes are written `package>Name`; whether one exists is known when its module is imported."""
    package, arrow, class_name = name.partition(">")
    return bool(arrow and package and class_name)


def _class_hint(name: str) -> str:
    known = (*catalog.layer_names(), *catalog.operation_names())
    near = nearest_names(name, known)
    if near:
        return "did you mean " + " or ".join(f"'{item}'" for item in near[:2]) + "?"
    return "a registered class is written package>Layer, an operation ops.Name"


def serialised(value: Any) -> Any:
    """`{class, config}` inside arguments in the form that Keras reads."""
    if isinstance(value, Mapping):
        if "class" in value and set(value) <= {"class", "config"}:
            entry = catalog.find(value["class"])
            inner = {"class_name": value["class"], "config": serialised(value.get("config", {}))}
            return {**inner, "module": entry.module, "registered_name": None} if entry is not None else inner
        return {key: serialised(item) for key, item in value.items()}
    return [serialised(item) for item in value] if isinstance(value, list | tuple) else value
